"""A synthetic Landsat season with known water, and the main job run over it."""

from __future__ import annotations
