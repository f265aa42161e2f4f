"""axil_registers answers every AXI4-Lite access as docs/registers.md says, in any order and under back-pressure."""

import random

import cocotb
from cocotb.triggers import Combine, FallingEdge, ReadOnly
from cocotb.utils import get_sim_time
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp
from parts import beats, config, counts
from parts.stream import Source, reset, start

from hwgen.registers import OFFSET, READ, REGISTERS, WRITE

CONFIGS = [
    {"IN_BEATS": 784, "OUT_BEATS": 10, "VERSION": 0x00010203, "BUILD_ID": 0xDEADBEEF, "LAYERS": layers}
    | ({"LOAD_STREAM": 1} if layers else {})
    for layers in (0, 3)
] + [
    {
        "INPUTS": 3,
        "OUTPUTS": 2,
        "IN_BEATS": beats(784, 10, 1 << 31),
        "OUT_BEATS": beats(7, 0x12345678),
        "VERSION": 1,
        "BUILD_ID": 2,
        "LAYERS": 0,
        "WATCHED": 35,
        "MODES": 5,
    }
]

NAMES = "ID VERSION CONTROL STATUS FRAMES FRAMES_IN FRAMES_OUT IN_BEATS OUT_BEATS BUILD_ID LOAD_LAYERS LOAD_LAYER"
ID, VERSION, CONTROL, STATUS, FRAMES, FRAMES_IN, FRAMES_OUT, IN_BEATS, OUT_BEATS, BUILD_ID, LOAD_LAYERS, LOAD_LAYER = (
    OFFSET[name] for name in NAMES.split()
)
LOAD_WORDS, LOAD_DATA, LOAD_CHECK, LOADED = (OFFSET[f"LOAD{name}"] for name in ("_WORDS", "_DATA", "_CHECK", "ED"))
WATCHED, EVENTS, FAULTS, REPAIRS = (OFFSET[name] for name in ("WATCHED", "EVENTS", "FAULTS", "REPAIRS"))
MODES, MODE, IN_BEATS_OF, OUT_BEATS_OF = (OFFSET[name] for name in ("MODES", "MODE", "IN_BEATS_OF", "OUT_BEATS_OF"))
INTERRUPT, INTERRUPT_ENABLE = OFFSET["INTERRUPT"], OFFSET["INTERRUPT_ENABLE"]
WIDE = {name: OFFSET[name.upper()] for name in ("cycles", "input_stalls", "output_stalls", "starved")}
LOST = {name: OFFSET[name.upper()] for name in ("lost_from", "lost_to")}


def flips(chance, seed):
    """True with that chance, without end."""
    draw = random.Random(seed)
    while True:
        yield draw.random() < chance


class Host:
    """A cocotbext-axi master, and a log of the pulses that the registers give."""

    def __init__(self, dut):
        self.dut = dut
        self.axi = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
        self.pulses, self.loads, self.tlast = [], [], []

    def pause(self, chance):
        """Hold every channel back at random."""
        write, read = self.axi.write_if, self.axi.read_if
        channels = write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel
        for seed, channel in enumerate(channels):
            channel.set_pause_generator(flips(chance, seed))

    async def log_pulses(self):
        while True:
            await FallingEdge(self.dut.clk)
            await ReadOnly()
            for name in ("start", "soft_reset"):
                if int(getattr(self.dut, name).value):
                    self.pulses.append(name)
            if int(self.dut.start.value):
                self.tlast.append((int(self.dut.tlast_each.value), int(self.dut.tlast_none.value)))
            if "1" in str(self.dut.load.value)[:2]:  # data are not known before the first write
                load = int(self.dut.load.value)
                self.loads.append((load >> 32, int(self.dut.load_select.value), load & 0xFFFFFFFF))

    async def read(self, address):
        answer = await self.axi.read(address, 4)
        assert answer.resp == AxiResp.OKAY, hex(address)
        return int.from_bytes(answer.data, "little")

    async def write(self, address, value, size=4):
        answer = await self.axi.write(address, value.to_bytes(size, "little"))
        return answer.resp


async def begin(dut, pause=0.0):
    dut.rst.value = 1
    host = Host(dut)
    host.pause(pause)
    values = {"loaded": (1 << max(1, config()["LAYERS"])) - 1}
    values |= dict.fromkeys(("fault", "repaired", "desync", "s_load_tvalid", "s_load_tdata", *LOST), 0)
    values |= dict.fromkeys(("busy", "done", "tlast_error", "frames_in", "frames_out", *WIDE), 0)
    await start(dut, **values)
    cocotb.start_soon(host.log_pulses())
    return host


@cocotb.test()
@cocotb.parametrize(pause=[0.0, 0.6])
async def what_the_design_says_is_read(dut, pause):
    host = await begin(dut, pause)
    assert await host.read(ID) == int.from_bytes(b"HWGN", "big")
    for address, name in (
        (VERSION, "VERSION"),
        (BUILD_ID, "BUILD_ID"),
        (LOAD_LAYERS, "LAYERS"),
    ):
        assert await host.read(address) == config()[name]
    for first, others, name in ((IN_BEATS, IN_BEATS_OF, "IN_BEATS"), (OUT_BEATS, OUT_BEATS_OF, "OUT_BEATS")):
        for n, count in enumerate(counts(name)):
            assert await host.read(others + 4 * n if n else first) == count
        assert (await host.axi.read(others + 4 * len(counts(name)), 4)).resp == AxiResp.SLVERR
    draw = random.Random(1)
    for _ in range(10):
        await FallingEdge(dut.clk)
        values = {name: draw.getrandbits(32) for name in ("frames_in", "frames_out")}
        values |= {name: draw.getrandbits(64) for name in WIDE}
        values |= {name: draw.getrandbits(1) for name in ("busy", "done", "tlast_error")}
        for name, value in values.items():
            getattr(dut, name).value = value
        assert await host.read(STATUS) == values["busy"] | values["done"] << 1 | values["tlast_error"] << 2
        assert await host.read(FRAMES_IN) == values["frames_in"]
        assert await host.read(FRAMES_OUT) == values["frames_out"]
        for name, address in WIDE.items():
            assert await host.read(address) | await host.read(address + 4) << 32 == values[name], name


@cocotb.test()
@cocotb.parametrize(pause=[0.0, 0.6])
async def frames_is_written_byte_by_byte(dut, pause):
    host = await begin(dut, pause)
    assert await host.read(FRAMES) == 0
    assert await host.write(FRAMES, 0x11223344) == AxiResp.OKAY
    expected = bytearray(0x11223344.to_bytes(4, "little"))
    for offset, size in ((0, 1), (1, 1), (2, 1), (3, 1), (1, 2), (0, 3)):
        value = 0xA1B2C3D4 >> offset & (1 << 8 * size) - 1
        assert await host.write(FRAMES + offset, value, size) == AxiResp.OKAY
        expected[offset : offset + size] = value.to_bytes(size, "little")
        assert await host.read(FRAMES) == int.from_bytes(expected, "little")
        assert int(dut.frames.value) == int.from_bytes(expected, "little")


@cocotb.test()
@cocotb.parametrize(pause=[0.0, 0.6])
async def control_gives_one_pulse_a_write(dut, pause):
    host = await begin(dut, pause)
    for value, expected in (
        (1, ["start"]),
        (2, ["soft_reset"]),
        (0, []),
        (0xFFFFFFFC, []),
        (3, ["start", "soft_reset"]),
        (5, ["start"]),
        (9, ["start"]),
        (0xFFFFFFF1, ["start"]),
    ):
        host.pulses.clear()
        assert await host.write(CONTROL, value) == AxiResp.OKAY
        for _ in range(5):
            await FallingEdge(dut.clk)
        assert host.pulses == expected
        assert await host.read(CONTROL) == 0
    assert host.tlast == [(0, 0), (0, 0), (1, 0), (0, 1), (0, 0)], "what comes with start"
    host.pulses.clear()
    assert await host.write(CONTROL + 1, 0xFF, 1) == AxiResp.OKAY  # WSTRB leaves byte 0 out
    assert not host.pulses


@cocotb.test()
async def every_address_answers_as_the_table_of_registers_says(dut):
    """Of the window's 1,024 words those up to the last register, and some behind."""
    host = await begin(dut)
    await host.write(FRAMES, 77)
    host.pulses.clear()
    access = {offset: one.access for one in REGISTERS for offset in one.at(config())}
    for address in (*range(0, max(access) + 16, 4), 0x800, 0xFFC):
        known = access.get(address)
        read = await host.axi.read(address, 4)
        assert (read.resp == AxiResp.OKAY) == (known is not None), hex(address)
        if known == WRITE:
            assert not any(read.data), hex(address)
        if known in (None, READ):
            assert await host.write(address, 0xFFFFFFFF) == AxiResp.SLVERR, hex(address)
        elif address not in (CONTROL, FRAMES, INTERRUPT_ENABLE):
            assert await host.write(address, 0) == AxiResp.OKAY, hex(address)
    assert await host.read(FRAMES) == 77
    assert await host.read(ID) == 0x4857474E
    assert not host.pulses and len(host.loads) == (2 if config()["LAYERS"] else 0)


@cocotb.test()
@cocotb.parametrize(pause=[0.0, 0.6])
async def what_cannot_be_done_answers_slverr_and_changes_nothing(dut, pause):
    host = await begin(dut, pause)
    await host.write(FRAMES, 77)
    host.pulses.clear()
    access = {offset: one.access for one in REGISTERS for offset in one.at(config())}
    unmapped = [offset for one in REGISTERS for offset in range(one.offset, one.offset + 4 * one.words, 4)]
    unmapped = [offset for offset in (*unmapped, 0x80, 0x308, 0xFFC) if offset not in access]
    for address in unmapped:
        assert (await host.axi.read(address, 4)).resp == AxiResp.SLVERR
    for address in unmapped + [offset for offset, kind in access.items() if kind == READ]:
        assert await host.write(address, 0xFFFFFFFF) == AxiResp.SLVERR
    assert await host.read(FRAMES) == 77
    assert await host.read(ID) == 0x4857474E
    assert not host.pulses and not host.loads


@cocotb.test()
@cocotb.parametrize(pause=[0.0, 0.6])
async def a_mode_that_there_is_can_be_chosen_at_any_time(dut, pause):
    host = await begin(dut, pause)
    modes = config().get("MODES")
    if not modes:
        assert await host.write(MODE, 0) == AxiResp.SLVERR and int(dut.mode.value) == 0
        return
    assert await host.read(MODES) == modes and await host.read(MODE) == 0
    for busy, mode in enumerate((4, 0, 3)):
        dut.busy.value = busy & 1
        assert await host.write(MODE, mode) == AxiResp.OKAY
        assert await host.read(MODE) == int(dut.mode.value) == mode
        for wrong in (modes, 0x80000001):
            assert await host.write(MODE, wrong) == AxiResp.SLVERR
        assert await host.write(MODE, 1, 1) == AxiResp.SLVERR  # not whole
        assert await host.read(MODE) == int(dut.mode.value) == mode
    await reset(dut)
    assert int(dut.mode.value) == 0


@cocotb.test()
@cocotb.parametrize(pause=[0.0, 0.6])
async def lists_go_to_their_layer_and_are_summed(dut, pause):
    host = await begin(dut, pause)
    layers, draw = config()["LAYERS"], random.Random(3)
    for layer in (2, 0, 1) if layers else ():
        host.loads.clear()
        assert await host.write(LOAD_LAYER, layer) == AxiResp.OKAY
        assert await host.read(LOAD_LAYER) == layer
        assert await host.write(LOAD_LAYER, layers) == await host.write(LOAD_LAYER, 0xFFFFFF00) == AxiResp.SLVERR
        values = [draw.getrandbits(32) for _ in range(7)]
        assert await host.write(LOAD_WORDS, values[0]) == AxiResp.OKAY
        for value in values[1:]:
            assert await host.write(LOAD_DATA, value) == AxiResp.OKAY
        assert await host.write(LOAD_DATA, 0xFF, 1) == AxiResp.SLVERR  # not whole
        sums = [sum(values[: i + 1]) for i in range(len(values))]
        assert await host.read(LOAD_CHECK) == sum(sums) % (1 << 32)
        assert host.loads == [(2, 1 << layer, values[0]), *((1, 1 << layer, value) for value in values[1:])]


@cocotb.test()
async def nothing_is_loaded_in_a_run_and_nothing_starts_unloaded(dut):
    host = await begin(dut)
    if not config()["LAYERS"]:
        assert await host.write(LOAD_WORDS, 1) == AxiResp.SLVERR and not host.loads
        return
    dut.busy.value = 1
    for address in (LOAD_LAYER, LOAD_WORDS, LOAD_DATA):
        assert await host.write(address, 1) == AxiResp.SLVERR
    dut.busy.value = 0
    assert not host.loads and await host.read(LOAD_LAYER) == 0
    for loaded in (0b110, 0b101, 0):
        dut.loaded.value = loaded
        assert await host.read(STATUS) == 8
        for layer in range(3):
            await host.write(LOAD_LAYER, layer)
            assert await host.read(LOADED) == loaded >> layer & 1
        host.pulses.clear()
        assert await host.write(CONTROL, 1) == AxiResp.OKAY
        assert await host.write(CONTROL, 3) == AxiResp.OKAY
        assert host.pulses == ["soft_reset"]
    dut.loaded.value = 7
    assert await host.read(STATUS) == 0
    # a start right behind a write to a list does not overtake what the layer says of it
    host.pulses.clear()
    writes = [host.axi.init_write(address, (1).to_bytes(4, "little")) for address in (LOAD_WORDS, CONTROL)]
    for write in writes:
        await write.wait()
    assert not host.pulses
    for _ in range(5):
        await FallingEdge(dut.clk)
    assert await host.read(STATUS) == 0
    assert await host.write(CONTROL, 1) == AxiResp.OKAY
    await FallingEdge(dut.clk)
    assert host.pulses == ["start"]


@cocotb.test()
async def flipped_bits_stay_until_they_are_cleared(dut):
    host = await begin(dut)
    watched = config().get("WATCHED", 0)
    assert await host.write(INTERRUPT_ENABLE, 4) == AxiResp.OKAY
    if not watched:
        assert await host.read(INTERRUPT_ENABLE) == 0
        dut.desync.value = dut.fault.value = dut.repaired.value = 1
        for _ in range(5):
            await FallingEdge(dut.clk)
            assert not int(dut.irq.value)
        return
    assert await host.read(WATCHED) == watched

    async def pulse(name, value):
        await FallingEdge(dut.clk)
        getattr(dut, name).value = value
        await FallingEdge(dut.clk)
        getattr(dut, name).value = 0

    registers = {"fault": FAULTS, "repaired": REPAIRS}
    for name, base in registers.items():
        other = registers["repaired" if name == "fault" else "fault"]
        expected = 0
        for layer in (0, 34, 31, 32):
            await pulse(name, 1 << layer)
            expected |= 1 << layer
            assert await host.read(base) | await host.read(base + 4) << 32 == expected
            assert await host.read(other) == await host.read(other + 4) == 0
        assert int(dut.irq.value) == (name == "fault")
        assert await host.write(base, 0xFF, 1) == AxiResp.SLVERR  # not whole
        assert await host.write(base, 1) == AxiResp.OKAY
        assert await host.read(base) == 1 << 31 and await host.read(base + 4) == 5
        assert int(dut.irq.value) == (name == "fault")
        assert await host.write(base, 0xFFFFFFFE) == await host.write(base + 4, 0xFFFFFFFF) == AxiResp.OKAY
        assert await host.read(base) == await host.read(base + 4) == 0
        assert not int(dut.irq.value)
    frames = {name: random.Random(name).getrandbits(32) for name in LOST}
    for name, frame in frames.items():
        getattr(dut, name).value = frame
    for name, address in LOST.items():
        assert await host.read(address) == frames[name]
    await pulse("desync", 1)
    assert await host.read(EVENTS) == 1 and int(dut.irq.value)
    assert await host.read(INTERRUPT) == 4
    assert await host.write(INTERRUPT, 4) == AxiResp.OKAY
    assert await host.read(INTERRUPT) == 4 and int(dut.irq.value), "it is cleared where it comes from"
    assert await host.read(FAULTS) == 0
    assert await host.write(EVENTS, 0xFFFFFFFE) == AxiResp.OKAY
    assert await host.read(EVENTS) == 1
    dut.fault.value = 1 << 5  # one that comes as it is cleared stays
    assert await host.write(FAULTS, 0xFFFFFFFF) == await host.write(EVENTS, 1) == AxiResp.OKAY
    dut.fault.value = 0
    assert await host.read(EVENTS) == 0 and await host.read(FAULTS) == 1 << 5
    await reset(dut)
    await FallingEdge(dut.clk)
    assert await host.read(FAULTS) == 0 and not int(dut.irq.value)


@cocotb.test()
@cocotb.parametrize(name=["done", "tlast_error"])
async def a_flag_that_rises_interrupts_until_it_is_cleared(dut, name):
    host = await begin(dut)
    flag, bit = getattr(dut, name), 1 if name == "done" else 2

    async def irq():
        for _ in range(3):
            await FallingEdge(dut.clk)
        return int(dut.irq.value)

    flag.value = 1
    assert not await irq() and await host.read(INTERRUPT) == bit, "it is kept, and not enabled"
    assert await host.write(INTERRUPT_ENABLE, 3 - bit) == AxiResp.OKAY and not await irq()
    assert await host.write(INTERRUPT_ENABLE, 3) == AxiResp.OKAY and await irq()
    assert await host.read(INTERRUPT_ENABLE) == 3
    assert await host.write(INTERRUPT_ENABLE, 0, 1) == await host.write(INTERRUPT, bit, 1) == AxiResp.SLVERR
    assert await host.write(INTERRUPT, 3 - bit) == AxiResp.OKAY and await irq()
    assert await host.write(INTERRUPT, bit) == AxiResp.OKAY and not await irq()
    assert await host.read(INTERRUPT) == 0, "a flag that is still there does not rise again"
    for value in (0, 1):
        await FallingEdge(dut.clk)
        flag.value = value
    assert await irq() and await host.read(INTERRUPT) == bit
    await reset(dut)
    assert await host.read(INTERRUPT_ENABLE) == 0 and not int(dut.irq.value)


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.6])
async def lists_come_over_the_stream_between_the_writes_of_the_host(dut, stall):
    host, draw = await begin(dut), random.Random(5)
    if not config().get("LOAD_STREAM"):
        dut.s_load_tvalid.value = 1
        await FallingEdge(dut.clk)
        assert not int(dut.s_load_tready.value)
        return
    source = Source(dut, "s_load", stall)
    values = [[draw.getrandbits(32) for _ in range(20)] for _ in range(3)]
    pairs = []
    for layer in (2, 0, 1):
        pairs += [(LOAD_LAYER, layer), (LOAD_WORDS, values[layer][0]), (FRAMES, 1), (LOAD_LAYER, 3)]
        pairs += [(LOAD_DATA, value) for value in values[layer][1:]]
    dut.busy.value = 1
    sending = cocotb.start_soon(source.send([offset | value << 32 for offset, value in pairs]))
    for value in range(5):
        assert await host.write(FRAMES, value) == AxiResp.OKAY
    assert not host.loads, "nothing is loaded in a run"
    dut.busy.value = 0
    while not sending.done():
        assert await host.write(FRAMES, 7) == AxiResp.OKAY
        assert await host.read(STATUS) & 7 == 0
    for _ in range(4):
        await FallingEdge(dut.clk)
    want = [(2 - (n > 0), 1 << layer, value) for layer in (2, 0, 1) for n, value in enumerate(values[layer])]
    assert host.loads == want and await host.read(FRAMES) == 7 and await host.read(LOAD_LAYER) == 1
    sums = [sum(values[1][: i + 1]) for i in range(len(values[1]))]
    assert await host.read(LOAD_CHECK) == sum(sums) % (1 << 32)


@cocotb.test()
async def a_pair_of_the_stream_moves_every_clock(dut):
    if not config().get("LOAD_STREAM"):
        return
    await begin(dut)
    source, before = Source(dut, "s_load"), get_sim_time("ns")
    await source.send([LOAD_DATA | value << 32 for value in range(50)])
    assert get_sim_time("ns") - before <= 52 * 10


@cocotb.test()
async def reads_and_writes_cross_under_back_pressure(dut):
    host = await begin(dut, 0.5)

    async def writes():
        for value in range(40):
            assert await host.write(FRAMES, value) == AxiResp.OKAY

    async def reads():
        last = 0
        for _ in range(40):
            value = await host.read(FRAMES)
            assert last <= value < 40
            last = value

    await Combine(cocotb.start_soon(writes()), cocotb.start_soon(reads()))
    assert await host.read(FRAMES) == 39


@cocotb.test()
@cocotb.parametrize(first=["aw", "w"])
async def address_and_data_come_in_either_order_and_answers_wait(dut, first):
    dut.s_axi_arvalid.value = dut.s_axi_rready.value = 0
    await start(dut, s_axi_awvalid=0, s_axi_wvalid=0, s_axi_bready=0, s_axi_wstrb=15)
    second = "w" if first == "aw" else "aw"
    payloads = {"aw": (dut.s_axi_awaddr, FRAMES), "w": (dut.s_axi_wdata, 5)}
    for channel in (first, second):
        signal, value = payloads[channel]
        signal.value = value
        getattr(dut, f"s_axi_{channel}valid").value = 1
        await ReadOnly()
        assert int(getattr(dut, f"s_axi_{channel}ready").value), "ready does not wait for the other channel"
        await FallingEdge(dut.clk)
        getattr(dut, f"s_axi_{channel}valid").value = 0
        signal.value = 0
        if channel == first:
            for _ in range(5):
                await FallingEdge(dut.clk)
                assert not int(dut.s_axi_bvalid.value) and int(dut.frames.value) == 0
    await FallingEdge(dut.clk)
    for _ in range(5):
        assert int(dut.s_axi_bvalid.value) and int(dut.frames.value) == 5
        await FallingEdge(dut.clk)
    dut.s_axi_bready.value = 1
    await FallingEdge(dut.clk)
    assert not int(dut.s_axi_bvalid.value)


@cocotb.test()
async def every_write_gets_an_answer_of_its_own(dut):
    dut.s_axi_arvalid.value = dut.s_axi_rready.value = 0
    await start(dut, s_axi_awvalid=1, s_axi_wvalid=1, s_axi_bready=0, s_axi_wstrb=15, s_axi_awaddr=FRAMES)
    for value in (1, 2):  # two writes at once, no answer taken
        dut.s_axi_wdata.value = value
        while True:
            await ReadOnly()
            accepted = int(dut.s_axi_awready.value)
            await FallingEdge(dut.clk)
            if accepted:
                break
    dut.s_axi_awvalid.value = dut.s_axi_wvalid.value = 0
    for _ in range(5):
        await FallingEdge(dut.clk)
    assert int(dut.frames.value) == 1, "the second write waits for the first answer"
    dut.s_axi_bready.value = 1
    answers = 0
    for _ in range(6):
        await ReadOnly()
        answers += int(dut.s_axi_bvalid.value)
        await FallingEdge(dut.clk)
    assert answers == 2 and int(dut.frames.value) == 2


@cocotb.test()
async def a_read_answer_waits_until_it_is_taken(dut):
    dut.s_axi_awvalid.value = dut.s_axi_wvalid.value = dut.s_axi_bready.value = 0
    await start(dut, s_axi_arvalid=1, s_axi_rready=0, s_axi_araddr=ID)
    await FallingEdge(dut.clk)
    dut.s_axi_araddr.value = IN_BEATS  # the next read is offered at once
    for _ in range(5):
        await ReadOnly()
        assert int(dut.s_axi_rvalid.value) and int(dut.s_axi_rdata.value) == 0x4857474E
        await FallingEdge(dut.clk)
    dut.s_axi_rready.value = 1
    await FallingEdge(dut.clk)
    await FallingEdge(dut.clk)
    assert int(dut.s_axi_rvalid.value) and int(dut.s_axi_rdata.value) == counts("IN_BEATS")[0]


@cocotb.test()
@cocotb.parametrize(strobes=[0b0000, 0b0001, 0b1110])
async def control_looks_at_its_own_strobe_alone(dut, strobes):
    dut.s_axi_arvalid.value = dut.s_axi_rready.value = 0
    await start(
        dut,
        s_axi_awvalid=1,
        s_axi_wvalid=1,
        s_axi_bready=1,
        s_axi_wstrb=strobes,
        s_axi_awaddr=CONTROL,
        s_axi_wdata=3,
    )
    await FallingEdge(dut.clk)
    dut.s_axi_awvalid.value = dut.s_axi_wvalid.value = 0
    pulses = 0
    for _ in range(4):
        await FallingEdge(dut.clk)
        assert int(dut.start.value) == int(dut.soft_reset.value)
        pulses += int(dut.start.value)
    assert pulses == strobes & 1


@cocotb.test()
async def reset_forgets_half_a_write(dut):
    dut.s_axi_arvalid.value = dut.s_axi_rready.value = 0
    await start(dut, s_axi_awvalid=0, s_axi_wvalid=0, s_axi_bready=1, s_axi_wstrb=15)
    dut.s_axi_awaddr.value, dut.s_axi_awvalid.value = CONTROL, 1
    await FallingEdge(dut.clk)
    dut.s_axi_awvalid.value = 0
    await reset(dut)
    dut.s_axi_wdata.value, dut.s_axi_wvalid.value = 1, 1
    await FallingEdge(dut.clk)
    dut.s_axi_wvalid.value = 0
    for _ in range(5):
        assert not int(dut.start.value) and not int(dut.s_axi_bvalid.value)
        await FallingEdge(dut.clk)
