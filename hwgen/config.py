"""What a user may choose about a build."""

import re
from dataclasses import dataclass

from hwgen.errors import BadInput


@dataclass(frozen=True)
class BuildConfig:
    """Choices of `hwgen build`; raises BadInput for a value outside its range."""

    board: str = "zcu104"  # a file of boards/
    lanes: int = 16  # at most so many accumulators per layer, 1 to 1024
    name: str = ""  # of the network's Verilog modules; default: the output folder's name

    def __post_init__(self):
        if isinstance(self.lanes, bool) or not isinstance(self.lanes, int) or not 1 <= self.lanes <= 1024:
            raise BadInput(f"lanes = {self.lanes!r}", "--lanes", "use an integer from 1 to 1024")
        if self.name and not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise BadInput(f"name = {self.name!r}", "--name", "use lower-case letters, digits and _, a letter first")
