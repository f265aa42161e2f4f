"""Everything that can go wrong in a way a user can mend: what, where, and what to do."""

from textwrap import indent


class HwgenError(Exception):
    """A user's error: the command line prints it without a traceback and exits 1.

    what -- one sentence that names the offending thing and its value
    at   -- the layer, file or option where it was met
    hint -- what to do about it
    """

    def __init__(self, what: str, at: str = "", hint: str = ""):
        self.what, self.at, self.hint = what, at, hint
        lines = [f"{type(self).__name__}: {what}"]
        lines += [f"  at:   {at}"] if at else []
        lines += [f"  try:  {hint}"] if hint else []
        super().__init__("\n".join(lines))

    def each(self) -> list["HwgenError"]:
        """The single errors that this one tells."""
        return [self]


class Obstacles(HwgenError):
    """Several things stand in the way of one network."""

    def __init__(self, errors: list[HwgenError]):
        self.errors = errors
        at = ", ".join(dict.fromkeys(error.at for error in errors))
        super().__init__(f"{len(errors)} things stand in the way of this network", at, "mend each of them")

    def __str__(self) -> str:
        return "\n".join([f"Obstacles: {self.what}", *(indent(str(error), "  ") for error in self.errors)])

    @staticmethod
    def of(errors: list[HwgenError]) -> HwgenError:
        """The one error that tells them all: a single one as it is, the same at several places once."""
        places: dict[tuple, list[str]] = {}
        for error in errors:
            at = places.setdefault((type(error), error.what, error.hint), [])
            if error.at not in at:
                at.append(error.at)
        told = [kind(what, ", ".join(at), hint) for (kind, what, hint), at in places.items()]
        return told[0] if len(told) == 1 else Obstacles(told)

    def each(self) -> list[HwgenError]:
        return self.errors


class UnsupportedLayer(HwgenError):
    """The network holds an operation that hwgen cannot turn into hardware."""


class OffGrid(HwgenError):
    """A number is not an exact multiple of a power of two that the hardware can hold."""


class BadInput(HwgenError):
    """A file, a shape or an option is not what the command takes."""


class DoesNotFit(HwgenError):
    """The network exceeds a width or the board."""


class MissingTool(HwgenError):
    """A program that this step needs is not installed."""


class Mismatch(HwgenError):
    """The RTL answered something else than the golden integers."""


class ToolFailed(HwgenError):
    """A simulator or synthesizer ended with an error of its own."""


class MissingActQuant(HwgenError):
    """An activation reaches a layer without having been put on a grid."""
