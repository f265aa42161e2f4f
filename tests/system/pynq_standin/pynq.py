"""PYNQ's Overlay, MMIO and allocate, with the signatures of PYNQ 3.0, on the devices of a simulated system: memory that
is cached, and is flushed and invalidated whole."""

import mmap
import os

import numpy as np

NAMES = {"hwgen-net": "network"}  # and hwgen-dmaN: dma_N


def _read(path):
    file = os.open(path, os.O_RDONLY)
    text = os.read(file, 64).decode().strip()
    os.close(file)
    return text


class Overlay:
    """`bitfile_name` must be there, as must its .hwh, which PYNQ reads for ip_dict."""

    def __init__(self, bitfile_name, dtbo=None, download=True, ignore_version=False, device=None, gen_cache=False):
        for name in (bitfile_name, bitfile_name.replace(".bit", ".hwh")):
            if not os.path.isfile(name):
                raise OSError(f"{name} does not exist")
        self.ip_dict = {}
        for folder in os.listdir("/sys/class/uio"):
            name = _read(f"/sys/class/uio/{folder}/name")
            block = NAMES.get(name, name.replace("hwgen-dma", "dma_"))
            number = int(folder[3:])
            self.ip_dict[block] = {"phys_addr": 0xA0000000 + 0x10000 * number, "addr_range": 0x10000}


class MMIO:
    def __init__(self, base_addr, length=4, device=None):
        if length != 0x10000:
            raise ValueError(f"length is {length}")
        file = os.open(f"/dev/uio{(base_addr - 0xA0000000) // 0x10000}", os.O_RDWR)
        self.words = memoryview(mmap.mmap(file, 4096)).cast("I")
        os.close(file)

    def read(self, offset=0, length=4, word_order="little"):
        if offset % 4:
            raise MemoryError("Unaligned read: offset must be multiple of 4.")
        return int(self.words[offset // 4])

    def write(self, offset, data):
        if offset % 4 or not isinstance(data, int):
            raise ValueError("Data type must be int or bytes.")
        self.words[offset // 4] = data


class PynqBuffer(np.ndarray):
    free, whole = 0, None

    def flush(self):
        self._synchronize("sync_for_device")

    def invalidate(self):
        self._synchronize("sync_for_cpu")

    def _synchronize(self, name):
        file = os.open(f"/sys/class/u-dma-buf/hwgen-data/{name}", os.O_WRONLY)
        os.write(file, f"0x{self.offset:08X}{self.nbytes // 64 * 64 | 1:08X}".encode())
        os.close(file)

    def freebuffer(self):
        self.offset = None


def allocate(shape, dtype="u4", target=None, **kwargs):
    """Pages of one buffer, one after the other."""
    if PynqBuffer.whole is None:
        file = os.open("/dev/hwgen-data", os.O_RDWR)
        PynqBuffer.whole = np.frombuffer(mmap.mmap(file, int(_read("/sys/class/u-dma-buf/hwgen-data/size"))), np.uint8)
        os.close(file)
    size = -(-int(np.prod(shape)) * np.dtype(dtype).itemsize // 4096) * 4096
    part = PynqBuffer.whole[PynqBuffer.free : PynqBuffer.free + size][: int(np.prod(shape))].view(PynqBuffer)
    part.offset = PynqBuffer.free
    part.device_address = int(_read("/sys/class/u-dma-buf/hwgen-data/phys_addr"), 0) + PynqBuffer.free
    PynqBuffer.free += size
    return part
