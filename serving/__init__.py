"""Bundle to assessed and explained households: the scoring service and the batch run."""
