"""Earth Engine to tiles: what is mapped, where, and how it comes home."""

from __future__ import annotations
