"""An emitted top answers its host, bit for bit, run after run, whatever pauses and resets happen.

TOP_DATA names an .npz: for the Nth stream inputs_N [F, in_beats] and outputs_N [F, out_beats], whole numbers.
TOP_PATIENCE is the number of cycles until a frame counts as lost.
"""

import json
import os
import random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly, RisingEdge, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)
from parts.ports import as_beats

from hwgen.registers import BIT, OFFSET

NAMES = "ID VERSION CONTROL STATUS FRAMES FRAMES_IN FRAMES_OUT CYCLES INPUT_STALLS OUTPUT_STALLS STARVED"
ID, VERSION, CONTROL, STATUS, FRAMES, FRAMES_IN, FRAMES_OUT, CYCLES, INPUT_STALLS, OUTPUT_STALLS, STARVED = (
    OFFSET[name] for name in NAMES.split()
)
IN_BEATS, OUT_BEATS, IN_BEATS_OF, OUT_BEATS_OF = (
    OFFSET[name] for name in ("IN_BEATS", "OUT_BEATS", "IN_BEATS_OF", "OUT_BEATS_OF")
)
START, SOFT_RESET, TLAST_EACH, TLAST_NONE = (
    BIT[f"CONTROL_{name}"] for name in ("START", "SOFT_RESET", "TLAST_EACH", "TLAST_NONE")
)
INTERRUPT, INTERRUPT_ENABLE = OFFSET["INTERRUPT"], OFFSET["INTERRUPT_ENABLE"]
PATIENCE = int(os.environ.get("TOP_PATIENCE", "100000"))
BUSY, DONE, TLAST_ERROR = (BIT[f"STATUS_{name}"] for name in ("BUSY", "DONE", "TLAST_ERROR"))


def flips(chance, seed):
    """True with that chance, without end."""
    draw = random.Random(seed)
    while True:
        yield draw.random() < chance


class Board:
    """The host around a top: registers, streams with random pauses, and the data to compare with."""

    def __init__(self, dut):
        self.dut = dut
        with np.load(os.environ["TOP_DATA"]) as data:
            self.inputs, self.outputs = (
                [data[f"{side}_{n}"] for n in range(sum(name.startswith(side) for name in data))]
                for side in ("inputs", "outputs")
            )
        self.count = len(self.inputs[0])
        self.longest = max(frames.shape[1] for frames in self.inputs)
        reset = {"reset": dut.aresetn, "reset_active_level": False}
        self.axi = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.aclk, **reset)
        stream = {"clock": dut.aclk, **reset}
        self.sources = [
            AxiStreamSource(AxiStreamBus.from_prefix(dut, f"s{n or ''}_axis"), **stream)
            for n in range(len(self.inputs))
        ]
        self.sinks = [
            AxiStreamSink(AxiStreamBus.from_prefix(dut, f"m{n or ''}_axis"), **stream) for n in range(len(self.outputs))
        ]

    async def power_up(self):
        self.dut.aresetn.value = 0
        Clock(self.dut.aclk, 10, "ns").start()
        await ClockCycles(self.dut.aclk, 4)
        await FallingEdge(self.dut.aclk)
        self.dut.aresetn.value = 1

    def pause(self, source, sink, seed=1):
        """Pause each stream in that share of the cycles."""
        for streams, chance in ((self.sources, source), (self.sinks, sink)):
            for n, stream in enumerate(streams):
                stream.set_pause_generator(flips(chance, f"{seed} {stream._type} {n or ''}"))

    async def read(self, address):
        answer = await self.axi.read(address, 4)
        assert answer.resp == AxiResp.OKAY
        return int.from_bytes(answer.data, "little")

    async def read_wide(self, address):
        return await self.read(address) | await self.read(address + 4) << 32

    async def write(self, address, value):
        assert (await self.axi.write(address, value.to_bytes(4, "little"))).resp == AxiResp.OKAY

    async def start(self, frames, tlast=0):
        await self.write(FRAMES, frames)
        await self.write(CONTROL, START | tlast)

    def size(self, port):
        """Bytes of the network's word at a port: TOP_BYTES says it in JSON, or it is the port's beat."""
        found = json.loads(os.environ.get("TOP_BYTES", "{}"))
        return found.get(port) or len(getattr(self.dut, f"{port}_tdata")) // 8

    def words(self, index, n=0):
        mask = (1 << 8 * self.size(f"s{n or ''}_axis")) - 1
        return [int(word) & mask for word in self.inputs[n][index % self.count]]

    def offer(self, index, half=False):
        """Queue the frame `index` on each input, or half its words; its last word carries tlast."""
        for n in range(len(self.sources)):
            words = self.words(index, n)
            self.transfer(words[: max(1, len(words) // 2)] if half else words, n)

    def transfer(self, words, n=0):
        """Queue words on an input, the last with tlast."""
        size = self.size(f"s{n or ''}_axis")
        self.sources[n].send_nowait(AxiStreamFrame(b"".join(word.to_bytes(size, "little") for word in words)))

    def transfer_others(self, frames):
        """Queue good frames on all inputs but the first, as one transfer."""
        for n in range(1, len(self.sources)):
            self.transfer([word for index in frames for word in self.words(index, n)], n)

    async def expect(self, index):
        """The next frame that comes on each output is the frame `index`, extended to whole bytes."""
        for n, sink in enumerate(self.sinks):
            size = self.size(f"m{n or ''}_axis")
            got = bytes((await with_timeout(sink.recv(), 10 * PATIENCE, "ns")).tdata)
            mask = (1 << 8 * size) - 1
            want = [(int(word) & mask).to_bytes(size, "little") for word in self.outputs[n][index % self.count]]
            assert got == b"".join(want), f"frame {index} of output {n}"

    async def done(self):
        """STATUS at the end of the run, be it done or failed."""
        for _ in range(PATIENCE):
            status = await self.read(STATUS)
            if status & (DONE | TLAST_ERROR):
                assert (status & BUSY != 0) == (status & TLAST_ERROR != 0)
                return status
            assert status & BUSY
        raise AssertionError("done did not rise")

    async def recover(self):
        """What a host does after an error: it stops its DMA engines, and they drop what they hold."""
        for stream in (*self.sources, *self.sinks):
            stream.assert_reset(True)
        await self.write(CONTROL, SOFT_RESET)
        assert await self.read(STATUS) == 0
        for stream in (*self.sources, *self.sinks):
            stream.clear()
            stream.assert_reset(False)
        await RisingEdge(self.dut.aclk)

    async def run(self, frames, first=0):
        """One clean run; returns its STATUS."""
        await self.start(frames)
        for index in range(first, first + frames):
            self.offer(index)
        for index in range(first, first + frames):
            await self.expect(index)
        return await self.done()


async def begin(dut, source=0.0, sink=0.0):
    board = Board(dut)
    await board.power_up()
    board.pause(source, sink)
    return board


@cocotb.test()
async def the_host_finds_what_the_design_is(dut):
    board = await begin(dut)
    assert await board.read(ID) == int.from_bytes(b"HWGN", "big")
    for first, others, frames in ((IN_BEATS, IN_BEATS_OF, board.inputs), (OUT_BEATS, OUT_BEATS_OF, board.outputs)):
        for n, each in enumerate(frames):
            assert await board.read(others + 4 * n if n else first) == each.shape[1]
    assert await board.read(STATUS) == 0
    assert (await board.axi.read(0x60, 4)).resp == AxiResp.SLVERR
    assert (await board.axi.write(ID, bytes(4))).resp == AxiResp.SLVERR


@cocotb.test()
@cocotb.parametrize(source=[0.0, 0.5], sink=[0.0, 0.5, 0.9])
async def frames_are_bit_exact_whoever_pauses(dut, source, sink):
    board = await begin(dut, source, sink)
    count = board.count
    assert await board.run(count) == DONE
    assert await board.read(FRAMES_IN) == await board.read(FRAMES_OUT) == count


@cocotb.test()
async def runs_follow_each_other(dut):
    board = await begin(dut, 0.2, 0.2)
    for first in range(3):
        assert await board.run(1 + first, first) == DONE
        assert await board.read(FRAMES_OUT) == 1 + first


@cocotb.test()
@cocotb.parametrize(source=[0.0, 0.8], sink=[0.0, 0.8])
async def counters_are_consistent(dut, source, sink):
    board = await begin(dut, source, sink)
    count = board.count
    await board.run(count)
    cycles, stalls = await board.read_wide(CYCLES), await board.read_wide(INPUT_STALLS)
    starved, held = await board.read_wide(STARVED), await board.read_wide(OUTPUT_STALLS)
    words_in, words_out = (max(each.size for each in frames) for frames in (board.inputs, board.outputs))
    several_in, several_out = len(board.inputs) > 1, len(board.outputs) > 1
    # of several, one may move words while another counts
    assert max(words_in, stalls, starved) <= cycles if several_in else words_in + stalls + starved <= cycles
    assert max(words_out, held) <= cycles if several_out else words_out + held <= cycles
    if source:
        assert starved > 0
    if all(board.size(f"m{n or ''}_axis") == len(each.bus.tdata) // 8 for n, each in enumerate(board.sinks)):
        assert (held > 0) == (sink > 0)
    assert await board.read_wide(CYCLES) == cycles, "the counter stands still after done"


@cocotb.test()
async def no_word_enters_before_start_or_after_the_last_frame(dut):
    board = await begin(dut)
    for index in range(3):
        board.offer(index)
    await ClockCycles(dut.aclk, 50)
    assert await board.read(FRAMES_IN) == 0 and all(sink.empty() for sink in board.sinks)
    await board.start(2)
    await board.expect(0)
    await board.expect(1)
    await board.done()
    await ClockCycles(dut.aclk, 50)
    assert await board.read(FRAMES_IN) == 2 and all(sink.empty() for sink in board.sinks)
    await board.start(1)  # the third frame waited
    await board.expect(2)
    assert await board.done() == DONE


@cocotb.test()
async def a_word_offered_right_after_reset_is_not_lost(dut):
    board = Board(dut)
    board.sources[0].assert_reset(True)  # driven by hand here
    await board.power_up()
    board.transfer_others([0])
    cocotb.start_soon(board.start(1))
    for data, keep, last in as_beats(board.words(0), 8 * board.size("s_axis"), len(dut.s_axis_tdata)):
        dut.s_axis_tdata.value, dut.s_axis_tkeep.value, dut.s_axis_tlast.value = data, keep, last
        dut.s_axis_tvalid.value = 1
        while True:
            await ReadOnly()
            taken = int(dut.s_axis_tready.value)
            await FallingEdge(dut.aclk)
            if taken:
                break
    dut.s_axis_tvalid.value = 0
    await board.expect(0)


@cocotb.test()
@cocotb.parametrize(frames=[0, 1, 2], sink_open=[False, True])
async def soft_reset_in_mid_frame_leaves_all_clean(dut, frames, sink_open):
    board = await begin(dut)
    if not sink_open:
        board.pause(0.0, 1.0)
    await board.start(0)
    for index in range(frames):
        board.offer(index)
    board.offer(frames, half=True)
    await ClockCycles(dut.aclk, 20 + 4 * board.longest)
    assert await board.read(STATUS) & (BUSY | DONE) == BUSY
    await board.recover()
    board.pause(0.2, 0.2)
    assert await board.run(2, first=1) == DONE
    assert await board.read(FRAMES_IN) == await board.read(FRAMES_OUT) == 2


@cocotb.test()
async def hard_reset_in_mid_frame_leaves_all_clean(dut):
    board = await begin(dut)
    await board.start(0)
    board.offer(0)
    board.offer(1, half=True)
    await ClockCycles(dut.aclk, 20 + 2 * board.longest)
    await FallingEdge(dut.aclk)
    dut.aresetn.value = 0
    await ClockCycles(dut.aclk, 4)
    for stream in (*board.sources, *board.sinks):
        stream.clear()
    await FallingEdge(dut.aclk)
    dut.aresetn.value = 1
    assert await board.run(2, first=1) == DONE


@cocotb.test()
async def ready_is_low_before_start_and_after_the_last_word(dut):
    board = await begin(dut)
    for transfer in range(2):
        for _ in range(20):
            await RisingEdge(dut.aclk)
            for n in range(len(board.sources)):
                ready = getattr(dut, f"s{n or ''}_axis_tready")
                assert not int(ready.value), "words offered, none taken"
            if transfer == 0:
                board.offer(0)
        await board.start(1)
        await board.expect(0)
        assert await board.done() == DONE


FAULTS = {  # frames a run, transfers made of three good frames, how many of the runs are good
    "a word too few": (1, lambda a, b, c: (a[:-1], b, c), 0),
    "a word too few later": (2, lambda a, b, c: (a, b, c[:-1], a, b), 1),
    "a word too few of several frames": (2, lambda a, b, c: (a + b[:-1], c), 0),
    "a word too many": (1, lambda a, b, c: (a + b[:1], b, c), 0),
    "a word between two frames": (1, lambda a, b, c: (a, a[:1] + b, c), 1),
    "a word before all": (1, lambda a, b, c: (a[:1] + b, c), 0),
    "a frame too many": (1, lambda a, b, c: (a + b, c), 0),
    "a tlast in the middle": (1, lambda a, b, c: (a, b, c[:1], c[1:]), 2),
}


@cocotb.test()
@cocotb.parametrize(fault=list(FAULTS), tlast=[0, TLAST_EACH])
async def no_run_that_met_a_fault_is_ever_done(dut, fault, tlast):
    """Runs before it are right, and none follows until soft_reset. The fault is on the first input."""
    board = await begin(dut, 0.2, 0.2)
    frames, transfers, good = FAULTS[fault]
    if board.inputs[0].shape[1] == 1 and ("few" in fault or "middle" in fault):
        return  # no word is left of such a transfer
    for index in range(3):
        for n in range(1, len(board.sources)):
            board.transfer(board.words(index, n), n)
    for words in transfers(*map(board.words, range(3))):
        board.transfer(words)
    for run in range(good):
        await board.start(frames, tlast)
        for index in range(run * frames, (run + 1) * frames):
            await board.expect(index)
        assert await board.done() == DONE
    await board.start(frames, tlast)
    assert await board.done() == BUSY | TLAST_ERROR
    entered = await board.read(FRAMES_IN)
    await board.start(frames, tlast)
    board.offer(0)
    await ClockCycles(dut.aclk, 20 + 2 * board.longest)
    assert await board.read(STATUS) == BUSY | TLAST_ERROR and await board.read(FRAMES_IN) == entered
    await board.recover()
    assert await board.run(2, first=1) == DONE


@cocotb.test()
async def a_byte_too_few_is_an_error(dut):
    board = await begin(dut)
    size = board.size("s_axis")
    if size == 1:
        return  # no byte is less than a word
    board.transfer_others([0])
    whole = b"".join(word.to_bytes(size, "little") for word in board.words(0))
    board.sources[0].send_nowait(AxiStreamFrame(whole[:-1]))
    await board.start(1)
    assert await board.done() == BUSY | TLAST_ERROR
    await board.recover()
    assert await board.run(2, first=1) == DONE


@cocotb.test()
async def the_end_of_a_run_interrupts(dut):
    board = await begin(dut)
    await board.write(INTERRUPT_ENABLE, 1)
    await board.start(1)
    await ClockCycles(dut.aclk, 5)
    assert not int(dut.irq.value)
    board.offer(0)
    await with_timeout(RisingEdge(dut.irq), 10 * PATIENCE, "ns")
    await board.expect(0)
    assert await board.read(STATUS) == DONE and await board.read(INTERRUPT) == 1
    await board.write(INTERRUPT, 1)
    await ClockCycles(dut.aclk, 5)
    assert not int(dut.irq.value)


@cocotb.test()
async def a_transfer_may_hold_several_frames_or_have_no_tlast_at_all(dut):
    board = await begin(dut)
    three = [word for index in range(3) for word in board.words(index)]
    for tlast, frames in ((0, 3), (TLAST_NONE, 2), (TLAST_NONE, 1)):
        if frames > 1:
            board.transfer(three)
            board.transfer_others(range(3))
        await board.start(frames, tlast)
        for index in range(frames):
            await board.expect(index if frames > 1 else 2)  # the last run takes what the one before left
        assert await board.done() == DONE
