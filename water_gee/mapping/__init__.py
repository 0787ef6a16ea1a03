"""From a trained model to maps, polygons and reports."""

from __future__ import annotations
