"""The service that the public BentoML and LightGBM tutorials lead to, for comparison; see `benchmarks/README.md`."""
