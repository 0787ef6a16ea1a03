"""Stacks of bands, block by block."""

from __future__ import annotations

import numpy as np

from water_gee.emulator import stack
from water_gee.emulator.pixels import Block
from water_gee.emulator.values import BYTE, FLOAT, PixelType

ONE, TWO = np.full((2, 2), 1.0), np.full((2, 2), 2.0)


def test_union_type():
    assert stack.union_type([BYTE, PixelType("int", -5, 10)]) == PixelType("int", -5, 255)
    assert stack.union_type([BYTE, FLOAT]).precision == "float"


def test_a_stack_without_masks_has_none():
    values, mask = stack.stacked([Block(ONE), Block(TWO)], np.float64)
    assert values.shape == (2, 2, 2)
    assert mask is None


def test_masks_of_a_stack_are_bool_or_fractions():
    half = np.full((2, 2), 0.5, np.float32)
    none = np.zeros((2, 2), bool)
    _, mask = stack.stacked([Block(ONE), Block(TWO, none)], np.float64)
    assert mask is not None
    assert mask.dtype == bool
    assert mask[0].all()
    assert not mask[1].any()
    _, mask = stack.stacked([Block(ONE, none), Block(TWO, half)], np.float64)
    assert mask is not None
    assert mask.dtype == np.float32
    assert mask[1, 0, 0] == 0.5


def test_mosaic_keeps_fractional_masks():
    partly = np.array([[0, 0.25], [0.5, 1]], np.float32)
    block = stack.mosaic(Block(ONE), Block(TWO, partly))
    assert block.values.tolist() == [[1, 2], [2, 2]]
    assert block.mask is not None
    assert block.mask.tolist() == [[1, 0.25], [0.5, 1]]


def test_a_top_image_without_mask_covers_all():
    assert stack.mosaic(Block(ONE, np.zeros((2, 2), bool)), Block(TWO)).mask is None


def test_best_takes_the_first_of_equals():
    block = stack.best(Block(ONE), Block(ONE), Block(np.full((2, 2), 7.0)), Block(TWO))
    assert (block.values == 7).all()
