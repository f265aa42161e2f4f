"""Drives, takes and watches tdata/tvalid/tready streams with seeded stalls, alike on every simulator.

Everything is driven on the falling edge and read there in ReadOnly: what is read is what the next rising edge
sees, so no race remains.
"""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

PATIENCE = 20_000  # cycles without a transfer until a stream counts as hung


async def start(dut, **initial) -> None:
    """Give the inputs named in `initial` their values, start `clk` (10 ns) and reset the design."""
    for name, value in initial.items():
        getattr(dut, name).value = value
    dut.rst.value = 1
    Clock(dut.clk, 10, "ns").start()
    await reset(dut)


async def reset(dut, cycles: int = 2) -> None:
    """Raise `rst` now, hold it over some rising edges; returns on the falling edge that releases it."""
    dut.rst.value = 1
    for _ in range(cycles):
        await FallingEdge(dut.clk)
    dut.rst.value = 0


class _Stream:
    """The signals of one stream, and the random stalls of the side that the bench plays."""

    def __init__(self, dut, prefix: str, stall: float = 0.0, seed: int = 0):
        self.clk, self.prefix = dut.clk, prefix
        self.data = getattr(dut, f"{prefix}_tdata")
        self.valid = getattr(dut, f"{prefix}_tvalid")
        self.ready = getattr(dut, f"{prefix}_tready")
        self.stall, self.random = stall, random.Random(f"{prefix} {seed}")

    def stalled(self) -> bool:
        return self.random.random() < self.stall


class Source(_Stream):
    """Offers words; `stall` is the chance of an idle cycle before each."""

    async def send(self, words) -> None:
        """Send all words; returns on the falling edge after the last went."""
        await FallingEdge(self.clk)
        for sent, word in enumerate(words):
            while self.stalled():
                self.idle()
                await FallingEdge(self.clk)
            self.valid.value = 1
            self.data.value = word
            for _ in range(PATIENCE):
                await ReadOnly()
                moved = int(self.ready.value)
                await FallingEdge(self.clk)
                if moved:
                    break
            else:
                raise AssertionError(f"{self.prefix} took {sent} of {len(words)} words, then hung")
        self.idle()

    def idle(self) -> None:
        """Offer nothing; the data changes all the same, for nobody may look at it."""
        self.valid.value = 0
        self.data.value = self.random.getrandbits(len(self.data))


class Sink(_Stream):
    """Takes words; `stall` is the chance of each cycle to be not ready.

    From the first call on it fails when an offered word is withdrawn or changed before it is taken, or before `rst` or
    another signal of those in `ends` is raised between two calls.
    """

    def __init__(self, dut, prefix: str, stall: float = 0.0, seed: int = 0, ends: tuple[str, ...] = ()):
        super().__init__(dut, prefix, stall, seed)
        self.ends = [getattr(dut, name) for name in ("rst", *ends)]
        self.held, self.watching = None, None

    async def take(self, count: int) -> list[int]:
        """The next `count` words, unsigned; returns on the falling edge after the last came."""
        words, clock = [], 0
        self.times = []  # the clock of each of them, counted from the first one here
        await FallingEdge(self.clk)
        if self.watching:
            self.watching.cancel()
            self.watching = None
        else:  # the first call, or one after a call that was cancelled
            self.held = None
        while len(words) < count:
            ready = not self.stalled()
            self.ready.value = int(ready)
            await ReadOnly()
            word = self._offered()
            self.held = None if ready else word
            if ready and word is not None:
                words.append(word)
                self.times.append(clock)
            clock += 1
            if clock - (self.times or [0])[-1] > PATIENCE:
                raise AssertionError(f"{self.prefix} gave {len(words)} of {count} words, then hung")
            await FallingEdge(self.clk)
        self.ready.value = 0
        self.watching = cocotb.start_soon(self._watch())
        return words

    def _offered(self) -> int | None:
        """The word that the next rising edge sees."""
        word = int(self.data.value) if int(self.valid.value) else None
        if self.held is not None:
            assert word is not None, f"{self.prefix}_tvalid fell before tready"
            assert word == self.held, f"{self.prefix}_tdata changed before tready"
        return word

    async def _watch(self) -> None:
        """What is offered while nobody takes."""
        while True:
            await ReadOnly()
            word = None if any(int(end.value) for end in self.ends) else self._offered()
            self.held = None if int(self.ready.value) else word
            await FallingEdge(self.clk)


async def interrupt(dut, sending, source: Source) -> None:
    """Stop a source that sends, the task `sending`, and reset: nothing of what it sent is offered behind that."""
    sending.cancel()
    source.idle()
    await reset(dut, cycles=1)
    assert int(dut.m_axis_tvalid.value) == 0


async def begin(dut, source_stall: float = 0.0, sink_stall: float = 0.0) -> tuple[Source, Sink]:
    """Start a module between the streams s_axis and m_axis."""
    source = Source(dut, "s_axis", source_stall, seed=1)
    sink = Sink(dut, "m_axis", sink_stall, seed=2)
    await start(dut, s_axis_tvalid=0, s_axis_tdata=0, m_axis_tready=0)
    return source, sink
