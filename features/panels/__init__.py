"""Event kinds and features that one public panel brings, one file a panel."""
