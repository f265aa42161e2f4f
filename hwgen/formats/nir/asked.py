"""What a .nir file does not hold, and a user has to say."""

from dataclasses import dataclass

from hwgen.errors import BadInput
from hwgen.grids import MAX_BITS, MAX_EXPONENT
from hwgen.nn_spiking.neuron import FIRES, MAX_GUARD, MAX_STEPS, RESETS

TOLERANCE = 2.0**-12  # of a leak: what float32 files are off, and no more
GUARD = 8
WEIGHT_BITS = 16


@dataclass(frozen=True)
class Asked:
    """steps    of a sample, 1 to 65,536
    dt          seconds of a step, above 0; where a neuron's r is already that of a step (IF of Sinabs, Norse), 1
    reset       subtract (the threshold), zero (the file's v_reset) or none
    input_grid  BITS[,EXPONENT[,signed]]: the input's numbers, as hwgen.nn.ActQuant; 1 is spikes
    weight_bits 2 to 16, two's complement, weights being integers times a scale for each layer; None: they must be
                multiples of a power of two within 16 bits as they are
    guard       bits of a membrane below the grid of its currents
    leak_tolerance  how far a leak may be from dt / tau
    fire        > as the format says, or >= (spikingjelly)
    """

    steps: int | None = None
    dt: float | None = None
    reset: str | None = None
    input_grid: str | None = None
    weight_bits: int | None = None
    guard: int = GUARD
    leak_tolerance: float = TOLERANCE
    fire: str = ">"

    def __post_init__(self):
        for name, value, least, most in (
            ("steps", self.steps, 1, MAX_STEPS),
            ("weight_bits", self.weight_bits, 2, WEIGHT_BITS),
            ("guard", self.guard, 0, MAX_GUARD),
        ):
            if value is not None and not least <= value <= most:
                raise BadInput(f"{value}", option(name), f"give {least} to {most:,}")
        if self.dt is not None and not 0 < self.dt < float("inf"):
            raise BadInput(f"{self.dt}", option("dt"), "give the seconds of a step, above 0")
        if not 0 <= self.leak_tolerance < 1:
            raise BadInput(f"{self.leak_tolerance}", option("leak_tolerance"), "give 0 to 1")
        for name, value, known in (("reset", self.reset, RESETS), ("fire", self.fire, FIRES)):
            if value is not None and value not in known:
                raise BadInput(f"{value!r}", option(name), f"use {', '.join(known)}")
        if self.input_grid is not None:
            self._grid(self.input_grid)

    def the_steps(self) -> int:
        return _given(
            self.steps, "steps", "how many steps a sample has", "give them: states start anew with each sample"
        )

    def the_dt(self) -> float:
        hint = "give its seconds: 1e-4 for a file of snnTorch, 1 where r is that of a step (IF of Sinabs, Norse)"
        return _given(self.dt, "dt", "how long a step is", hint)

    def the_reset(self) -> str:
        why = "whether a spike subtracts the threshold or sets the membrane back"
        hint = "give subtract, zero or none, as it was trained: snnTorch writes v_reset = 0 for all of them"
        return _given(self.reset, "reset", why, hint)

    def grid(self) -> tuple[int, int, bool]:
        """Bits, exponent and sign of the input."""
        hint = "give its bits: 1 for spikes; 8,-8 for 8 bits worth 2^-8; 8,-7,signed for two's complement"
        return self._grid(_given(self.input_grid, "input_grid", "what numbers its input is", hint))

    @staticmethod
    def _grid(text: str) -> tuple[int, int, bool]:
        bits, _, rest = text.partition(",")
        exponent, _, sign = rest.partition(",")
        try:
            found = int(bits), int(exponent or "0"), sign == "signed"
        except ValueError:
            found = 0, 0, False
        if not 1 <= found[0] <= MAX_BITS or abs(found[1]) > MAX_EXPONENT or sign not in ("", "signed"):
            raise BadInput(f"{text!r}", option("input_grid"), "give BITS, BITS,EXPONENT or BITS,EXPONENT,signed")
        return found


def _given(value, name: str, why: str, hint: str):
    """A field; raises BadInput if it was not given."""
    if value is None:
        raise BadInput(f"the format does not hold {why}", option(name), hint)
    return value


def option(name: str) -> str:
    """A field as an option of the command line."""
    return f"--{name.replace('_', '-')}"
