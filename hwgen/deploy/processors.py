"""The processing systems of the boards: what a block design and a device tree must know of them."""

from hwgen.board import Board
from hwgen.devices import Processor
from hwgen.errors import BadInput

# board -> its name in Vivado's board store, without the version
BOARD_PARTS = {
    "zcu104": "xilinx.com:zcu104:part0",
    "zcu102": "xilinx.com:zcu102:part0",
    "kv260": "xilinx.com:kv260_som:part0",
    "pynq-z2": "tul.com.tw:pynq-z2:part0",
}


def processor_of(board: Board, clock_mhz: float) -> tuple[Processor, str]:
    """The processing system of a board, and the board's name in Vivado; raises BadInput where there is none, or no
    clock of that frequency can be made for it."""
    if board.name not in BOARD_PARTS:
        raise BadInput(
            f"no block design is known for the board {board.name}", "--board", f"one of: {', '.join(BOARD_PARTS)}"
        )
    processor = board.device.processor
    if not 10 <= clock_mhz <= processor.most_mhz:
        raise BadInput(
            f"a clock of {clock_mhz:g} MHz",
            "--clock",
            f"use 10 to {processor.most_mhz:g} MHz, which the ports of the processing system take",
        )
    return processor, BOARD_PARTS[board.name]
