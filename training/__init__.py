"""History to bundle: cohorts, labels, splits, evaluation, gates, publication, the synthetic county, the panels."""
