"""Protection against flipped bits: what a build may have of it, and the codes of its memories (docs/protect.md)."""

from dataclasses import dataclass
from functools import cache
from itertools import combinations, count

import numpy as np

from hwgen.errors import BadInput
from hwgen.rom import Rom

NONE, PARITY, ECC, TMR = "none", "parity", "ecc", "tmr-control"
KINDS = (NONE, PARITY, ECC, TMR)
MEMORIES, CONTROL = "memories", "control"  # what is protected
EVERYTHING = frozenset({MEMORIES, CONTROL})
_HINT = "use none, or parity or ecc, and tmr-control, with commas between"


@dataclass(frozen=True)
class Protection:
    """Of a build.

    parity  a bit for each word of a list and each activation in a line memory, which tells that one was flipped
    ecc     check bits for each word of a list, which put one flipped bit right and tell of two
    tmr     three copies of each register of control, the majority of which counts
    """

    parity: bool = False
    ecc: bool = False
    tmr: bool = False

    @staticmethod
    def of(text: object) -> "Protection":
        """What --protect says; raises BadInput."""
        kinds = [kind.strip() for kind in text.split(",")] if isinstance(text, str) else []
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            raise BadInput(f"no protection {unknown[0]!r}", "--protect", _HINT)
        if not kinds:
            raise BadInput(f"protect = {text!r}", "--protect", _HINT)
        if len(kinds) > 1 and NONE in kinds:
            raise BadInput("none and another protection", "--protect", _HINT)
        if PARITY in kinds and ECC in kinds:
            raise BadInput("parity and ecc", "--protect", "use ecc alone: it repairs what parity tells of")
        return Protection(PARITY in kinds, ECC in kinds, TMR in kinds)

    def __bool__(self) -> bool:
        return self.parity or self.ecc or self.tmr

    @property
    def memories(self) -> bool:
        """Whether words of memories carry check bits."""
        return self.parity or self.ecc

    @property
    def reaches(self) -> frozenset[str]:
        """What it protects: memories, control."""
        return frozenset(name for name, there in ((MEMORIES, self.memories), (CONTROL, self.tmr)) if there)

    def code(self, width: int) -> np.ndarray:
        """uint8 [check bits, width]: which bits of a word of a list each check bit looks at, the lowest first; no check
        bits without protection of memories."""
        if self.ecc:
            return hsiao(width)
        return np.ones((int(self.parity), width), np.uint8)

    def coded(self, rom: Rom) -> Rom:
        """The words with their check bits above them, the last one highest."""
        checks = rom.bits[:, ::-1] @ self.code(rom.width).T % 2
        return Rom(np.concatenate([checks[:, ::-1].astype(np.uint8), rom.bits], axis=1))

    def parameters(self, width: int) -> dict:
        """CODE_W and CODE of rtl/word_code.v for words of `width` bits."""
        code = self.code(width)
        bits = max(1, code.size)
        return {"CODE_W": len(code), "CODE": (sum(int(bit) << i for i, bit in enumerate(code.ravel())), bits)}


UNPROTECTED = Protection()


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
