"""Event kinds, one file a department."""
