"""Feature definitions, one file a domain."""
