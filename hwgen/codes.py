"""The codes of protected memories: check bits for the words of a list (rtl/word_code.v, docs/protect.md)."""

from functools import cache
from itertools import combinations, count

import numpy as np

from hwgen.protect import Protection
from hwgen.rom import Rom


def code(protect: Protection, width: int) -> np.ndarray:
    """uint8 [check bits, width]: which bits of a word of a list each check bit looks at, the lowest first; no check
    bits without protection of memories."""
    if protect.ecc:
        return hsiao(width)
    return np.ones((int(protect.parity), width), np.uint8)


def coded(protect: Protection, rom: Rom) -> Rom:
    """The words with their check bits above them, the last one highest."""
    checks = rom.bits[:, ::-1] @ code(protect, rom.width).T % 2
    return Rom(np.concatenate([checks[:, ::-1].astype(np.uint8), rom.bits], axis=1))


def parameters(protect: Protection, width: int) -> dict:
    """CODE_W and CODE of rtl/word_code.v for words of `width` bits."""
    bits = code(protect, width)
    return {"CODE_W": len(bits), "CODE": (sum(int(bit) << i for i, bit in enumerate(bits.ravel())), max(1, bits.size))}


def check_bits(width: int) -> int:
    """The fewest check bits that put one of `width` bits right and tell of two."""
    return next(bits for bits in count(4) if (1 << (bits - 1)) - bits >= width)


@cache
def hsiao(width: int) -> np.ndarray:
    """uint8 [check bits, width]: a code of single error correction and double error detection, all columns different
    and of odd weight, three or more, with the fewest ones, as even by rows as one column after the other can be chosen
    (M. Y. Hsiao, A class of optimal minimum odd-weight-column SEC-DED codes, IBM J. Res. Develop. 14, 1970)."""
    bits = check_bits(width)
    rows, columns = np.zeros(bits, np.int64), list[np.ndarray]()
    for weight in range(3, bits + 1, 2):
        left = [np.bincount(places, minlength=bits) for places in combinations(range(bits), weight)]
        while left and len(columns) < width:
            best = min(range(len(left)), key=lambda i: sorted(rows + left[i], reverse=True))
            columns.append(left.pop(best))
            rows += columns[-1]
    return np.stack(columns, axis=1).astype(np.uint8)
