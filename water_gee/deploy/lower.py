"""What every layer of Keras, of either generation, is in the kinds of the layer graph.

`LAYERS` says it by class and `lower_functions.FUNCTIONS` by function; all else is refused by
`refuse`, which knows of many what would help. A reader takes a `Layer` and returns the steps that
it is; none if it changes nothing when a network is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.deploy.activations import ACTIVATIONS, SLOPE
from water_gee.deploy.building import NOTHING, RANK, Layer, Sides, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from water_gee.errors import UnsupportedLayerError

    Array = npt.NDArray[Any]
    Reader = Callable[[Layer], list[Step]]

_SAME_MESSAGE = (
    "padding 'same' means nothing on an image without an edge; build it with padding='valid' and "
    "crop what is joined with it, or ask for it to be treated as valid (same_as_valid=True)"
)


# ----------------------------------------------------------------------------- what several share


def _pair(layer: Layer, name: str, default: int = 1) -> tuple[int, int]:
    value = layer.config.get(name, default)
    rows, cols = (value, value) if isinstance(value, int) else value
    return int(rows), int(cols)


def _axes(layer: Layer) -> tuple[int, ...]:
    """The axes of a layer, counted from the front."""
    axis = layer.config.get("axis", -1)
    axes = axis if isinstance(axis, (list, tuple)) else () if axis is None else (axis,)
    return tuple(sorted(int(number) % RANK for number in axes))


def _over_channels(layer: Layer, does: str) -> None:
    if _axes(layer) != (RANK - 1,):
        axis = layer.config.get("axis", -1)
        raise layer.refusal(f"it {does} axis {axis}; only channels (axis -1) can be used")


def _window(layer: Layer, size: tuple[int, int], apart: tuple[int, int] = (1, 1)) -> Sides:
    """Refuse a window that has no form here; returns what Keras pads."""
    if layer.config.get("data_format", "channels_last") not in {None, "channels_last"}:
        raise layer.refusal("its data are channels first; use data_format='channels_last'")
    if any(part % 2 == 0 for part in size):
        raise layer.refusal(f"a window of {size} has no centre pixel; use odd sizes")
    strides = layer.config.get("strides", 1)
    strides = size if strides is None else _pair(layer, "strides")
    if strides != (1, 1):
        raise layer.refusal(
            f"strides are {strides}, and a map has a value for each pixel; use strides=1, and "
            "dilation or larger windows to see as far"
        )
    padding = layer.config.get("padding", "valid")
    if padding == "valid":
        return NOTHING
    if padding != "same":
        raise layer.refusal(f"padding {padding!r} is not known; use padding='valid'")
    if not layer.same_as_valid:
        raise layer.refusal(_SAME_MESSAGE)
    up, side = size[0] // 2 * apart[0], size[1] // 2 * apart[1]
    return up, up, side, side


def activation_steps(layer: Layer, given: Any) -> list[Step]:
    """The steps of an `activation=` argument: a name, or a layer as `{class_name, config}`."""
    if isinstance(given, dict):
        kind, config = given.get("class_name"), given.get("config")
        if kind in _ACTIVATION_LAYERS and isinstance(config, dict):
            inner = Layer(layer.name, kind, config, {}, layer.inputs, (), layer.generation)
            return LAYERS[kind](inner)
        given = config if isinstance(config, str) else kind
    name = _ALIASES.get(given, given)
    if name not in ACTIVATIONS or name == "prelu":
        raise layer.refusal(f"activation {given!r}; use one of {', '.join(sorted(KNOWN))}")
    if name == "linear":
        return []
    attributes: dict[str, Any] = {"activation": name}
    if name == "hard_sigmoid" and layer.generation == 2:
        attributes["slope"] = 0.2
    return [Step("activation", attributes)]


_ALIASES = {None: "linear", "swish": "silu", "identity": "linear"}
_ACTIVATION_LAYERS = {"ReLU", "LeakyReLU", "ELU", "Softmax", "Activation"}
KNOWN = set(ACTIVATIONS) - {"prelu"}
"""Activations that can be given by name."""


def _fused(layer: Layer, steps: list[Step]) -> list[Step]:
    return steps + activation_steps(layer, layer.config.get("activation"))


def _bias(layer: Layer, filters: int) -> Array:
    return layer.weight("bias") if layer.config.get("use_bias", True) else np.zeros(filters, "f4")


def _conv_step(
    kernel: Array, bias: Array, apart: tuple[int, int], parts: int, padded: Sides
) -> Step:
    attributes: dict[str, Any] = {"activation": "linear"}
    if apart != (1, 1):
        attributes["dilation"] = apart
    if parts != 1:
        attributes["groups"] = parts
    return Step("conv", attributes, {"kernel": kernel, "bias": bias}, padded)


# ------------------------------------------------------------------------------------ convolutions


def _conv(layer: Layer) -> list[Step]:
    kernel, apart = layer.weight("kernel"), _pair(layer, "dilation_rate")
    padded = _window(layer, kernel.shape[:2], apart)
    parts = int(layer.config.get("groups", 1))
    return _fused(layer, [_conv_step(kernel, _bias(layer, kernel.shape[3]), apart, parts, padded)])


def _depthwise_step(layer: Layer, *, biased: bool) -> Step:
    """Filters `(row, col, channel, multiplier)`; a channel's filters stand side by side."""
    own = "depthwise_kernel" in layer.weights or layer.kind == "SeparableConv2D"
    kernel = layer.weight("depthwise_kernel" if own else "kernel")
    apart = _pair(layer, "dilation_rate")
    padded = _window(layer, kernel.shape[:2], apart)
    rows, cols, channels, multiplier = kernel.shape
    flat = kernel.reshape(rows, cols, 1, channels * multiplier)
    bias = _bias(layer, flat.shape[3]) if biased else np.zeros(flat.shape[3], "f4")
    return _conv_step(flat, bias, apart, channels, padded)


def _depthwise(layer: Layer) -> list[Step]:
    return _fused(layer, [_depthwise_step(layer, biased=True)])


def _separable(layer: Layer) -> list[Step]:
    kernel = layer.weight("pointwise_kernel")
    pointwise = _conv_step(kernel, _bias(layer, kernel.shape[3]), (1, 1), 1, NOTHING)
    return _fused(layer, [_depthwise_step(layer, biased=False), pointwise])


def _dense(layer: Layer) -> list[Step]:
    kernel = layer.weight("kernel")
    if kernel.shape[0] != layer.channels:
        raise layer.refusal(f"it takes {kernel.shape[0]} values, not {layer.channels} channels")
    bias = _bias(layer, kernel.shape[1])
    return _fused(layer, [_conv_step(kernel[None, None], bias, (1, 1), 1, NOTHING)])


# -------------------------------------------------------------------------------------- per channel


def affine_step(layer: Layer, scale: Any, offset: Any) -> Step:
    """Scale and offset given as numbers, or arrays of which only the last axis is long."""
    weights = {}
    for name, values in (("scale", scale), ("offset", offset)):
        array = np.asarray(values, np.float64)
        if array.size not in {1, layer.channels} or array.size != max(array.shape[-1:], default=1):
            raise layer.refusal(
                f"it has numbers of shape {array.shape}; give one, or one for each of the "
                f"{layer.channels} channels"
            )
        weights[name] = np.broadcast_to(array.reshape(-1), (layer.channels,)).astype(np.float32)
        if not np.isfinite(weights[name]).all():
            raise layer.refusal("it has weights that are no numbers; train it again")
    return Step("affine", {}, weights)


def _batch_normalization(layer: Layer) -> list[Step]:
    _over_channels(layer, "runs over")
    variance = layer.weight("moving_variance").astype(np.float64)
    scale = 1 / np.sqrt(variance + float(layer.config.get("epsilon", 1e-3)))
    if layer.config.get("scale", True):
        scale = scale * layer.weight("gamma")
    offset = -layer.weight("moving_mean") * scale
    if layer.config.get("center", True):
        offset = offset + layer.weight("beta")
    return [affine_step(layer, scale, offset)]


def _layer_normalization(layer: Layer) -> list[Step]:
    _over_channels(layer, "runs over")
    if layer.config.get("rms_scaling"):
        raise layer.refusal("rms_scaling has no form here; use a plain LayerNormalization")
    ones, zeros = np.ones(layer.channels, "f4"), np.zeros(layer.channels, "f4")
    scale = layer.weight("gamma") if layer.config.get("scale", True) else ones
    offset = layer.weight("beta") if layer.config.get("center", True) else zeros
    epsilon = float(layer.config.get("epsilon", 1e-3))
    return [Step("normalize", {"epsilon": epsilon}, {"scale": scale, "offset": offset})]


def _normalization(layer: Layer) -> list[Step]:
    if _axes(layer) not in {(), (RANK - 1,)}:
        _over_channels(layer, "keeps apart")
    given = layer.config.get("mean") is not None
    mean, variance = (
        np.asarray(layer.config[name] if given else layer.weight(name), np.float64)
        for name in ("mean", "variance")
    )
    deviation = np.maximum(np.sqrt(variance), 1e-7)  # Keras' epsilon
    if layer.config.get("invert"):
        return [affine_step(layer, deviation, mean)]
    return [affine_step(layer, 1 / deviation, -mean / deviation)]


def _rescaling(layer: Layer) -> list[Step]:
    return [affine_step(layer, layer.config["scale"], layer.config.get("offset", 0.0))]


# ------------------------------------------------------------------------------------------- joins


def concatenate(layer: Layer) -> list[Step]:
    """Channels side by side."""
    _over_channels(layer, "joins along")
    return [Step("concatenate")]


def _combine(op: str) -> Reader:
    def reader(_: Layer) -> list[Step]:
        return [Step("combine", {"op": op})]

    return reader


# ------------------------------------------------------------------------------------------- space


def _cropping(layer: Layer) -> list[Step]:
    _window(layer, (1, 1))
    (top, bottom), (left, right) = layer.config["cropping"]
    return [Step("crop", {"cropping": (int(top), int(bottom), int(left), int(right))})]


def _zero_padding(layer: Layer) -> list[Step]:
    if not layer.same_as_valid:
        raise layer.refusal(_SAME_MESSAGE.replace("padding 'same'", "a border of zeros"))
    (top, bottom), (left, right) = layer.config["padding"]
    padded = int(top), int(bottom), int(left), int(right)
    return [Step("crop", {"cropping": NOTHING}, {}, padded)]


def _pool(op: str) -> Reader:
    def reader(layer: Layer) -> list[Step]:
        size = _pair(layer, "pool_size", 2)
        return [Step("pool", {"op": op, "size": size}, {}, _window(layer, size))]

    return reader


# -------------------------------------------------------------------------------------- activations


def _activation(layer: Layer) -> list[Step]:
    return activation_steps(layer, layer.config.get("activation"))


def _number(layer: Layer, *names: str, default: float) -> float:
    """The first of these that the configuration has; Keras 2 wrote some as arrays."""
    for name in names:
        value = layer.config.get(name)
        if value is not None:
            return float(np.asarray(value).item())
    return default


def _relu(layer: Layer) -> list[Step]:
    top = layer.config.get("max_value")
    attributes = {
        "activation": "relu",
        "max_value": None if top is None else _number(layer, "max_value", default=0),
        "negative_slope": _number(layer, "negative_slope", default=0),
        "threshold": _number(layer, "threshold", default=0),
    }
    plain = attributes["max_value"] is None and not attributes["negative_slope"]
    if plain and not attributes["threshold"]:
        return [Step("activation", {"activation": "relu"})]
    return [Step("activation", attributes)]


def leaky_relu(default: float) -> Reader:
    """The layer and the function have different slopes where nothing is said."""

    def reader(layer: Layer) -> list[Step]:
        slope = _number(layer, "negative_slope", "alpha", default=default)
        return [Step("activation", {"activation": "leaky_relu", "negative_slope": slope})]

    return reader


def elu(layer: Layer) -> list[Step]:
    """An ELU with its own alpha."""
    alpha = _number(layer, "alpha", default=1)
    return [Step("activation", {"activation": "elu", "alpha": alpha})]


def gelu(layer: Layer) -> list[Step]:
    """A GELU by the error function, or by tanh if `approximate`."""
    approximate = bool(layer.config.get("approximate", False))
    return [Step("activation", {"activation": "gelu", "approximate": approximate})]


def _prelu(layer: Layer) -> list[Step]:
    alpha = layer.weight("alpha")
    if alpha.size != alpha.shape[-1]:
        raise layer.refusal("it has a slope for each pixel; use PReLU(shared_axes=[1, 2])")
    slope = np.broadcast_to(alpha.reshape(-1), (layer.channels,)).copy()
    return [Step("activation", {"activation": "prelu"}, {SLOPE: slope})]


def softmax(layer: Layer) -> list[Step]:
    """A softmax over the channels."""
    _over_channels(layer, "runs over")
    return [Step("activation", {"activation": "softmax"})]


def _nothing(_: Layer) -> list[Step]:
    return []


LAYERS: dict[str, Reader] = {
    "Conv2D": _conv,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
    "Dense": _dense,
    "BatchNormalization": _batch_normalization,
    "BatchNormalizationV1": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "Normalization": _normalization,
    "Rescaling": _rescaling,
    "Concatenate": concatenate,
    "Add": _combine("add"),
    "Subtract": _combine("subtract"),
    "Multiply": _combine("multiply"),
    "Average": _combine("average"),
    "Maximum": _combine("maximum"),
    "Minimum": _combine("minimum"),
    "Cropping2D": _cropping,
    "ZeroPadding2D": _zero_padding,
    "AveragePooling2D": _pool("mean"),
    "MaxPooling2D": _pool("max"),
    "Activation": _activation,
    "ReLU": _relu,
    "LeakyReLU": leaky_relu(0.3),
    "ELU": elu,
    "PReLU": _prelu,
    "Softmax": softmax,
    "Identity": _nothing,
    "Dropout": _nothing,
    "SpatialDropout2D": _nothing,
    "GaussianNoise": _nothing,
    "GaussianDropout": _nothing,
    "AlphaDropout": _nothing,
    "ActivityRegularization": _nothing,
}
"""By class, stock ones only: a subclass may do anything."""


# ---------------------------------------------------------------------------------------- refusals

_WHOLE = "it looks at the whole image, and a map has no fixed size; use pools or convolutions"
_SIZE = "it changes the size of pixels; keep the resolution, and use dilation to see far"

REMEDIES: dict[str, str] = {
    "Flatten": "a map has no fixed size; instead of Flatten and Dense use a Conv2D whose kernel "
    "is as large as the window, then Conv2D of 1 x 1",
    "Reshape": "a map has no fixed size; leave the axes (row, col, channel) as they are",
    "Permute": "the axes must stay (row, col, channel); leave it out",
    "Lambda": "its code cannot be read; write it with stock layers or keras.ops",
    "UpSampling2D": _SIZE,
    "Conv2DTranspose": _SIZE,
    "Resizing": _SIZE,
    "GlobalAveragePooling2D": _WHOLE,
    "GlobalMaxPooling2D": _WHOLE,
    "GroupNormalization": _WHOLE + ", and LayerNormalization over channels",
    "MultiHeadAttention": _WHOLE,
    "Attention": _WHOLE,
    "UnitNormalization": "use LayerNormalization over channels",
    "Embedding": "classes cannot be looked up; give each its own 0/1 feature",
}
"""What would help with some that have no form here."""


def refuse(layer: Layer, *, own: bool = False) -> UnsupportedLayerError:
    """The error for a layer that has no form here; `own` if it is none of Keras' own."""
    if own:
        return layer.refusal("its code cannot be read; write it with stock layers or keras.ops")
    helps = REMEDIES.get(layer.kind)
    if helps is None:
        helps = f"there is no form for it; use {', '.join(LAYERS)}, or a + b, x[..., a:b] and such"
    return layer.refusal(helps)
