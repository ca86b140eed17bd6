"""What a household's events say at one moment. Knows no model."""
