"""Two hundred random small networks: Keras = NumPy = the serialised graph in the emulator.

Each is a random graph of every kind of layer, with skips of any length, on pixels that no layer
pads; by seed, so that every run has the same two hundred.
"""

from __future__ import annotations

import ee
import numpy as np
import pytest
from emulated import ASSET, Emulated
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from water_gee.deploy.build_ee import to_ee
from water_gee.deploy.layers import SHAPE, margins, run_numpy
from water_gee.deploy.passes import simplify
from water_gee.deploy.read_keras import read
from water_gee.training.backend import keras

L = keras.layers
BAR = 1e-5
TIE = 1e-6
NETWORKS = 200
REACH = 4  # no network sees further, so that enough pixels are left of 16 x 17

ACTIVATIONS = (
    None, "relu", "leaky_relu", "relu6", "elu", "selu", "gelu", "silu", "sigmoid", "hard_sigmoid",
    "tanh", "softplus", "softmax",
)  # fmt: skip
ODD = st.sampled_from([1, 3, 3, 5])
SIZES = st.sampled_from([(3, 3), (1, 3), (3, 1), (5, 1)])
SEEN = set()


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    values = np.random.default_rng(17).normal(0.2, 0.7, (5, 16, 17)).astype(np.float32)
    values[2, 5, 11] = np.nan
    with Emulated(tmp_path_factory.mktemp("random"), values) as service:
        yield service


class Growing:
    """A functional model in the making: tensors and how many pixels each has lost at a side."""

    def __init__(self, draw, channels):
        self.draw = draw
        self.inputs = keras.Input((None, None, channels))
        self.made = [(self.inputs, (0, 0))]

    def room(self, lost):
        return REACH - lost[0], REACH - lost[1]

    def add(self, tensor, lost):
        self.made.append((tensor, lost))

    def pick(self):
        """Any tensor, the last ones more often."""
        at = self.draw(st.integers(0, 2 * len(self.made) - 1))
        return self.made[at] if at < len(self.made) else self.made[-1]

    def fitted(self, tensor, lost, to):
        """A tensor cropped to one that has lost more; by a layer or by a slice."""
        rows, cols = to[0] - lost[0], to[1] - lost[1]
        if not rows and not cols:
            return tensor
        if self.draw(st.booleans()):
            return L.Cropping2D((rows, cols))(tensor)
        return tensor[:, rows : -rows or None, cols : -cols or None]

    def joined(self, count):
        """So many tensors, cropped to lie on each other."""
        parts = [self.pick() for _ in range(count)]
        lost = max(part[1][0] for part in parts), max(part[1][1] for part in parts)
        return [self.fitted(*part, lost) for part in parts], lost

    # ------------------------------------------------------------------------- what may be added

    def window(self, lost, sizes):
        """A size and a dilation that there is room for."""
        size = self.draw(sizes)
        size = (size, size) if isinstance(size, int) else size
        apart = self.draw(st.sampled_from([1, 1, 2]))
        reach = [part // 2 * apart for part in size]
        if any(part > room for part, room in zip(reach, self.room(lost), strict=True)):
            return (1, 1), 1, (0, 0)
        return size, apart, tuple(reach)

    def convolution(self):
        tensor, lost = self.pick()
        size, apart, reach = self.window(lost, st.one_of(ODD, SIZES))
        channels = tensor.shape[-1]
        kind = self.draw(st.sampled_from(["conv", "conv", "groups", "depthwise", "separable"]))
        about = {
            "dilation_rate": apart,
            "activation": self.draw(st.sampled_from(ACTIVATIONS)),
            "use_bias": self.draw(st.booleans()),
        }
        filters = self.draw(st.integers(1, 5))
        if kind == "depthwise":
            layer = L.DepthwiseConv2D(size, depth_multiplier=self.draw(st.integers(1, 2)), **about)
        elif kind == "separable":
            layer = L.SeparableConv2D(filters, size, **about)
        elif kind == "groups" and channels % 2 == 0:
            layer = L.Conv2D(2 * filters, size, groups=2, **about)
        else:
            layer = L.Conv2D(filters, size, **about)
        self.add(layer(tensor), (lost[0] + reach[0], lost[1] + reach[1]))

    def pool(self):
        tensor, lost = self.pick()
        size, _, reach = self.window(lost, SIZES)
        if reach[0] <= size[0] // 2 and reach[1] <= size[1] // 2:
            kind = self.draw(st.sampled_from([L.AveragePooling2D, L.MaxPooling2D]))
            self.add(kind(size, strides=1)(tensor), (lost[0] + reach[0], lost[1] + reach[1]))

    def pointwise(self):
        tensor, lost = self.pick()
        layer = self.draw(
            st.sampled_from(
                [
                    L.Dense(3, activation="tanh"),
                    L.BatchNormalization(),
                    L.BatchNormalization(scale=False),
                    L.Normalization(axis=None, mean=0.3, variance=2.0),
                    L.Rescaling(0.5, offset=0.1),
                    L.Dropout(0.3),
                    L.SpatialDropout2D(0.3),
                    L.GaussianNoise(0.3),
                    L.ReLU(max_value=2, negative_slope=0.1),
                    L.LeakyReLU(negative_slope=0.3),
                    L.ELU(alpha=0.5),
                    L.PReLU(shared_axes=[1, 2]),
                    L.Softmax(),
                    L.Activation("gelu"),
                ]
            )
        )
        fresh = type(layer).from_config(layer.get_config())
        self.add(fresh(tensor), lost)

    def normalization(self):
        tensor, lost = self.pick()
        kind = self.draw(st.sampled_from([L.LayerNormalization, L.BatchNormalization]))
        self.add(kind(epsilon=0.01)(tensor), lost)

    def concatenation(self):
        parts, lost = self.joined(self.draw(st.integers(2, 3)))
        if sum(part.shape[-1] for part in parts) <= 12:
            self.add(L.Concatenate()(parts), lost)

    def combination(self):
        parts, lost = self.joined(self.draw(st.integers(2, 3)))
        channels = min(part.shape[-1] for part in parts)
        parts = [part if part.shape[-1] == channels else part[..., :channels] for part in parts]
        kind = self.draw(
            st.sampled_from([L.Add, L.Multiply, L.Average, L.Maximum, L.Minimum, L.Subtract])
        )
        self.add(kind()(parts[:2] if kind is L.Subtract else parts), lost)

    def slice(self):
        tensor, lost = self.pick()
        channels = tensor.shape[-1]
        start = self.draw(st.integers(0, channels - 1))
        self.add(tensor[..., start :: self.draw(st.sampled_from([1, 2, -1]))], lost)

    def arithmetic(self):
        tensor, lost = self.pick()
        number = self.draw(st.sampled_from([-0.75, 0.5, 1.25]))
        kind = self.draw(st.integers(0, 4))
        made = (tensor + number, number - tensor, tensor * number, tensor / number, -tensor)
        self.add(made[kind], lost)

    def finished(self):
        """The model: a softmax over two channels, or one sigmoid."""
        tensor, _ = self.made[-1]
        if self.draw(st.booleans()):
            out = L.Conv2D(2, 1, activation="softmax")(tensor)
        else:
            out = L.Conv2D(1, 1, activation="sigmoid")(tensor)
        return keras.Model(self.inputs, out)


STEPS = (
    Growing.convolution, Growing.convolution, Growing.convolution, Growing.pool, Growing.pointwise,
    Growing.pointwise, Growing.normalization, Growing.concatenation, Growing.combination,
    Growing.slice, Growing.arithmetic,
)  # fmt: skip


def random_network(draw):
    """A random model and random weights, some of them 0.

    No strategy of its own: Keras draws from `random`, which strategies must not.
    """
    growing = Growing(draw, draw(st.integers(1, 5)))
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=2, max_size=7)):
        step(growing)
    network = growing.finished()
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for variable in network.weights:
        if "variance" in variable.name or "gamma" in variable.name:
            values = generator.uniform(0.4, 1.6, variable.shape)
        else:
            size = np.prod(variable.shape[:-1]) if len(variable.shape) > 1 else 4
            values = generator.normal(0, np.sqrt(1 / size), variable.shape)
            values[generator.random(variable.shape) < 0.1] = 0
        variable.assign(values)
    return network


@pytest.mark.filterwarnings("ignore:.*You are using a softmax over axis -1:UserWarning")
@settings(
    max_examples=NETWORKS,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_a_random_network_says_the_same_everywhere(emulated, data):
    network = random_network(data.draw)
    graph = read(network)
    simple = simplify(graph)
    SEEN.update(node.kind for node in simple)
    values = emulated.array(graph.input.attributes["channels"])
    expected = keras.ops.convert_to_numpy(network(values[None]))[0, :, :, 0]
    for version in (graph, simple):
        said = run_numpy(version, values.astype(np.float64))[..., 0]
        np.testing.assert_allclose(said, expected, rtol=0, atol=BAR)
    rows, cols = margins(graph)
    features = ee.Image(ASSET).select(list(range(values.shape[2])))
    whole = observed(emulated.values[: values.shape[2]], rows, cols)
    clear = whole & (np.abs(expected - 0.5) > TIE)
    for form in ("kernels", "matrix"):
        found = emulated.fetch(to_ee(simple, features, form=form), (rows, cols))
        np.testing.assert_array_equal(np.isfinite(found[..., 1]), whole)
        np.testing.assert_allclose(found[whole, 1], expected[whole], rtol=0, atol=BAR)
        np.testing.assert_array_equal(found[clear, 0], expected[clear] >= 0.5)


def observed(values, rows, cols):
    """Where a whole window has numbers in all bands."""
    good = np.isfinite(values).all(axis=0)
    windows = np.lib.stride_tricks.sliding_window_view(good, (2 * rows + 1, 2 * cols + 1))
    return windows.all(axis=(2, 3))


def test_these_networks_had_every_kind_of_node():
    """Runs after them, in the same process."""
    if not SEEN:
        pytest.skip("the random networks were not run")
    assert set(SHAPE) == SEEN
