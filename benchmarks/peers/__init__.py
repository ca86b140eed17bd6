"""The same vectors by other tools, each in a process of its own that imports nothing of ours."""
