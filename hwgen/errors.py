"""Everything that can go wrong in a way a user can mend: what, where, and what to do."""


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
