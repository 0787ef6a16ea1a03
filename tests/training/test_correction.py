"""The default correction, tile by tile, with networks that say what a test wants them to say."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from small_water import DEEP, DESERT, FOREST, TURBID, WET_SOIL, scene, spectrum

from water_gee.errors import LabelError
from water_gee.training import checkpoint, correction, dense
from water_gee.training.correction import EvidenceMethod
from water_gee.training.evidence import LIMIT, weigh
from water_gee.training.methods import Tile

SIDE = 76
INSIDE = np.s_[3:-3, 3:-3]


@dataclass
class Tiles:
    """Tiles in memory, as a store's are read."""

    tiles: list[Tile]

    @property
    def names(self):
        return [tile.name for tile in self.tiles]

    @property
    def wet(self):
        return [tile.name for tile in self.tiles if (tile.qa == 1).any()]

    def read(self, name):
        return next(tile for tile in self.tiles if tile.name == name)


class Says:
    """A network that says the same of every pixel and learns nothing."""

    def __init__(self, probability=0.5):
        self.answer = probability

    def probability(self, tile):
        return np.full(tile.water.shape, self.answer, np.float32)


def tile(seed=0, name="a", hole=True):
    each = scene(seed, SIDE, hole=hole)
    return Tile(name, each.features, each.qa)


def shade(steps=60):
    """Columns from deep water to forest, so finely that some decide nothing; the bit says land."""
    part = np.linspace(0, 1, steps)
    table = [np.array(DEEP) * (1 - share) + np.array(FOREST) * share for share in part]
    features = spectrum(np.tile(np.arange(steps), (SIDE, 1)), table)
    features[:, 30:34, 10:20] = np.nan
    qa = np.zeros((SIDE, steps), np.uint8)
    qa[30:34, 10:20] = 255
    qa[40:] = np.where(qa[40:] == 255, 255, 1)
    return Tile("shade", features, qa)


def taught(*networks, of_qa=()):
    """A method whose networks have learned already."""
    method = EvidenceMethod()
    method._juries = (
        correction._Jury(of_qa, (), correction.ONCE_ELSEWHERE, correction.ALWAYS_ELSEWHERE),
        correction._Jury(networks, (), correction.ONCE_NETWORK, correction.ALWAYS_NETWORK),
    )
    return method


# ---------------------------------------------------------------------- from odds to labels


def test_water_is_above_zero_land_below_and_the_doubtful_is_left_out():
    given = shade()
    odds = weigh(given).log_odds
    found = taught(Says()).correct(given).label
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found == 1, odds > correction.UNDECIDED)
    np.testing.assert_array_equal(found == 0, odds < -correction.UNDECIDED)
    assert {0, 1, 255} == set(np.unique(found))
    assert (found == 255)[given.qa != 255].any()
    assert (found[given.qa == 255] == 255).all()


def test_the_surer_the_sum_the_likelier_water_and_certain_is_certain():
    given = shade()
    odds = weigh(given).log_odds
    done = taught(Says()).correct(given)
    label, percent = done.label, done.percent
    assert percent.dtype == np.uint8
    np.testing.assert_array_equal(percent == 255, label == 255)
    known = label != 255
    expected = 50 + 50 * np.clip(odds[known] / correction.CERTAIN, -1, 1)
    assert np.abs(percent[known] - expected).max() <= 0.5
    assert (percent[label == 1] > 50).all()
    assert (percent[label == 0] < 50).all()
    assert {0, 100} < set(percent[known])


def test_a_network_moves_what_is_doubtful_and_never_what_is_clear():
    given = shade()
    odds = weigh(given).log_odds
    wet, dry = (taught(Says(p)).correct(given).label for p in (1.0, 0.0))
    _, most = correction.ONCE_NETWORK
    seen = given.qa != 255
    inner = np.zeros_like(seen)
    inner[INSIDE] = True
    for label, sign in ((wet, 1), (dry, -1)):
        clear = seen & (abs(odds) > most + correction.UNDECIDED)
        np.testing.assert_array_equal(label[clear] == 1, odds[clear] > 0)
        # Where a whole window was observed, all that is close enough goes the network's way.
        far = inner & seen & (np.abs(np.arange(SIDE) - 31.5) > 6)[:, None]
        near = far & (sign * odds > -most + correction.UNDECIDED + 1e-3)
        assert (label[near] == (sign > 0)).all()
        assert near.sum() > (far & (sign * odds > 0)).sum()
    # At the tile's edge and around holes the network sees no window: it says nothing there.
    silent = taught(Says()).correct(given).label
    for label in (wet, dry):
        np.testing.assert_array_equal(label[:3], silent[:3])
        np.testing.assert_array_equal(label[34:37, 10:20], silent[34:37, 10:20])


def season(given, count=9):
    """The same tile, its QA label that of so many clear observations that agree."""
    clear = np.full(given.qa.shape, count, np.float32)
    return replace(given, evidence={"clear_count": clear, "water_count": clear * (given.qa == 1)})


def test_networks_are_believed_more_where_the_qa_label_is_a_seasons():
    """Of one observation, QA errors look like water to a network too."""
    overruled = []
    for given in (shade(), season(shade(), 2), season(shade())):
        wet = taught(Says(1.0)).correct(given).label == 1
        overruled.append(float(-weigh(given).log_odds[wet].min()))
    once, twice, often = overruled
    assert 0 < once < twice < often


def test_networks_of_the_qa_labels_are_not_heard_where_those_are_one_observations():
    silent = taught(Says()).correct(shade()).label
    np.testing.assert_array_equal(taught(Says(), of_qa=[Says(1.0)]).correct(shade()).label, silent)
    given = season(shade())
    silent = taught(Says()).correct(given).label
    heard = taught(Says(), of_qa=[Says(1.0)]).correct(given)
    assert (heard.label == 1).sum() > (silent == 1).sum()
    assert "elsewhere" in heard.record["by"]["to_water"]


# ---------------------------------------------------------------------- the record


def test_the_record_counts_what_the_label_shows():
    given = shade()
    done = taught(Says(0.9)).correct(given)
    label, record = done.label, done.record
    seen = given.qa != 255
    count = seen.sum()
    to_water = ((given.qa == 0) & (label == 1)).sum() / count
    to_land = ((given.qa == 1) & (label == 0)).sum() / count
    assert min(to_water, to_land) > 0.01
    assert record["to_water"] == pytest.approx(to_water, abs=1e-6)
    assert record["to_land"] == pytest.approx(to_land, abs=1e-6)
    assert record["undecided"] == pytest.approx(((label == 255) & seen).sum() / count, abs=1e-6)
    for change in ("to_water", "to_land"):
        by = record["by"][change]
        assert set(by) <= set(correction._KINDS)
        assert sum(by.values()) == pytest.approx(record[change], abs=1e-5)


def test_what_changed_is_put_down_to_the_witness_that_asked_for_it():
    """Deep water without the bit: the spectrum; mud under the bit on a steep slope: the terrain."""
    cover = np.zeros((SIDE, SIDE), int)
    cover[:, 30:] = 1
    rise = 500 + 18.0 * np.clip(np.arange(SIDE) - 29, 0, None)
    features = spectrum(cover, (DEEP, WET_SOIL), elevation=np.tile(rise, (SIDE, 1)))
    by = taught(Says()).correct(Tile("a", features, cover.astype(np.uint8))).record["by"]
    assert by["to_water"] == {"spectrum": pytest.approx(30 / SIDE, abs=1e-5)}
    assert by["to_land"] == {"terrain": pytest.approx(46 / SIDE, abs=1e-5)}


def test_a_tile_whose_label_nothing_contradicts_is_trusted():
    each = scene(0, SIDE)
    done = taught(Says()).correct(Tile("a", each.features, each.truth))
    assert done.record["trusted"]
    assert "why" not in done.record
    assert done.record["to_water"] == done.record["to_land"] == 0


def test_a_tile_is_not_trusted_where_all_its_qa_water_was_wrong():
    each = scene(0, SIDE, hole=False)
    done = taught(Says()).correct(Tile("a", each.features, 1 - each.truth))
    was = int((each.truth == 0).sum())
    assert not done.record["trusted"]
    assert done.record["why"] == f"of {was} QA-water pixels 0 are left"


def test_a_tile_is_not_trusted_where_the_bit_knew_nothing_of_its_water():
    each = scene(0, SIDE, hole=False)
    done = taught(Says()).correct(Tile("a", each.features, np.zeros_like(each.qa)))
    now = int((done.label == 1).sum())
    assert not done.record["trusted"]
    assert done.record["why"] == f"of {now} water pixels the QA band knew 0"


def test_a_tile_is_not_trusted_where_the_network_contradicts_the_witnesses():
    each = scene(0, SIDE, hole=False)
    done = taught(Says(0.02)).correct(Tile("a", each.features, each.truth))
    share = each.truth[INSIDE].sum() / SIDE**2
    assert share > correction.DOUBTFUL
    assert done.record["network_disagrees"] == pytest.approx(share, abs=1e-6)
    assert done.record["why"] == f"networks and evidence disagree on {share:.0%} of the pixels"


def test_a_tile_is_not_trusted_where_much_is_undecided(monkeypatch):
    each = scene(0, SIDE, hole=False)
    monkeypatch.setattr(correction, "UNDECIDED", 2 * LIMIT)
    done = taught(Says()).correct(Tile("a", each.features, each.truth))
    assert (done.label == 255).all()
    assert done.record["why"] == "100% of the pixels are undecided"
    assert not done.record["trusted"]


# ---------------------------------------------------------------------- who judges whom


class Liar:
    """A network that remembers which pixels it learned from, and lies about exactly those."""

    made: list[Liar]

    def __init__(self, bands, seed, steps):
        assert bands == 8
        self.seed, self.steps = seed, steps
        self.learned, self.water, self.land = {}, 0, 0
        type(self).made.append(self)

    def epoch(self, tiles, number, steps):
        for each in tiles:
            used = each.weight > 0
            self.learned[each.name] = self.learned.get(each.name, False) | used
            self.water += int((used & (each.water == 1)).sum())
            self.land += int((used & (each.water == 0)).sum())
        return 0.0

    def probability(self, each):
        lie = np.where(each.water == 1, 0.0, 1.0)
        mine = self.learned.get(each.name, np.zeros(each.water.shape, bool))
        return np.where(mine, lie, 0.5).astype(np.float32)

    def state(self):
        return []


@pytest.fixture
def liars(monkeypatch):
    """Every network made in a test."""
    monkeypatch.setattr(Liar, "made", [], raising=False)
    monkeypatch.setattr(dense, "Trainer", Liar)
    return Liar.made


def prepared(tiles, seed=0):
    method = EvidenceMethod()
    method.prepare(Tiles(tiles), seed=seed, progress=False)
    return method


@pytest.mark.parametrize("blocks", [correction.BLOCKS, (32,), (11,)])
def test_no_pixel_is_judged_by_a_network_that_learned_from_it(liars, monkeypatch, blocks):
    monkeypatch.setattr(correction, "BLOCKS", blocks)
    tiles = [tile(seed, f"t{seed}") for seed in range(3)]
    method = prepared(tiles, seed=40)
    first, second = liars
    assert {first.seed, second.seed} == {40, 41}
    for each in tiles:
        mine, other = (network.learned[each.name] for network in liars)
        assert not (mine & other).any()
        assert (mine | other).any()
        alone = taught(Says()).correct(each)
        done = method.correct(each)
        np.testing.assert_array_equal(done.label, alone.label)
        assert done.record["network_disagrees"] == 0
    for network in liars:
        assert min(network.water, network.land) >= correction.FEWEST_SURE


def test_no_pixel_of_a_season_is_judged_by_a_network_that_learned_from_it(liars, monkeypatch):
    for name in ("MISSED", "TAKEN"):
        monkeypatch.setattr(correction, name, 1e9)  # believed, however wrong
    tiles = [season(tile(seed, f"t{seed}")) for seed in range(3)]
    method = prepared(tiles)
    assert len({network.seed for network in liars}) == len(liars) == 6
    for each in tiles:
        for jury in method._juries:
            mine, other = (
                np.any([network.learned[each.name] for network in half], axis=0)
                for half in (jury.networks[::2], jury.networks[1::2])
            )
            assert not (mine & other).any()
            assert (mine | other).any()
        alone = taught(Says()).correct(each)
        np.testing.assert_array_equal(method.correct(each).label, alone.label)


class Opinion(Says):
    """A network with an opinion of every pixel, whatever it is taught."""

    def __init__(self, bands, seed, steps):
        super().__init__()

    def epoch(self, tiles, number, steps):
        return 0.0

    def state(self):
        return []

    def probability(self, each):
        return self.of(each)


def test_the_word_of_networks_of_qa_labels_counts_as_far_as_it_is_right(monkeypatch):
    """Right where the spectrum is sure, but for shares of the land and of the water."""
    chance = np.random.default_rng(0).random((SIDE - 6, SIDE - 6))

    def credit(taken, missed):
        def of(each):
            water = np.where(each.water == 1, chance >= missed, chance < taken)
            return np.where(water, 0.999, 0.001).astype(np.float32)

        monkeypatch.setattr(Opinion, "of", staticmethod(of), raising=False)
        monkeypatch.setattr(dense, "Trainer", Opinion)
        tiles = [season(tile(seed, f"t{seed}", hole=False)) for seed in range(2)]
        return prepared(tiles)._juries[0].credit

    land_to_water = 3  # lakes cover a quarter
    some = 1 - 0.05 * land_to_water / correction.TAKEN
    half = 1 - 0.02 / correction.MISSED
    assert credit(0, 0) == (1, 1)
    assert credit(0.05, 0) == (pytest.approx(some, abs=0.06), 1)
    assert credit(0, 0.02) == (1, pytest.approx(half, abs=0.15))
    assert credit(0.2, 0) == (0, 1)
    assert credit(0.2, 0.1) == (0, 0)


def test_credit_for_water_and_for_land_weigh_the_one_word_and_the_other():
    given = season(shade())
    weight = weigh(given).log_odds
    seen = np.isfinite(weight)[INSIDE]

    def heard(probability, credit):
        method = taught(Says(), of_qa=[Says(probability)])
        elsewhere, network = method._juries
        method._juries = (replace(elsewhere, credit=credit), network)
        said, _ = method._said(given, weigh(given))
        return set(np.unique(said[INSIDE][seen]).tolist()) - {0.0}

    def of_corrected(probability, credit):
        method = taught(Says(probability))
        method._juries = tuple(replace(jury, credit=credit) for jury in method._juries)
        _, said = method._said(given, weigh(given))
        return set(np.unique(said[INSIDE][seen]).tolist()) - {0.0}

    (_, once), (_, always) = correction.ONCE_NETWORK, correction.ALWAYS_NETWORK
    assert of_corrected(1.0, (1.0, 0.0)) == {always}
    assert of_corrected(0.0, (1.0, 0.0)) == {-once}
    assert of_corrected(0.0, (0.0, 0.5)) == {-(once + always) / 2}
    _, most = correction.ALWAYS_ELSEWHERE
    assert heard(1.0, (0.5, 0.0)) == {0.5 * most}
    assert heard(0.0, (0.0, 0.25)) == {-0.25 * most}
    assert heard(1.0, (0.0, 1.0)) == heard(0.0, (1.0, 0.0)) == set()


def right(each):
    return np.where(each.water == 1, 0.999, 0.001).astype(np.float32)


def land(each):
    return np.full(each.water.shape, 0.001, np.float32)


@pytest.mark.parametrize(
    ("opinion", "constants", "believed"),
    [
        (right, {}, 1),
        (right, {"SURE_ALONE": 99}, 0),
        (land, {"MISSED": 1e9, "ALWAYS_ELSEWHERE": (10, 9)}, 0),
    ],
    ids=["right", "with none to judge them", "leaving nothing to learn water from"],
)
def test_whether_networks_of_the_qa_labels_are_believed(monkeypatch, opinion, constants, believed):
    for name, value in constants.items():
        monkeypatch.setattr(correction, name, value)
    monkeypatch.setattr(Opinion, "of", staticmethod(opinion), raising=False)
    monkeypatch.setattr(dense, "Trainer", Opinion)
    method = prepared([season(tile(seed, f"t{seed}")) for seed in range(2)])
    assert len(method._juries[0].networks) == 4
    assert method._juries[0].credit == (believed, believed)


def test_without_qa_water_in_both_halves_none_learns_from_the_qa_labels(liars):
    each = tile(hole=False)
    given = season(replace(each, qa=np.zeros_like(each.qa)))
    prepared([given])
    assert len(liars) == 2


class Counter(Opinion):
    """A network whose opinion is what it was taught so far."""

    left = 0

    def __init__(self, bands, seed, steps):
        super().__init__(bands, seed, steps)
        self.taught = float(seed)

    def epoch(self, tiles, number, steps):
        if Counter.left == 0:
            raise KeyboardInterrupt
        Counter.left -= 1
        water = sum(float((each.weight * each.water).sum()) for each in tiles)
        self.taught = (3 * self.taught + water + number + steps) % 1000
        return 0.0

    def probability(self, each):
        odds = np.where(each.water == 1, 1, -1) * (1 + self.taught / 1000)
        return (1 / (1 + np.exp(-odds))).astype(np.float32)

    def state(self):
        return [np.array(self.taught)]

    def restore(self, state):
        (taught,) = state
        self.taught = float(taught)


def test_a_correction_killed_in_any_round_goes_on_as_if_it_had_not_been(monkeypatch, tmp_path):
    monkeypatch.setattr(correction, "SETTLED", -1.0)
    monkeypatch.setattr(dense, "Trainer", Counter)
    tiles = [season(tile(seed, f"t{seed}")) for seed in range(2)]

    def learned(path, epochs):
        monkeypatch.setattr(Counter, "left", epochs)
        method = EvidenceMethod(path, "key")
        method.prepare(Tiles(tiles), seed=0, progress=False)
        jury, network = method._juries
        return jury.credit, [each.taught for each in (*jury.networks, *network.networks)]

    whole = learned(tmp_path / "whole", 1000)
    needed = 1000 - Counter.left
    assert needed > 12  # six networks in rounds
    for epochs in range(needed):
        path = tmp_path / str(epochs)
        with pytest.raises(KeyboardInterrupt):
            learned(path, epochs)
        assert learned(path, 1000) == whole
    done = learned(tmp_path / "whole", 0)  # nothing is left to learn
    assert done == whole
    rows = [{"changed": 1.0}]
    odd = checkpoint.Standing(rows, [np.array(1.0)] * 3, [], 0, 0.0)
    checkpoint.save(tmp_path / "odd", "key", odd)
    assert learned(tmp_path / "odd", 1000) == whole, "of other networks"


def test_of_few_pixels_networks_learn_in_fewer_steps(liars, monkeypatch):
    prepared([tile()])
    few = {network.steps for network in liars}
    assert max(few) < sum(correction.STEPS) / 4
    liars.clear()
    monkeypatch.setattr(correction, "PASSES", 10_000)
    prepared([tile()])
    assert {network.steps for network in liars} == {sum(correction.STEPS)}


def test_a_lake_in_one_corner_is_shared_between_the_networks_by_smaller_blocks(liars):
    """Blocks of 64 pixels and more would leave all of it to one of them."""
    cover = np.zeros((160, 160), int)
    cover[8:52, 8:52] = 1
    corner = Tile("a", spectrum(cover, (FOREST, DEEP), noise=0.002), cover.astype(np.uint8))
    method = prepared([corner])
    assert len(liars) == 2
    for network in liars:
        assert network.water >= correction.FEWEST_SURE
    found = method.correct(corner).label
    np.testing.assert_array_equal(found, cover)


def test_a_pond_too_small_to_be_shared_is_learned_by_one_network(liars):
    cover = np.zeros((60, 60), int)
    cover[5:14, 5:14] = 1
    pond = Tile("a", spectrum(cover, (FOREST, DEEP), noise=0.002), cover.astype(np.uint8))
    prepared([pond])
    assert len(liars) == 1
    network = prepared([season(pond)])._juries[1]
    assert network.credit == (0, 0), "it judges what it learned from"


def test_networks_learn_from_so_many_tiles_and_judge_the_others_together(liars, monkeypatch):
    monkeypatch.setattr(correction, "MOST_TILES", 2)
    tiles = [tile(seed, f"t{seed}") for seed in range(4)]
    method = prepared(tiles)
    learned = set(liars[0].learned) | set(liars[1].learned)
    assert len(learned) == 2
    for each in tiles:
        assert set(np.unique(method.correct(each).label)) >= {0, 1}


def test_what_lies_in_no_whole_window_is_not_learned_from(liars):
    given = tile()
    prepared([given])
    bad = np.isnan(given.features).any(axis=0)
    for network in liars:
        for row, col in np.argwhere(network.learned["a"]):
            assert not bad[row : row + 7, col : col + 7].any()


@pytest.mark.parametrize(
    ("covers", "kind"), [((DEEP, TURBID), "land"), ((FOREST, DESERT), "water")]
)
def test_without_sure_water_or_sure_land_there_is_nothing_to_learn(covers, kind):
    cover = np.zeros((50, 50), int)
    cover[:, 20:] = 1
    qa = np.full((50, 50), int(kind == "land"), np.uint8)
    with pytest.raises(LabelError, match=f"are surely {kind}: .*larger area") as caught:
        prepared([Tile("a", spectrum(cover, covers), qa)])
    assert "\n" not in str(caught.value)


def test_a_dry_region_is_learned_from_its_tiles_with_water(monkeypatch):
    """Of hundreds of tiles, two hold all the water."""
    monkeypatch.setattr(correction, "MOST_TILES", 4)
    names = [f"t{number:03}" for number in range(200)]
    for seed in range(10):
        chosen = correction._spread(names, ["t050", "t150"], seed)
        assert {"t050", "t150"} <= set(chosen)
        assert len(chosen) == len(set(chosen)) == 4
        assert chosen == sorted(chosen)
        many = correction._spread(names, names[100:], seed)
        assert sum(name >= "t100" for name in many) >= 2
    assert correction._spread(names, [], 0) != correction._spread(names, [], 1)
