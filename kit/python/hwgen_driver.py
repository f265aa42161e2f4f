# SPDX-License-Identifier: Apache-2.0
"""Runs a network of hwgen from Python: numpy arrays in and out, by UIO and u-dma-buf or by PYNQ.

    from hwgen_driver import Network, Pynq, Uio

    with Network(Uio()) as net:                 # or Network(Pynq("network.bit"))
        y = net.run(x)                          # x [N, *shape], numbers as the module takes them

Results are float64, those of `hwgen simulate`, bit for bit; of an output behind a softmax, up to the rounding of exp
and log. Nothing but numpy is needed, and pynq for Pynq.
"""

import fcntl
import json
import mmap
import os
import select
import struct
import time
from pathlib import Path

import hwgen_registers as registers
import numpy as np

HERE = Path(__file__).parent
BATCH, SLICE, YIELD, RESET_SECONDS, LINE = 128, 0.01, 20e-6, 0.1, 64  # bytes of a line of the cache
LONGEST = (1 << 26) - 1  # bytes of a descriptor
BLOCK = 16  # frames at a time: they stay in a cache

# AXI DMA in scatter-gather mode (PG021): registers of a channel, S2MM's 0x30 further; words of a descriptor
CONTROL, STATUS, CURRENT, TAIL, S2MM = 0x00, 0x04, 0x08, 0x10, 0x30
RUN, RESET, INTERRUPTS, ERRORS = 1, 4, 0x7000, 0x770
NEXT, BUFFER, LENGTH, RESULT, DESCRIPTOR = 0, 2, 6, 7, 64
SENT_WHOLE, CAME_LAST, COMPLETE, BAD, GOT = 3 << 26, 1 << 26, 1 << 31, 7 << 28, (1 << 26) - 1


class HwgenError(Exception):
    """What went wrong on the board."""


class NoDevice(HwgenError):
    """A device is missing, cannot be opened, or is in use."""


class WrongBuild(HwgenError):
    """What is in the device is not this build."""


class DmaFailed(HwgenError):
    """A DMA engine met an error of the bus or of a descriptor."""


class ShortTransfer(HwgenError):
    """A frame came back with too few or too many words."""


class TlastError(HwgenError):
    """The network counted other frames than were sent."""


class TimedOut(HwgenError):
    """No result came."""


class NotLoaded(HwgenError):
    """A list of weights did not arrive as it was sent."""


# how a number between two integers is rounded
def _half(x, up):
    below = np.floor(x)
    rest = x - below
    return below + ((rest > 0.5) | ((rest == 0.5) & up(below)))


def _half_up(x):
    below = np.floor(x)
    x -= below
    below += x >= 0.5
    return below


ROUNDINGS = {
    "half_even": np.round,
    "half_odd": lambda x: _half(x, lambda below: below % 2 == 0),
    "half_up": _half_up,
    "half_away": lambda x: _half(x, lambda below: below >= 0),
    "floor": np.floor,
    "ceil": np.ceil,
    "to_zero": np.trunc,
}
OPERATIONS = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}


class Stream:
    """One input or output: the user's numbers [N, *shape] to words [N, words] in the order of the stream, and back."""

    def __init__(self, described, sends):
        self.name, self.shape = described["name"], tuple(described["shape"])
        self.low, self.high, self.exponent = described["low"], described["high"], described["exponent"]
        channels, rows, columns = described["frame"]
        self.size = channels * rows * columns
        kind = "i" if self.low < 0 else "u"
        self.dtype = np.dtype(f"<{kind}{described['width'] // 8}")
        self.side, self.beat = described["side"], described["beat_bits"] // described["width"]  # activations, words
        self.words = self.size // self.side * self.beat
        self.frames = described["frames"]  # that the network counts as one
        self.bytes = self.frames * self.words * self.dtype.itemsize
        self.round = ROUNDINGS[described["rounding"]]
        self.steps = [
            (
                OPERATIONS[step["operation"]],
                np.resize(np.repeat(np.array(step["values"]), step["run"]), self.size),
            )
            for step in described["steps"]
        ]
        self.softmax = described["softmax"]
        places = np.arange(self.size).reshape(channels, rows, columns)
        view = np.arange(self.size) if described["view"] is None else np.array(described["view"])
        at = places // self.side * self.beat + places % self.side  # the word of an activation of the stream
        if sends:
            order = np.full(self.words, self.size)  # an empty word
            order[at.reshape(-1)] = view[places.transpose(1, 2, 0).reshape(-1)]
        else:
            order = at.reshape(rows, columns, channels).transpose(2, 0, 1).reshape(-1)[view]
        self.order = None if np.array_equal(order, np.arange(self.size)) else order

    def pack(self, x):
        """Words [N, words]; raises ValueError where a number is not finite."""
        x = x.reshape(len(x), -1)
        words = np.zeros((len(x), self.size + (self.words > self.size)), self.dtype)
        for first in range(0, len(x), BLOCK):
            words[first : first + BLOCK, : self.size] = self._quantized(x[first : first + BLOCK])
        return words if self.order is None else words[:, self.order]

    def _quantized(self, x):
        # floats of 24 bits hold all that a narrow quantizer looks at
        narrow = x.dtype == np.float32 and not self.steps and self.dtype.itemsize <= 2 and abs(self.exponent) < 64
        y = x if narrow else x.astype(np.float64)
        if not np.isfinite(y).all():
            raise ValueError(f"the input {self.name} holds a number that is not finite")
        for operation, value in self.steps:
            y = operation(y, value)
        y = y * y.dtype.type(2.0**-self.exponent)
        return self.round(np.clip(y, self.low, self.high, out=y))  # ends are integers: clamped first is the same

    def unpack(self, words):
        """float64 [N, *shape]."""
        words = words if self.order is None else words[:, self.order]
        y = words.astype(np.float64) * 2.0**self.exponent
        for operation, value in self.steps:
            y = operation(y, value)
        y = y.reshape(-1, *self.shape)
        return y if self.softmax is None else self._softmax(y)

    def _softmax(self, y):
        axis = self.softmax["axis"] + 1
        less = y - y.max(axis=axis, keepdims=True)
        total = np.exp(less).sum(axis=axis, keepdims=True)
        return less - np.log(total) if self.softmax["log"] else np.exp(less) / total


class Uio:
    """Devices of the overlay by UIO, memory by u-dma-buf."""

    def __init__(self):
        self.files = []

    def device(self, name, alone=False):
        for folder in sorted(os.listdir("/sys/class/uio")) if _is_there("/sys/class/uio") else ():
            if _read(f"/sys/class/uio/{folder}/name") == name:
                return self._opened(folder, name, alone)
        raise NoDevice(f"no UIO device is called {name}: load the device-tree overlay")

    def _opened(self, folder, name, alone):
        size = int(_read(f"/sys/class/uio/{folder}/maps/map0/size"), 0)
        try:
            file = os.open(f"/dev/{folder}", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise NoDevice(f"/dev/{folder} ({name}) cannot be opened: {error.strerror}") from None
        self.files.append(file)
        try:
            if alone:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise NoDevice(f"/dev/{folder} ({name}) is in use by another process") from None
        words = memoryview(mmap.mmap(file, size)).cast("I")

        def wait(seconds):
            os.write(file, struct.pack("=I", 1))
            poll = select.poll()
            poll.register(file, select.POLLIN)
            if poll.poll(seconds * 1000):
                os.read(file, 4)

        return Device(words.__getitem__, words.__setitem__, wait)

    def memory(self, name, size, cached):
        """All of the buffer; `size` is what is wanted of one that is allocated."""
        folder = f"/sys/class/u-dma-buf/{name}"
        try:
            bus, size = int(_read(f"{folder}/phys_addr"), 0), int(_read(f"{folder}/size"), 0)
            file = os.open(f"/dev/{name}", os.O_RDWR | os.O_CLOEXEC | (0 if cached else os.O_SYNC))
        except OSError:
            raise NoDevice(f"no u-dma-buf is called {name}: load its kernel module and the overlay") from None
        at = np.frombuffer(mmap.mmap(file, size), np.uint8)
        os.close(file)
        if not cached:
            return Memory(at, bus, lambda offset, size: None, lambda offset, size: None)
        syncs = [os.open(f"{folder}/{which}", os.O_WRONLY) for which in ("sync_for_device", "sync_for_cpu")]
        self.files += syncs
        return Memory(at, bus, *(_synchronizer(file) for file in syncs))

    def close(self):
        for file in self.files:
            os.close(file)
        self.files.clear()


def _synchronizer(file):
    """In both directions; in whole lines of the cache."""

    def synchronize(offset, size):
        first = offset // LINE * LINE
        last = -(-(offset + size) // LINE) * LINE
        os.pwrite(file, f"0x{first:08X}{(last - first) | 1:08X}".encode(), 0)

    return synchronize


def _is_there(folder):
    try:
        os.listdir(folder)
    except OSError:
        return False
    return True


def _read(path):
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 256).decode().strip()
    finally:
        os.close(file)


class Pynq:
    """A bitstream loaded by PYNQ, its IP by the names of the block design, memory allocated as it is wanted.

    overlay  the .bit with its .hwh beside it, or a pynq.Overlay that is loaded
    """

    def __init__(self, overlay):
        import pynq

        self.pynq = pynq
        self.overlay = overlay if hasattr(overlay, "ip_dict") else pynq.Overlay(str(overlay))
        self.buffers = []

    def device(self, name, alone=False):
        block = name.removeprefix("hwgen-").replace("net", "network").replace("dma", "dma_")
        if block not in self.overlay.ip_dict:
            raise NoDevice(f"the overlay has no {block}: load the bitstream of this kit")
        found = self.overlay.ip_dict[block]
        mmio = self.pynq.MMIO(found["phys_addr"], found["addr_range"])
        return Device(
            lambda at: mmio.read(4 * at), lambda at, value: mmio.write(4 * at, value), lambda _: time.sleep(YIELD)
        )

    def memory(self, name, size, cached):
        buffer = self.pynq.allocate(shape=(size,), dtype=np.uint8)
        self.buffers.append(buffer)
        at = np.asarray(buffer)
        flush, invalidate = (lambda *_: buffer.flush()), (lambda *_: buffer.invalidate())
        return Memory(at, buffer.device_address, flush, invalidate, always=not cached)

    def close(self):
        for buffer in self.buffers:
            buffer.freebuffer()
        self.buffers.clear()


class Device:
    """Registers by their word; wait(seconds) until an interrupt, or for so long."""

    def __init__(self, load, store, wait):
        self._load, self._store, self.wait = load, store, wait

    def read(self, offset):
        return int(self._load(offset // 4))

    def write(self, offset, value):
        self._store(offset // 4, value)


class Memory:
    """What CPU and DMA engines share; `always`: it must be synchronized at each look, as it is cached against the
    driver's wish."""

    def __init__(self, at, bus, for_device, for_cpu, always=False):
        self.at, self.bus, self.for_device, self.for_cpu, self.always = at, bus, for_device, for_cpu, always


class Channel:
    """One direction of an engine, and its ring of descriptors."""

    def __init__(self, name, device, size, sends, align, stream=None):
        """size -- bytes of a frame"""
        self.name, self.device, self.stream, self.size, self.sends = name, device, stream, size, sends
        self.base = 0 if sends else S2MM
        self.stride = size if sends else -(-size // align) * align

    def read(self, offset):
        return self.device.read(self.base + offset)

    def write(self, offset, value):
        self.device.write(self.base + offset, value)

    def write_address(self, offset, address):
        self.write(offset, address & 0xFFFFFFFF)
        self.write(offset + 4, address >> 32)  # starts the engine, where it is TAIL's

    def reset(self):
        end = time.monotonic() + RESET_SECONDS
        self.write(CONTROL, RESET)
        while self.read(CONTROL) & RESET:
            if time.monotonic() > end:
                raise TimedOut(f"{self.name} does not come out of its reset: load the bitstream again")

    def begin(self):
        """From the ring's start."""
        self.write_address(CURRENT, self.bus)
        self.told = 0
        self.run(self.count)

    def run(self, frames):
        """An interrupt after so many frames, or, as slots under way may be of others, when none came for a while."""
        frames = min(frames, 255)
        if self.told != frames:
            self.told = frames
            self.write(CONTROL, RUN | INTERRUPTS | frames << 16 | 255 << 24)


class Network:
    """A network on a board.

    platform  Uio() or Pynq(...)
    batch     frames of a transfer; None: 128, or as many as the buffer holds
    slots     transfers under way, at least 2
    timeout   seconds without a result
    folder    of network.json
    """

    def __init__(self, platform, batch=None, slots=2, timeout=1.0, folder=HERE):
        described = json.loads((Path(folder) / "network.json").read_text())
        self.described, self.platform, self.slots, self.timeout = described, platform, slots, timeout
        self.inputs = [Stream(each, True) for each in described["inputs"]]
        self.outputs = [Stream(each, False) for each in described["outputs"]]
        if slots < 2:
            raise ValueError(f"{slots} slots: use at least 2")
        self.next, self.broken = 0, False  # slots go round from run to run
        try:
            self._open(batch)
        except BaseException:
            platform.close()
            raise

    def _open(self, batch):
        self.registers = self.platform.device("hwgen-net", alone=True)
        self._check_build()
        described, most = self.described, max(len(self.inputs), len(self.outputs))
        names = [f"hwgen-dma{i}" for i in range(most + described["load_stream"])]
        engines = [self.platform.device(name) for name in names]
        self.align = max(LINE, *(each["port_bits"] // 8 for each in (*described["inputs"], *described["outputs"])))
        self.ins, self.outs = (
            [Channel(names[i], engines[i], each.bytes, sends, self.align, each) for i, each in enumerate(streams)]
            for streams, sends in ((self.inputs, True), (self.outputs, False))
        )
        # weights: the buffer is that of all slots, as no run is under way
        self.loads = [Channel(names[-1], engines[-1], 0, True, self.align)] if described["load_stream"] else []
        self.channels = [*self.loads, *self.ins, *self.outs]
        wanted = batch or BATCH
        self.descriptors = self.platform.memory("hwgen-descriptors", self._ring_bytes(wanted), False)
        self.data = self.platform.memory("hwgen-data", self.slots * self._slot_bytes(wanted), True)
        self.batch = next((n for n in range(wanted, 0, -1) if self._fits(n)), 0)
        if self.batch < (batch or 1):
            have = f"{len(self.data.at)} and {len(self.descriptors.at)} bytes"
            raise NoDevice(f"the DMA buffers hold {have}, too few for {self.slots} slots of {batch or 1} frames")
        self._lay_out()
        self.reset()

    def _check_build(self):
        name, build = self.registers.read(registers.ID), self.registers.read(registers.BUILD_ID)
        if name != 0x4857474E:
            raise WrongBuild(f"hwgen-net is no network of hwgen: its ID reads 0x{name:08X}: load the bitstream")
        if build != self.described["build_id"]:
            own = f"this driver of 0x{self.described['build_id']:08X} ({self.described['name']})"
            raise WrongBuild(f"the bitstream is of build 0x{build:08X}, {own}: load its own kit")

    def _slot_bytes(self, frames):
        return sum(-(-frames * c.stride // self.align) * self.align for c in (*self.ins, *self.outs))

    def _ring_bytes(self, frames):
        return self.slots * (len(self.loads) + len(self.ins) + len(self.outs) * frames) * DESCRIPTOR

    def _fits(self, frames):
        memory = self._ring_bytes(frames) <= len(self.descriptors.at)
        memory = memory and self.slots * self._slot_bytes(frames) <= len(self.data.at)
        return memory and all(frames * channel.stride <= LONGEST for channel in self.ins)

    def _lay_out(self):
        ring = data = 0
        self.slot_bytes = self._slot_bytes(self.batch)
        for channel in self.channels:
            channel.count = 1 if channel.sends else self.batch
            channel.data, channel.bus = data, self.descriptors.bus + ring
            size = channel.count * self.slots * DESCRIPTOR
            channel.ring = self.descriptors.at[ring : ring + size].view(np.uint32).reshape(-1, DESCRIPTOR // 4)
            ring, data = ring + size, data + -(-self.batch * channel.stride // self.align) * self.align

    def _write_ring(self, channel):
        count = channel.count * self.slots
        at = np.arange(count, dtype=np.uint64)
        following = np.uint64(channel.bus) + (at + np.uint64(1)) % np.uint64(count) * np.uint64(DESCRIPTOR)
        slot, frame = np.divmod(at, np.uint64(channel.count))
        buffer = np.uint64(self.data.bus + channel.data) + slot * np.uint64(self.slot_bytes)
        buffer = buffer + frame * np.uint64(channel.stride)
        channel.ring[:] = 0
        for word, address in ((NEXT, following), (BUFFER, buffer)):
            channel.ring[:, word] = address & np.uint64(0xFFFFFFFF)
            channel.ring[:, word + 1] = address >> np.uint64(32)
        channel.ring[:, LENGTH] = 0 if channel.sends else channel.size
        channel.following = following

    def reset(self):
        """Empties the network and the DMA engines, whatever they do."""
        for channel in self.channels:
            channel.reset()
        self.registers.write(registers.CONTROL, registers.CONTROL_SOFT_RESET)
        self.registers.read(registers.STATUS)  # the write has arrived before an engine sends
        self.registers.write(registers.INTERRUPT_ENABLE, registers.INTERRUPT_DONE | registers.INTERRUPT_TLAST_ERROR)
        for channel in self.channels:
            self._write_ring(channel)
        self._publish()
        for channel in self.channels:
            channel.begin()
        self.next, self.next_load, self.broken = 0, 0, False

    def _publish(self):
        if self.descriptors.always:
            self.descriptors.for_device(0, len(self.descriptors.at))

    def run(self, *x):
        """float64 [N, *shape], a tuple of several outputs, for arrays [N, *shape] of the inputs in their order."""
        x = [np.asarray(each) for each in x]
        if len(x) != len(self.inputs) or any(
            each.shape[1:] != stream.shape for each, stream in zip(x, self.inputs, strict=True)
        ):
            shapes = ", ".join(f"{each.name} [N, {', '.join(map(str, each.shape))}]" for each in self.inputs)
            raise ValueError(f"give one array for each input: {shapes}")
        frames = len(x[0])
        if not frames or frames % self.described["sample"] or any(len(each) != frames for each in x):
            raise ValueError(f"give whole samples of {self.described['sample']} frames, as many for each input")
        frames //= self.inputs[0].frames  # as the network counts
        self._start(frames)
        y = [np.empty((frames * stream.frames, *stream.shape)) for stream in self.outputs]
        parts = [(first, min(self.batch, frames - first)) for first in range(0, frames, self.batch)]
        slots = [(self.next + number) % self.slots for number in range(len(parts))]
        try:
            for number in range(len(parts) + self.slots):
                if 0 <= number - self.slots < len(parts):
                    self._receive(slots[number - self.slots], y, *parts[number - self.slots])
                if number < len(parts):
                    self._send(slots[number], x, *parts[number])
            self._finish()
        except BaseException:
            self.broken = True
            raise
        return y[0] if len(y) == 1 else tuple(y)

    def _start(self, frames):
        if self.broken:
            raise HwgenError("the run before failed: call reset() first")
        if self.registers.read(registers.STATUS) & registers.STATUS_UNLOADED:
            raise NotLoaded("a layer has no weights: call load() first")
        self.registers.write(registers.INTERRUPT, registers.INTERRUPT_DONE | registers.INTERRUPT_TLAST_ERROR)
        self.registers.write(registers.FRAMES, frames)
        self.registers.write(registers.CONTROL, registers.CONTROL_START)

    def _words(self, slot, channel, frames):
        """Bytes [frames, stride] of a slot."""
        first = slot * self.slot_bytes + channel.data
        return self.data.at[first : first + frames * channel.stride].reshape(frames, channel.stride)

    def _send(self, slot, x, first, frames):
        for channel, each in zip(self.ins, x, strict=True):
            many = channel.stream.frames
            words = channel.stream.pack(each[first * many : (first + frames) * many])
            self._words(slot, channel, frames)[:] = words.view(np.uint8).reshape(frames, -1)
        self.data.for_device(slot * self.slot_bytes, self.slot_bytes)
        for channel in self.outs:
            self._link(channel, slot, frames)
        for channel in self.ins:
            channel.ring[slot, RESULT] = 0
            channel.ring[slot, LENGTH] = frames * channel.stride | SENT_WHOLE
        self._publish()
        for channel in (*self.outs, *self.ins):
            last = slot * channel.count + (1 if channel.sends else frames) - 1
            channel.run(1 if channel.sends else frames)
            channel.write_address(TAIL, channel.bus + last * DESCRIPTOR)
        self.next = (slot + 1) % self.slots

    def _link(self, channel, slot, frames):
        """The first descriptor of the next slot follows that of the last frame."""
        first = slot * channel.count
        channel.ring[first : first + frames, RESULT] = 0
        following = channel.following[first : first + channel.count].copy()
        following[frames - 1] = channel.bus + (slot + 1) % self.slots * channel.count * DESCRIPTOR
        channel.ring[first : first + channel.count, NEXT] = following & np.uint64(0xFFFFFFFF)
        channel.ring[first : first + channel.count, NEXT + 1] = following >> np.uint64(32)

    def _receive(self, slot, y, first, frames):
        for channel, each in zip(self.outs, y, strict=True):
            self._await(channel, slot * channel.count + frames - 1)
            self._check_frames(channel, slot * channel.count, frames)
            self.data.for_cpu(slot * self.slot_bytes + channel.data, frames * channel.stride)
            words = self._words(slot, channel, frames)[:, : channel.size]
            words = np.ascontiguousarray(words).view(channel.stream.dtype).reshape(-1, channel.stream.words)
            many = channel.stream.frames
            each[first * many : (first + frames) * many] = channel.stream.unpack(words)

    def _is_complete(self, channel, last):
        if self.descriptors.always:
            self.descriptors.for_cpu(0, len(self.descriptors.at))
        return int(channel.ring[last, RESULT]) & COMPLETE

    def _await(self, channel, last):
        end = time.monotonic() + self.timeout
        while not self._is_complete(channel, last):
            self._check()
            left = end - time.monotonic()
            if left <= 0:
                raise TimedOut(f"no result in {self.timeout:g} s: {self._frames()}")
            channel.write(STATUS, INTERRUPTS)
            if not self._is_complete(channel, last):
                channel.device.wait(min(left, SLICE))

    def _frames(self):
        came, went = (self.registers.read(at) for at in (registers.FRAMES_IN, registers.FRAMES_OUT))
        return f"{came} frames went in, {went} came out"

    def _check(self):
        """Raises what is wrong in the network or an engine."""
        for channel in self.channels:
            status = channel.read(STATUS)
            if status & ERRORS:
                why = "a descriptor or a transfer is wrong"
                why = "the memory answered with an error" if status & 0x220 else why
                why = "no memory at an address" if status & 0x440 else why
                at = channel.read(CURRENT) | channel.read(CURRENT + 4) << 32
                way = "from" if channel.sends else "to"
                raise DmaFailed(f"{channel.name}, {way} memory, stopped at the descriptor 0x{at:016X}: {why}")
        if self.registers.read(registers.STATUS) & registers.STATUS_TLAST_ERROR:
            whole = self.registers.read(registers.FRAMES_IN)
            raise TlastError(f"a transfer to the network ended amid a frame, after {whole} whole ones")

    def _check_frames(self, channel, first, frames):
        results = channel.ring[first : first + frames, RESULT]
        if (results & np.uint32(BAD)).any():
            self._check()
        wrong = ((results & np.uint32(GOT)) != channel.size) | ((results & np.uint32(CAME_LAST)) == 0)
        if wrong.any():
            frame = int(np.argmax(wrong))
            got = int(results[frame]) & GOT
            raise ShortTransfer(f"frame {frame} of a transfer came back with {got} bytes, not {channel.size}")

    def _finish(self):
        end = time.monotonic() + self.timeout
        while not self.registers.read(registers.STATUS) & registers.STATUS_DONE:
            self._check()
            if time.monotonic() > end:
                raise TimedOut(f"the run does not end: {self._frames()}")
            self.registers.wait(SLICE)

    def counters(self):
        """Of the last run: frames_in, frames_out, cycles, input_stalls, output_stalls, starved."""
        found = {name.lower(): self.registers.read(getattr(registers, name)) for name in ("FRAMES_IN", "FRAMES_OUT")}
        for name in ("CYCLES", "INPUT_STALLS", "OUTPUT_STALLS", "STARVED"):
            at = getattr(registers, name)
            found[name.lower()] = self.registers.read(at) | self.registers.read(at + 4) << 32
        return found

    def set_mode(self, mode):
        """Of frames that are sent from now on."""
        if not 0 <= mode < self.described["modes"]:
            raise ValueError(f"mode {mode}: this build has {self.described['modes']}")
        if self.described["modes"] > 1:
            self.registers.write(registers.MODE, mode)

    def load(self, path):
        """Weights: what `hwgen weights` wrote; between runs."""
        pairs = np.fromfile(path, "<u4").reshape(-1, 2)
        known = np.isin(pairs[:, 0], (registers.LOAD_LAYER, registers.LOAD_WORDS, registers.LOAD_DATA))
        if not known.all():
            number = int(np.argmin(known))
            raise ValueError(f"{path}: write {number} is to 0x{pairs[number, 0]:X}, which loads no weights")
        if self.broken or self.registers.read(registers.STATUS) & registers.STATUS_BUSY:
            raise HwgenError("a run is under way: load weights between runs")
        for writes in np.split(pairs, np.flatnonzero(pairs[:, 0] != registers.LOAD_DATA)[1:]):
            if self.loads and len(writes) > 1:
                self._stream_writes(writes)
            else:
                for offset, value in writes.tolist():
                    self.registers.write(offset, value)
            if writes[0, 0] != registers.LOAD_LAYER:
                self._check_list(writes[:, 1])

    def _stream_writes(self, pairs):
        """Register writes by the DMA engine, as many at a time as the buffer holds."""
        (channel,) = self.loads
        most = min(len(self.data.at), LONGEST) // 8
        for first in range(0, len(pairs), most):
            words = np.ascontiguousarray(pairs[first : first + most]).view(np.uint8).reshape(-1)
            self.data.at[: len(words)] = words
            self.data.for_device(0, len(words))
            ring = channel.ring[self.next_load]
            ring[BUFFER], ring[BUFFER + 1] = self.data.bus & 0xFFFFFFFF, self.data.bus >> 32
            ring[RESULT], ring[LENGTH] = 0, len(words) | SENT_WHOLE
            self._publish()
            channel.run(1)
            channel.write_address(TAIL, channel.bus + self.next_load * DESCRIPTOR)
            self._await(channel, self.next_load)
            self.next_load = (self.next_load + 1) % self.slots

    def _check_list(self, values):
        """Raises NotLoaded where the layer's list is not whole, or what came is not what was sent."""
        check = int(np.cumsum(values, dtype=np.uint32).sum(dtype=np.uint32))
        end = time.monotonic() + self.timeout
        while not self.registers.read(registers.LOADED) & 1 and time.monotonic() < end:
            pass  # the last of it is on its way
        if self.registers.read(registers.LOAD_CHECK) != check or not self.registers.read(registers.LOADED) & 1:
            layer = self.registers.read(registers.LOAD_LAYER)
            raise NotLoaded(f"the list of layer {layer} did not arrive as it was sent")

    def close(self):
        try:
            for channel in self.channels:
                channel.reset()
            self.registers.write(registers.CONTROL, registers.CONTROL_SOFT_RESET)
        finally:
            self.platform.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
