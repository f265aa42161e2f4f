"""rtl/product.v, which units hold: what a product takes."""


def product_rows(a: int, a_signed: bool, b: int, b_signed: bool) -> tuple[int, int]:
    """Of a product of `a` by `b` bits: LUTs, a row for each digit of one factor with a table for each bit of the other
    and two more; and the rows, between any two of which there is a register."""

    def rows(bits: int, signed: bool, other: int) -> tuple[int, int]:
        digits = (bits + (1 if signed else 2)) // 2
        return digits * (other + 2), digits

    return min(rows(b, b_signed, a), rows(a, a_signed, b))


def product_luts(a: int, a_signed: bool, b: int, b_signed: bool) -> int:
    """Its LUTs alone."""
    return product_rows(a, a_signed, b, b_signed)[0]
