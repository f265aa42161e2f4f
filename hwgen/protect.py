"""Protection against flipped bits: what a build may have of it (docs/protect.md)."""

from dataclasses import dataclass

from hwgen.errors import BadInput

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


UNPROTECTED = Protection()
