"""Scrubbing: a host writes the lists of loadable layers again, before a second bit of a word can flip.

Check bits put a flipped bit right as it is read, and leave it in the memory (docs/protect.md). Writing the list again
takes it out.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hwgen.errors import BadInput, ToolFailed
from hwgen.manifest import read_manifest
from hwgen.registers import BIT, OFFSET
from hwgen.weights import LOAD_LAYER, Weights, load_words

STATUS, LOAD_CHECK, FAULTS, REPAIRS = (OFFSET[name] for name in ("STATUS", "LOAD_CHECK", "FAULTS", "REPAIRS"))
BUSY = BIT["STATUS_BUSY"]


class Scrubber:
    """Writes lists again, through the registers of the AXI top.

    folder   of a build with --loadable and --protect
    read     gives the 32 bits of the register at an offset
    write    sets them
    seconds  after which all lists are written, whatever the registers tell; 0: each time
    weights  what the layers hold; None: the build's own
    clock    seconds
    Raises BadInput where no layer of the build is loadable, or none is protected.
    """

    def __init__(
        self,
        folder: str | Path,
        read: Callable[[int], int],
        write: Callable[[int, int], None],
        seconds: float = 60.0,
        weights: Weights | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        known = read_manifest(folder)
        if not known["protected"]:
            raise BadInput("nothing of the build tells of flipped bits", str(folder), "build it with --protect")
        self.read, self.write, self.seconds, self.clock = read, write, seconds, clock
        self.weights = weights or load_words(folder)
        self.bits = {layer.name: known["protected"].index(layer.name) for layer in self.weights.layers}
        starts = np.flatnonzero(self.weights.writes[:, 0] == LOAD_LAYER)
        lists = np.split(self.weights.writes, starts[1:])
        self.lists = dict(zip(self.bits, lists, strict=True))
        self.last = clock()

    def step(self) -> list[str]:
        """To be called between runs. The layers that were written: those of which FAULTS or REPAIRS tells, whose bits
        there are cleared, or all when it is time; none during a run. Raises ToolFailed when LOAD_CHECK is not that of
        the list."""
        if self.read(STATUS) & BUSY:
            return []
        told = {name for name, bit in self.bits.items() if self._told(bit)}
        if self.clock() - self.last >= self.seconds:
            told, self.last = {*self.bits}, self.clock()
        for layer in self.weights.layers:
            if layer.name in told:
                for offset, value in self.lists[layer.name].tolist():
                    self.write(offset, value)
                if self.read(LOAD_CHECK) != layer.check:
                    raise ToolFailed("the list did not arrive as it was sent", layer.name, "write it again")
                self._clear(self.bits[layer.name])
        return [layer.name for layer in self.weights.layers if layer.name in told]

    def _told(self, bit: int) -> bool:
        return any(self.read(base + 4 * (bit // 32)) >> bit % 32 & 1 for base in (FAULTS, REPAIRS))

    def _clear(self, bit: int) -> None:
        for base in (FAULTS, REPAIRS):
            self.write(base + 4 * (bit // 32), 1 << bit % 32)
