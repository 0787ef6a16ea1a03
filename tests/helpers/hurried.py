"""For processes that correct labels and are not scored by them: fewer steps."""

from __future__ import annotations

HURRY = """
from water_gee.training import correction

correction.ELSEWHERE_STEPS, correction.STEPS = (30, 30), (60, 20, 20)
"""
"""What such a process runs first."""
