"""Imported by the fork server alone: what every worker would load for itself is loaded once, and shared.

It starts no thread that computes, because a process cannot be forked safely while one does.
"""

from __future__ import annotations

from features.kernel import warm_up

# The first call of compiled functions loads the compiler and them, which takes longer than all the imports.
warm_up()
