"""Shared fixtures and Hypothesis settings."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("povrisk", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("povrisk")
