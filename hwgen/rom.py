"""A memory's words, of any width, the file that $readmemh reads, and the pieces in which a host writes them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

LUT_WORDS = 64  # of the deepest ROM that rtl/term_rom.v makes of LUTs; behind a block RAM it has one more register


@dataclass(frozen=True, eq=False)
class Rom:
    """bits -- uint8 [words, width] of 0 and 1, the highest first"""

    bits: np.ndarray

    @staticmethod
    def of_fields(fields: list[tuple[np.ndarray, int]]) -> "Rom":
        """Words of fields side by side, the first in the highest bits: (int64 [words], its width up to 63) each."""
        columns = [(values[:, None] >> np.arange(width)[::-1] & 1).astype(np.uint8) for values, width in fields]
        return Rom(np.concatenate(columns, axis=1))

    @property
    def depth(self) -> int:
        return self.bits.shape[0]

    @property
    def width(self) -> int:
        return self.bits.shape[1]

    def padded(self, depth: int) -> "Rom":
        """With words of zeros behind it."""
        return Rom(np.pad(self.bits, ((0, depth - self.depth), (0, 0))))

    def banked(self, rows: int) -> "Rom":
        """Banks of `rows` words side by side, the first in the lowest bits; the last is filled with zeros."""
        banks = self.padded(-(-self.depth // rows) * rows).bits.reshape(-1, rows, self.width)
        return Rom(np.concatenate(banks[::-1], axis=1))

    @property
    def pieces(self) -> np.ndarray:
        """uint32 [words, pieces]: each word's 32-bit pieces, the lowest first."""
        pieces = -(-self.width // 32)
        padded = np.pad(self.bits, ((0, 0), (32 * pieces - self.width, 0)))
        return np.packbits(padded, axis=1).view(">u4").astype(np.uint32)[:, ::-1]

    def text(self) -> str:
        """A word a line, in hexadecimal."""
        digits = -(-self.width // 4)
        padded = np.pad(self.bits, ((0, 0), (4 * digits - self.width, 0)))
        nibbles = padded.reshape(self.depth, digits, 4) @ np.array([8, 4, 2, 1], np.uint8)
        lines = np.full((self.depth, digits + 1), ord("\n"), np.uint8)
        lines[:, :-1] = np.frombuffer(b"0123456789abcdef", np.uint8)[nibbles]
        return lines.tobytes().decode()

    @cached_property
    def check(self) -> int:
        """CHECK of rtl/term_rom.v: each word's 32-bit pieces, times the word's place from 1, summed modulo 2^32."""
        values = self.pieces.sum(axis=1, dtype=np.uint64)
        # products of 34 and 30 bits: cut before they are summed
        return int((values * np.arange(1, self.depth + 1, dtype=np.uint64) % (1 << 32)).sum() % (1 << 32))
