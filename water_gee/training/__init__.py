"""Tiles to model: the network, label correction, samples and the training loop."""

from __future__ import annotations
