"""QType, the only number format: a range of integers; a width follows from it."""

from dataclasses import dataclass


def width(low: int, high: int) -> int:
    """Bits of the narrowest number that holds both ends: two's complement if low < 0, else unsigned; at least 1."""
    if low >= 0:
        return max(1, int(high).bit_length())
    return max(max(int(high), 0).bit_length(), int(-low - 1).bit_length()) + 1


def signed_width(low: int, high: int) -> int:
    """Bits of the narrowest two's complement number that holds both ends."""
    return width(min(low, -1), high)


def ceil_log2(count: int) -> int:
    """Bits that number `count` things: 0 for one."""
    return (count - 1).bit_length()


@dataclass(frozen=True)
class QType:
    """Integers in [low, high], both included; stored in `bits`, two's complement when low < 0."""

    low: int
    high: int

    @property
    def signed(self) -> bool:
        return self.low < 0

    @property
    def bits(self) -> int:
        return width(self.low, self.high)

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.bits}"
