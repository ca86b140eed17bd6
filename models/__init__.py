"""Numbers to calibrated risk, tier and reasons; the model bundle on disk. Knows no MLflow, no BentoML."""
