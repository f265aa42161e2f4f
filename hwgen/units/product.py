"""rtl/product.v, which units hold: what a product takes."""


def product_luts(a: int, a_signed: bool, b: int, b_signed: bool) -> int:
    """LUTs of a product of `a` by `b` bits: a row for each digit of one factor, a table for each bit of the other and
    two more."""

    def rows(digits: int, signed: bool, other: int) -> int:
        return (digits + (1 if signed else 2)) // 2 * (other + 2)

    return min(rows(b, b_signed, a), rows(a, a_signed, b))
