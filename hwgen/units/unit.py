"""What every hardware block tells the rest: ports, parameters, files, and the pace of a frame."""

import numpy as np

from hwgen.stream import Order


def signed64(values: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Parameters declared `signed [63:0]`: the values as (bits, 64)."""
    return {name: (value & ((1 << 64) - 1), 64) for name, value in values.items()}


def block_rams(depth: int, bits: int) -> int:
    """RAMB36 that a memory of `depth` words of `bits` takes, in the best of the shapes 512 x 72 to 32,768 x 1."""
    return min(-(-depth // (512 << i)) * -(-bits // max(1, 72 >> i)) for i in range(7))


class Unit:
    """One instance of an rtl/ module. Subclasses are frozen dataclasses with a `name`, unique in the design.

    module        the Verilog module
    takes, gives  prefixes of its stream ports: prefix p has p_tdata, p_tvalid, p_tready
    """

    name: str
    module: str
    takes: tuple[str, ...] = ("s_axis",)
    gives: tuple[str, ...] = ("m_axis",)

    @property
    def instance(self) -> str:
        return f"u_{self.module}_{self.name}"

    def note(self) -> str:
        """One line that tells a reader of the Verilog what the instance does."""
        return f"{self.name}: {self.module}"

    def parameters(self) -> dict[str, int | str]:
        """Verilog parameters by name; a (value, width) pair is a sized literal."""
        raise NotImplementedError(f"{type(self).__name__}.parameters")

    def files(self) -> dict[str, str]:
        """Files this instance reads, by their path in the build directory."""
        return {}

    def cycles(self) -> int:
        """Cycles between two frames when nothing else holds the unit up."""
        raise NotImplementedError(f"{type(self).__name__}.cycles")

    def estimate(self) -> dict[str, int]:
        """LUT and BRAM36 before synthesis, rough: to refuse what cannot fit, not to report."""
        raise NotImplementedError(f"{type(self).__name__}.estimate")

    def needs(self) -> np.ndarray:
        """For each beat of an output frame, how many beats of an input frame must have come."""
        raise NotImplementedError(f"{type(self).__name__}.needs")


class BeatByBeat(Unit):
    """A unit that sends one beat for each that it takes, in the same order."""

    order: Order

    def cycles(self):
        return self.order.beats

    def estimate(self):
        return {"LUT": 20, "BRAM36": 0}

    def needs(self):
        return np.arange(1, self.order.beats + 1)
