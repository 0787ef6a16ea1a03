"""From a trained network to an Earth Engine expression and its assets."""

from __future__ import annotations
