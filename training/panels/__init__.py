"""Public household panels as dataset folders, one file a panel, named like its catalogue.

Each offers `build(raw, out)`, which writes the dataset folder, and `LABELS`, what can be foreseen in this panel. A
survey knows no administrative status, so the labels of statuses (L1, L2, L5) do not exist for a panel: asking for one
is refused with the names that do. The as-of grid, the splits and every other part of training are the county's.
"""
