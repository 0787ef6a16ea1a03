"""A second reader of Earth Engine's wire form, for the few functions that a network is made of.

Written from the algorithm list's descriptions, in the plainest NumPy, and knowing nothing of the
package: what it says of an expression is a second opinion. Pixels are float64, masks in [0, 1].
Beyond the array the world is as if its border went on for ever, so compare inner pixels only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Band:
    name: str
    values: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Reference:
    """Something that is no image: a kernel's weights, or a reducer's name."""

    value: object


def evaluate(expression, sources, shape, *, lonlat=None, flip=False):
    """The bands of an expression.

    `sources` gives, for each id that `Image.load` may ask for, a list of `Band`; `lonlat` the
    coordinates of pixel centres. With `flip`, kernels are laid the wrong way round.
    """
    return _Reader(expression, sources, shape, lonlat, flip).run()


class _Reader:
    def __init__(self, expression, sources, shape, lonlat, flip):
        self.table, self.result = expression["values"], expression["result"]
        self.sources, self.shape, self.done = sources, shape, {}
        self.lonlat, self.flip = lonlat, flip

    def run(self):
        return self.reference(self.result)

    def reference(self, name):
        if name not in self.done:
            self.done[name] = self.node(self.table[name])
        return self.done[name]

    def node(self, node):
        ((kind, content),) = node.items()
        if kind == "constantValue":
            return content
        if kind == "valueReference":
            return self.reference(content)
        if kind == "arrayValue":
            return [self.node(part) for part in content["values"]]
        if kind == "functionInvocationValue":
            arguments = {key: self.node(part) for key, part in content["arguments"].items()}
            return getattr(self, content["functionName"].replace(".", "_"))(**arguments)
        raise NotImplementedError(kind)

    def band(self, name, values, mask=1.0):
        full = np.broadcast_to(np.asarray(values, np.float64), self.shape)
        return Band(name, full, np.broadcast_to(np.asarray(mask, np.float64), self.shape))

    # ---------------------------------------------------------------------- sources and selection

    def Image_load(self, id):  # noqa: N802, A002
        return [self.band(b.name, b.values, b.mask) for b in self.sources[id]]

    def Image_pixelLonLat(self):  # noqa: N802
        lon, lat = self.lonlat
        return [self.band("longitude", lon), self.band("latitude", lat)]

    def Image_constant(self, value):  # noqa: N802
        numbers = value if isinstance(value, list) else [value]
        names = ["constant"] + [f"constant_{i}" for i in range(1, len(numbers))]
        return [self.band(name, number) for name, number in zip(names, numbers, strict=True)]

    def Image_select(self, input, bandSelectors, newNames=None):  # noqa: N802, N803, A002
        names = [band.name for band in input]
        chosen = [input[s if isinstance(s, int) else names.index(s)] for s in bandSelectors]
        return self.Image_rename(chosen, newNames) if newNames else chosen

    def Image_rename(self, input, names):  # noqa: N802, A002
        return [replace(band, name=name) for band, name in zip(input, names, strict=True)]

    def Image_cat(self, images):  # noqa: N802
        out, used = [], set()
        for band in [band for image in images for band in image]:
            name, index = band.name, 0
            while name in used:
                index += 1
                name = f"{band.name}_{index}"
            used.add(name)
            out.append(replace(band, name=name))
        return out

    # ------------------------------------------------------------------------------- arithmetic

    def pairwise(self, image1, image2, function):
        names1, names2 = [b.name for b in image1], [b.name for b in image2]
        if len(image1) > 1 and len(image2) > 1 and names1 != names2:
            assert not set(names1) & set(names2), "bands would be matched by name"
        if len(image2) == 1:
            image2 = image2 * len(image1)
        elif len(image1) == 1:
            image1 = image1 * len(image2)
        return [
            Band(a.name, function(a.values, b.values), np.minimum(a.mask, b.mask))
            for a, b in zip(image1, image2, strict=True)
        ]

    def Image_add(self, image1, image2):  # noqa: N802
        return self.pairwise(image1, image2, np.add)

    def Image_subtract(self, image1, image2):  # noqa: N802
        return self.pairwise(image1, image2, np.subtract)

    def Image_multiply(self, image1, image2):  # noqa: N802
        return self.pairwise(image1, image2, np.multiply)

    def Image_divide(self, image1, image2):  # noqa: N802
        return self.pairwise(image1, image2, np.divide)

    def Image_max(self, image1, image2):  # noqa: N802
        return self.pairwise(image1, image2, np.maximum)

    def Image_min(self, image1, image2):  # noqa: N802
        return self.pairwise(image1, image2, np.minimum)

    def Image_gt(self, image1, image2):  # noqa: N802
        return self.pairwise(image1, image2, np.greater)

    def Image_lt(self, image1, image2):  # noqa: N802
        return self.pairwise(image1, image2, np.less)

    def Image_gte(self, image1, image2):  # noqa: N802
        return self.pairwise(image1, image2, np.greater_equal)

    def Image_exp(self, value):  # noqa: N802
        return [replace(band, values=np.exp(band.values)) for band in value]

    def Image_log(self, value):  # noqa: N802
        return [replace(band, values=np.log(band.values)) for band in value]

    def Image_sqrt(self, value):  # noqa: N802
        return [replace(band, values=np.sqrt(band.values)) for band in value]

    def Image_tanh(self, value):  # noqa: N802
        return [replace(band, values=np.tanh(band.values)) for band in value]

    def Image_erf(self, value):  # noqa: N802
        erf = np.vectorize(math.erf, otypes=[float])
        return [replace(band, values=erf(band.values)) for band in value]

    def Image_toFloat(self, value):  # noqa: N802
        cast = np.float32
        return [replace(b, values=b.values.astype(cast).astype(np.float64)) for b in value]

    def Image_toUint8(self, value):  # noqa: N802
        assert all(((b.values >= 0) & (b.values <= 255)).all() for b in value)
        return [replace(b, values=b.values.astype(np.uint8).astype(np.float64)) for b in value]

    # ----------------------------------------------------------------------- masks and reducers

    def Image_mask(self, image):  # noqa: N802
        return [self.band(band.name, band.mask) for band in image]

    def Image_unmask(self, input, value=0, sameFootprint=True):  # noqa: N802, N803, A002
        assert not sameFootprint, "a footprint would come back"
        (fill,) = value
        return [
            Band(
                b.name, np.where(b.mask > 0, b.values, fill.values), np.maximum(b.mask, b.mask == 0)
            )
            for b in input
        ]

    def Image_updateMask(self, image, mask):  # noqa: N802
        (only,) = mask
        factor = np.where(only.mask > 0, only.values, 0)
        return [replace(band, mask=band.mask * factor) for band in image]

    def Reducer_sum(self):  # noqa: N802
        return Reference("sum")

    def Reducer_min(self):  # noqa: N802
        return Reference("min")

    def Reducer_max(self):  # noqa: N802
        return Reference("max")

    def Reducer_mean(self):  # noqa: N802
        return Reference("mean")

    def Image_reduce(self, image, reducer):  # noqa: N802
        values = np.stack([band.values for band in image])
        mask = np.stack([band.mask for band in image])
        assert np.isin(mask, (0, 1)).all(), "weights come into it"
        assert reducer.value != "mean" or mask.all(), "masked bands do not count"
        neutral = {"sum": 0, "mean": 0, "min": np.inf, "max": -np.inf}[reducer.value]
        reduced = getattr(np, reducer.value)(np.where(mask > 0, values, neutral), axis=0)
        return [self.band(reducer.value, reduced, mask.max(axis=0))]

    # --------------------------------------------------------------------------------- kernels

    def Kernel_fixed(self, weights):  # noqa: N802
        return Reference(np.asarray(weights, np.float64))

    def Image_convolve(self, image, kernel):  # noqa: N802
        weights = kernel.value[::-1, ::-1] if self.flip else kernel.value
        rows, cols = weights.shape
        out = []
        for band in image:
            assert (band.mask == 1).all(), "a convolution met a masked pixel"
            edge = ((rows // 2, rows // 2), (cols // 2, cols // 2))
            padded = np.pad(band.values, edge, mode="edge")
            total = np.zeros(self.shape)
            for i in range(rows):
                for j in range(cols):
                    part = padded[i : i + self.shape[0], j : j + self.shape[1]]
                    total = total + weights[i, j] * part
            out.append(self.band(band.name, total))
        return out

    def Image_reduceNeighborhood(self, image, reducer, kernel):  # noqa: N802
        assert reducer.value == "max"
        assert (kernel.value == 1).all(), "weights come into it"
        rows, cols = kernel.value.shape
        out = []
        for band in image:
            assert (band.mask == 1).all(), "a window met a masked pixel"
            edge = ((rows // 2, rows // 2), (cols // 2, cols // 2))
            padded = np.pad(band.values, edge, mode="edge")
            windows = np.lib.stride_tricks.sliding_window_view(padded, (rows, cols))
            out.append(self.band(f"{band.name}_max", windows.max(axis=(2, 3))))
        return out
