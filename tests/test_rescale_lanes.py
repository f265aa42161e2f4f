"""What lanes do where sums become levels by factors or thresholds: exact for every sum that can come."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hwgen.devices.series7 import DEVICE as SERIES7
from hwgen.devices.ultrascale_plus import DEVICE
from hwgen.engines import Limits
from hwgen.engines.lanes import Lanes
from hwgen.errors import DoesNotFit
from hwgen.ir import TensorType
from hwgen.lanes.entries import Rounds
from hwgen.lanes.fold import Fold
from hwgen.lanes.rescale import Digits, Slices, _short_biases, shared
from hwgen.lanes.shifts import HalfEven, as_shift
from hwgen.lanes.unit import TermLanes
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.ops.rescale import Rescale, Steps
from hwgen.qtype import QType
from hwgen.stage import Stage
from hwgen.stream import Order

X = TensorType((2, 3, 3), QType(-8, 7), 0)


def drawn(rng, channels: int) -> Rescale:
    """Factors of both signs, without ties."""
    multipliers = rng.integers(1, 1 << int(rng.integers(1, 12)), channels) * rng.choice([-1, 1], channels)
    shift = int(rng.integers(0, 14))
    biases = rng.integers(-(16 << shift), 16 << shift, channels)
    low, high = int(rng.integers(-9, 1)), int(rng.integers(2, 12))
    return Rescale(multipliers, biases, np.zeros(channels, np.int64), shift, low, high)


def levels(quantize: Rescale, channel: int, sums: np.ndarray) -> np.ndarray:
    own = [values[channel % len(values)] for values in (quantize.multipliers, quantize.biases)]
    return np.clip((sums * own[0] + own[1]) >> quantize.shift, quantize.low, quantize.high)


def test_shorter_biases_and_ends_give_the_same_levels():
    rng = np.random.default_rng(0)
    saved = looked = 0
    for _ in range(150):
        quantize = drawn(rng, int(rng.integers(1, 5)))
        low = rng.integers(-600, 300, len(quantize.biases))
        reach = np.stack([low, low + rng.integers(0, 700, len(low))], axis=1)
        short = _short_biases(quantize, reach)
        bits = 11
        found = [kind.of(quantize, bits, reach) for kind in (Slices, Digits)]
        for channel, (least, most) in enumerate(reach):
            sums = np.arange(least, most + 1)
            want = levels(quantize, channel, sums)
            assert (levels(short, channel, sums) == want).all()
            for one in found:
                half = 1 << (one.sum_bits - 1)
                beyond = (sums < -half) | (sums >= half)
                ends = np.where((sums < 0) != (quantize.multipliers[channel] < 0), quantize.low, quantize.high)
                assert (want == ends)[beyond].all()
                looked += int(beyond.any())
        saved += Slices.of(quantize, bits, None).bias_bits - Slices.of(short, bits, None).bias_bits
    assert saved > 300 and looked > 50


def test_factors_that_are_powers_of_two_go_into_the_weights():
    rng = np.random.default_rng(1)
    moved = 0
    for _ in range(40):
        conv = Conv(rng.integers(-3, 4, (3, 2, 1, 1)) / 2, rng.integers(-9, 9, 3) / rng.choice([1, 4]))
        shift, even = int(rng.integers(3, 6)), int(rng.integers(0, 2))
        multipliers = rng.choice([1, 2, -4], 3)
        half = np.full(3, 1 << shift >> 1) if even else rng.integers(-99, 99, 3)
        quantize = Rescale(multipliers, half, np.full(3, even), shift, -8, 7)
        stage = Stage.alone("layer", conv, quantize, X)
        lanes = as_shift(stage)
        if lanes is stage:
            continue
        moved += 1
        assert isinstance(lanes.quantize, HalfEven if even else Quantize) and lanes.quantize.even == bool(even)
        x = torch.randint(-8, 8, (50, *X.shape), generator=torch.Generator().manual_seed(2))
        want = quantize.eval([conv.infer(X)], conv.eval([X], x))
        assert torch.equal(lanes.quantize.eval([lanes.op.infer(X)], lanes.op.eval([X], x)), want)
    assert moved > 20


@pytest.mark.parametrize(
    "quantize",
    [
        Rescale(np.array([3]), np.array([4]), np.array([1]), 3, -8, 7),
        Rescale(np.array([1, 2, 1]), np.array([4, 4, 4]), np.array([1, 0, 1]), 3, -8, 7),  # a tie in some channels
        Rescale(np.array([2]), np.array([5]), np.array([2]), 3, -8, 7),  # a tie in two of eight
    ],
)
def test_others_stay_what_they_are(quantize):
    stage = Stage.alone("layer", Conv(np.ones((3, 2, 1, 1)), np.zeros(3)), quantize, X)
    assert as_shift(stage) is stage


def test_as_few_scalers_as_keep_up():
    rounds = Rounds.of(np.array([20, 20, 20]), 1, False)
    assert shared(rounds, 8, 1, 0)[0] == 1
    assert shared(rounds, 8, 11, 0)[0] == 8 and shared(rounds, 8, 11, 0)[1].cycles == 60
    assert shared(rounds, 8, 10, 0)[0] == 4 and shared(rounds, 8, 10, 1)[0] == 8
    slower = shared(rounds, 8, 21, 0)
    assert slower[0] == 8 and slower[1].cycles == 63


def scaled(quantize, loadable=False, **fold) -> TermLanes:
    conv = Conv(np.arange(-9, 9).reshape(3, 2, 1, 3).astype(float), np.array([5.0, -9, 0]))
    stage = Stage.alone("layer", conv, quantize, X, loadable=loadable)
    return TermLanes(stage, Fold(1, **fold), Order(X.shape), DEVICE)


RESCALE = Rescale(np.array([901, 1000, 1023]), np.array([0, 5000, -70]), np.array([0]), 14, -8, 7)


@pytest.mark.parametrize("kind", ["lut", "dsp", "mac"])
def test_other_weights_keep_factors_and_reach_every_accumulator(kind):
    unit = scaled(RESCALE, loadable=True, kind=kind, memory="bram", multiplier="lut")
    assert unit.scaler is not None and unit.loadable
    half = 1 << (unit.program.sum_bits - 1)
    for channel in range(3):
        sums = np.array([-half, half - 1])
        beyond = unit.scaler.sum_bits < unit.program.sum_bits
        assert not beyond or (levels(RESCALE, channel, sums) == [-8, 7]).all()
    assert isinstance(unit.stage.op, Conv)
    new = replace(unit.stage.op, weight=-unit.stage.op.weight)
    assert unit.reloaded(new).width == unit.rom.width
    with pytest.raises(DoesNotFit, match="grid"):
        unit.reloaded(replace(new, weight=new.weight / 2))
    with pytest.raises(DoesNotFit):
        unit.reloaded(replace(new, weight=new.weight * 64))


def test_multipliers_in_slices_only_where_they_may_be():
    stage = scaled(RESCALE).given
    limits = Limits(None, 8, 1, True, ("rom", "bram"), {}, DEVICE)

    def found(limits):
        return {fold.multiplier for fold in Lanes().choices(stage, limits, lambda: [])}

    assert found(limits) == {"lut", "dsp"}
    assert found(replace(limits, dsp=False)) == found(replace(limits, device=SERIES7)) == {"lut"}
    shift = replace(stage, quantize=Quantize(3, -8, 7))
    assert {fold.multiplier for fold in Lanes().choices(shift, limits, lambda: [])} == {"lut"}


def test_memories_are_in_the_manifest_and_priced():
    many = Rescale(np.arange(1, 4) * 77, np.zeros(3, np.int64), np.array([0]), 9, -8, 7)
    slices, digits = (scaled(many, multiplier=name) for name in ("dsp", "lut"))
    steps = scaled(Steps(np.sort(np.random.default_rng(3).integers(-40, 40, (3, 12)), axis=1), -6))
    for unit in (slices, digits, steps):
        (path,) = unit.files().keys() - {unit.rom_path}
        assert unit.roms()[path] == {"depth": unit.scales.depth, "width": unit.scales.width}
        assert unit.files()[path] == unit.scales.text()
    assert slices.estimate()["DSP"] == 1 and digits.estimate()["DSP"] == steps.estimate()["DSP"] == 0
    assert slices.scales.depth == 3 and steps.scales.depth == 3 * 16
