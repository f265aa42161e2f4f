"""The adder model: takes the adders out of a netlist of yosys and says how many LUTs they are.

One rule for everybody, for the netlist before yosys chooses carry chains:
- An adder is an $add, $sub or $neg of two operands; or two of them where the second is the only reader of the first,
  which makes one adder of three operands. Of all such pairings the one that saves most is taken.
- It takes one LUT for each of its bits, as LUT6_2 and CARRY8 do, but for those that need none: below its second-lowest
  operand, where one operand passes as it is; where the carry is all that is left, which comes out of the chain; and
  copies of the sum's sign. Of three operands the bit above the last takes one more, for what carries over.
- Free are the negation of an adder's operand, and a carry-in: one bit added to a sum at its lowest bit, or taken from
  a difference.
- A sum with a constant, of which nothing but the sign is read, is a comparison and is left in the netlist.
- A design that instantiates LUT6_2 and CARRY8 itself keeps them, and each LUT6_2 is a LUT. What it leaves to a route
  through the LUT in front of a CARRY8's S, a signal that no LUT's O6 or O drives, is counted as that LUT.
Where an adder was, its operands are outputs of what is left and its sum inputs.
"""

from collections import Counter
from dataclasses import dataclass

# of a sum's operands: sign, bits from bit 0 up, the bit that goes on above if that is known;
# a bit is a net's number or "0", "1", "x"
Operand = tuple[int, list, int | str | None]


@dataclass
class Adder:
    operands: list[Operand]  # all as wide as the sum
    sum: list[int]
    offset: int = 0  # of the operands' bit 0, below the sum's
    carry: tuple[int, int, int | str] | None = None  # sign, position and bit of a carry-in

    @property
    def width(self) -> int:
        return len(self.sum) + self.offset

    def start(self) -> int:
        """The first position that is not one operand as it is."""
        for i in range(self.width):
            live = [sign for sign, bits, _ in self.operands if bits[i] != "0"]
            if len(live) > 1 or -1 in live or (self.carry and self.carry[1] == i):
                return i
        return self.width

    def end(self) -> int:
        """The last position that is not a copy of the one below."""
        top = 0
        for _, bits, _ in self.operands:
            sign = len(bits) - 1
            while sign and bits[sign - 1] == bits[-1]:
                sign -= 1
            top = max(top, sign)
        return min(self.width - 1, top + (len(self.operands) + 1) // 2)

    def luts(self) -> int:
        start, end = self.start(), self.end()
        nets = [sum(isinstance(bits[i], int) for _, bits, _ in self.operands) for i in range(end + 1)]
        three = len(self.operands) == 3
        return sum(nets[i] > 0 or (three and i > start and nets[i - 1] > 1) for i in range(start, end + 1))


def cut(module: dict) -> dict:
    """Cuts the adders out of a module of yosys's JSON; returns adder_bits, their LUTs, and what else is counted."""
    module["cells"] = {name: cell for name, cell in module["cells"].items() if cell["type"] != "$scopeinfo"}
    readers = _readers(module)
    found = {name: _adder(cell, readers) for name, cell in module["cells"].items() if cell["type"] in _SIGNS}
    found = {name: adder for name, adder in found.items() if adder.sum and not _is_comparison(adder, readers)}
    for name in found:
        del module["cells"][name]
    adders = list(found.values())
    reads = _reads(module, adders)
    adders = _pair(_absorb_negations(adders, reads), reads)
    _open(module, adders)
    operands = Counter(len(adder.operands) for adder in adders if adder.luts())
    return {
        "adder_bits": sum(adder.luts() for adder in adders),
        "route_throughs": _route_throughs(module),
        "adders_of_two": operands[1] + operands[2],
        "adders_of_three": operands[3],
    }


def _reads(module: dict, adders: list[Adder]) -> dict[int, set]:
    """Who reads each net of a module that the adders are out of: (adder, operand), or None for anything else."""
    reads: dict[int, set] = {net: {None} for net in _readers(module)}
    for index, adder in enumerate(adders):
        for which, (_, bits, _) in enumerate(adder.operands):
            for bit in bits:
                reads.setdefault(bit, set()).add((index, which))
    return reads


def _open(module: dict, adders: list[Adder]) -> None:
    """Makes the adders' operands outputs of the module that they are out of, and their sums its inputs; what passes an
    adder as it is, and each copy of a sign, becomes the net that it equals."""
    same, inputs, outputs = {}, set(), set()
    for adder in adders:
        start, end = adder.start(), adder.end()
        for at, bit in enumerate(adder.sum, adder.offset):
            if at < start:
                same[bit] = next((bits[at] for _, bits, _ in adder.operands if bits[at] != "0"), "0")
            elif at > end:
                same[bit] = adder.sum[end - adder.offset]
            else:
                inputs.add(bit)
        outputs |= {bit for _, bits, _ in adder.operands for bit in bits}
        outputs |= {adder.carry[2]} if adder.carry else set()
    for cell in module["cells"].values():
        cell["connections"] = {port: _renamed(bits, same) for port, bits in cell["connections"].items()}
    for port in module["ports"].values():
        port["bits"] = _renamed(port["bits"], same)
    module["netnames"] = {}
    operands = {bit for bit in _renamed(list(outputs), same) if isinstance(bit, int)}
    module["ports"]["adder_sums"] = {"direction": "input", "bits": sorted(inputs)}
    module["ports"]["adder_operands"] = {"direction": "output", "bits": sorted(operands)}


def _renamed(bits: list, same: dict) -> list:
    """The bits, each by the net that it equals in the end; same -- net -> the next one."""
    result = []
    for bit in bits:
        while bit in same:
            bit = same[bit]
        result.append(bit)
    return result


_SIGNS = {"$add": (1, 1), "$sub": (1, -1), "$neg": (-1,)}


def _readers(module: dict) -> Counter:
    """How many inputs of cells and outputs of the module each net is."""
    bits = Counter()
    for cell in module["cells"].values():
        for port, own in cell["connections"].items():
            if cell["port_directions"][port] == "input":
                bits.update(bit for bit in own if isinstance(bit, int))
    for port in module["ports"].values():
        if port["direction"] == "output":
            bits.update(bit for bit in port["bits"] if isinstance(bit, int))
    return bits


def _route_throughs(module: dict) -> int:
    luts = [cell["connections"] for cell in module["cells"].values() if cell["type"].startswith("LUT")]
    driven = {bit for ports in luts for port in ("O", "O6") for bit in ports.get(port, ())}
    carries = [cell["connections"] for cell in module["cells"].values() if cell["type"] == "CARRY8"]
    return sum(isinstance(bit, int) and bit not in driven for ports in carries for bit in ports["S"])


def _adder(cell: dict, readers: Counter) -> Adder:
    total = list(cell["connections"]["Y"])
    while total and total[-1] not in readers:
        total.pop()
    operands = []
    for sign, port in zip(_SIGNS[cell["type"]], "AB", strict=False):
        bits = list(cell["connections"][port])
        signed = int(cell["parameters"][f"{port}_SIGNED"], 2)
        bits = (bits + [bits[-1] if signed else "0"] * len(total))[: max(len(total), len(bits))]
        # an operand as wide as the sum does not tell whether its last bit is a sign; one with copies of it does
        known = signed or bits[-1] == "0" or bits[-2:-1] == bits[-1:]
        operands.append((sign, bits[: len(total)], bits[-1] if known else None))
    return Adder(operands, total)


def _is_comparison(adder: Adder, readers: Counter) -> bool:
    constant = any(not any(isinstance(bit, int) for bit in bits) for _, bits, _ in adder.operands)
    return constant and not any(bit in readers for bit in adder.sum[:-1])


def _place(adder: Adder, bits: list) -> tuple[int, list] | None:
    """Where an operand's `bits` hold the sum of `adder`: (position of its bit 0, the bits below); None if not whole."""
    where = {bit: i for i, bit in enumerate(adder.sum)}
    low = next(i for i, bit in enumerate(bits) if bit in where)
    at = low - where[bits[low]]
    top = at + len(adder.sum)
    above = {*bits[top:]}
    if low != max(at, 0) or bits[low:top] != adder.sum[low - at :] or not (above <= {"0"} or above == {adder.sum[-1]}):
        return None
    return at, bits[:low]


def _spread(adder: Adder, bits: list, at: int, low: list) -> list[Operand] | None:
    """The operands of `adder` in place of its sum in an operand of another: their bit 0 at position `at` of it."""
    operands, below = [], low if any(bit != "0" for bit in low) else None
    signed = bits[-1] != "0" or len(bits) == at + len(adder.sum)
    for sign, own, above in adder.operands:
        if above is None:  # if the sum has a sign, so has the operand
            above = own[-1] if signed else "0"
        under = ["0"] * max(at, 0)
        if below is not None and sign > 0:
            under, below = below, None
        operands.append((sign, under + own + [above] * (len(bits) - at - len(own)), above))
    return operands if below is None else None


def _absorb_negations(adders: list[Adder], reads: dict) -> list[Adder]:
    """Adders of one operand go where all who read them are adders that can take the operand negated."""
    gone = set()
    for index, adder in enumerate(adders):
        if len(adder.operands) > 1:
            continue
        users = set().union(*(reads.get(bit, set()) for bit in adder.sum))
        changes = {}
        for user in users:
            if user is None or user[0] in gone or len(adders[user[0]].operands) < 2:
                break
            sign, bits, _ = adders[user[0]].operands[user[1]]
            placed = _place(adder, bits)
            spread = _spread(adder, bits, *placed) if placed and placed[0] >= 0 else None
            if not spread:
                break
            changes[user] = (sign * spread[0][0], *spread[0][1:])
        else:
            for (which, operand), new in changes.items():
                adders[which].operands[operand] = new
                for bit in new[1]:
                    reads.setdefault(bit, set()).add((which, operand))
                    reads[bit].discard((index, 0))
            gone.add(index)
    return [adder if index not in gone else Adder([], []) for index, adder in enumerate(adders)]


def _joined(child: Adder, parent: Adder, which: int) -> Adder | None:
    """One adder for `parent` and the one that makes its operand `which`."""
    sign, bits, _ = parent.operands[which]
    placed = _place(child, bits)
    if placed is None or len(child.operands) + len(parent.operands) > 4:
        return None
    at, low = placed
    spread = _spread(child, bits, at, low)
    if spread is None:
        return None
    below = max(0, -at)  # positions under the parent's bit 0
    others = [(own, ["0"] * below + b, above) for i, (own, b, above) in enumerate(parent.operands) if i != which]
    operands = [(sign * own, b, above) for own, b, above in spread] + others
    adder = Adder(operands, parent.sum, below)
    if len(operands) == 3:
        _take_carry(adder)
    return adder


def _take_carry(adder: Adder) -> None:
    """Makes an operand of one bit, at or below where the two others start, their carry-in."""
    for which, (sign, bits, _) in enumerate(adder.operands):
        others = [own for i, own in enumerate(adder.operands) if i != which]
        # the negation of an operand takes the carry-in, which the bit can only take back
        free = sorted([sign, *(own[0] for own in others)]) in ([1, 1, 1], [-1, -1, 1]) and sign in {
            o[0] for o in others
        }
        places = [i for i, bit in enumerate(bits) if bit != "0"]
        rest = Adder(others, adder.sum, offset=adder.offset)
        if free and len(places) == 1 and places[0] <= rest.start():
            adder.operands, adder.carry = others, (sign, places[0], bits[places[0]])
            return


def _pair(adders: list[Adder], reads: dict) -> list[Adder]:
    """Joins each adder to at most one that only it reads, so that the most LUTs are saved."""
    only: dict[int, list] = {}  # parent -> [(child, operand)]
    for index, adder in enumerate(adders):
        users = set().union(*(reads.get(bit, set()) for bit in adder.sum))
        if len(users) == 1 and None not in users:
            ((parent, which),) = users
            only.setdefault(parent, []).append((index, which))
    order = _children_first(only, len(adders))
    # the most that is saved below an adder: if it may take a child, if it may not; and the child it takes
    free, bound, taken = {}, {}, {}
    for index in order:
        children = only.get(index, [])
        best = bound[index] = sum(free[child] for child, _ in children)
        for child, which in children:
            joined = _joined(adders[child], adders[index], which)
            if joined is None:
                continue
            saved = adders[child].luts() + adders[index].luts() - joined.luts()
            total = bound[index] - free[child] + bound[child] + saved
            if total > best:
                best, taken[index] = total, (child, joined)
        free[index] = best
    result, joined_into = [], set()
    for index in reversed(order):  # parents first
        if index not in joined_into:
            child, adder = taken.get(index, (None, adders[index]))
            joined_into.add(child)
            result.append(adder)
    return [adder for adder in result if adder.operands]


def _children_first(only: dict[int, list], adders: int) -> list[int]:
    """The numbers of all adders, each behind the children that `only` has of it."""
    order, seen = [], set()
    for root in range(adders):
        waiting = [(root, False)]
        while waiting:
            index, leaving = waiting.pop()
            if leaving:
                order.append(index)
            elif index not in seen:
                seen.add(index)
                waiting += [(index, True), *((child, False) for child, _ in only.get(index, ()))]
    return order
