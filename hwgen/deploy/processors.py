"""The processing systems of the boards: what a block design and a device tree must know of them."""

from dataclasses import dataclass

from hwgen.board import Board
from hwgen.errors import BadInput

# board -> its name in Vivado's board store, without the version
BOARD_PARTS = {
    "zcu104": "xilinx.com:zcu104:part0",
    "zcu102": "xilinx.com:zcu102:part0",
    "kv260": "xilinx.com:kv260_som:part0",
    "pynq-z2": "tul.com.tw:pynq-z2:part0",
}


@dataclass(frozen=True)
class Processor:
    """A processing system as Vivado has it.

    ip, rule, automation  the name of its IP, and of the rule that sets it as the board is made, with its options
    config       what a design with one master, one slave and interrupts sets
    pins         the names of those that are used, by what they are for
    registers    the bus address of the first registers; each device has 64 KiB
    interrupts   the number of the first line among the interrupt controller's shared ones, and lines
    address_bits that a DMA engine needs
    reference_mhz  of the clock that it gives
    cells        of an address in the device tree
    arch         as bootgen calls it
    most_mhz     of its ports' clocks
    """

    ip: str
    rule: str
    automation: str
    config: dict[str, str]
    pins: dict[str, str]
    registers: int
    interrupts: tuple[int, int]
    address_bits: int
    reference_mhz: float
    cells: int
    arch: str
    most_mhz: float


PROCESSORS = {
    "ultrascale_plus": Processor(
        ip="zynq_ultra_ps_e",
        rule="xilinx.com:bd_rule:zynq_ultra_ps_e",
        automation='apply_board_preset "1"',
        config={
            "PSU__USE__M_AXI_GP0": "1",
            "PSU__USE__M_AXI_GP1": "0",
            "PSU__USE__M_AXI_GP2": "0",
            "PSU__USE__S_AXI_GP2": "1",
            "PSU__USE__IRQ0": "1",
            "PSU__FPGA_PL0_ENABLE": "1",
            "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ": "100",
        },
        pins={
            "master": "M_AXI_HPM0_FPD",
            "master_clock": "maxihpm0_fpd_aclk",
            "slave": "S_AXI_HP0_FPD",
            "slave_clock": "saxihp0_fpd_aclk",
            "clock": "pl_clk0",
            "reset": "pl_resetn0",
            "interrupt": "pl_ps_irq0",
        },
        registers=0xA0000000,
        interrupts=(89, 8),
        address_bits=64,
        reference_mhz=100.0,
        cells=2,
        arch="zynqmp",
        most_mhz=333.0,
    ),
    "series7": Processor(
        ip="processing_system7",
        rule="xilinx.com:bd_rule:processing_system7",
        automation='make_external "FIXED_IO, DDR" apply_board_preset "1" Master "Disable" Slave "Disable"',
        config={
            "PCW_USE_M_AXI_GP0": "1",
            "PCW_USE_S_AXI_HP0": "1",
            "PCW_USE_FABRIC_INTERRUPT": "1",
            "PCW_IRQ_F2P_INTR": "1",
            "PCW_FPGA0_PERIPHERAL_FREQMHZ": "100",
        },
        pins={
            "master": "M_AXI_GP0",
            "master_clock": "M_AXI_GP0_ACLK",
            "slave": "S_AXI_HP0",
            "slave_clock": "S_AXI_HP0_ACLK",
            "clock": "FCLK_CLK0",
            "reset": "FCLK_RESET0_N",
            "interrupt": "IRQ_F2P",
        },
        registers=0x40000000,
        interrupts=(29, 8),
        address_bits=32,
        reference_mhz=100.0,
        cells=1,
        arch="zynq",
        most_mhz=250.0,
    ),
}


def processor_of(board: Board, clock_mhz: float) -> tuple[Processor, str]:
    """The processing system of a board, and the board's name in Vivado; raises BadInput where there is none, or no
    clock of that frequency can be made for it."""
    family = board.device.family
    if board.name not in BOARD_PARTS or family not in PROCESSORS:
        raise BadInput(
            f"no block design is known for the board {board.name}", "--board", f"one of: {', '.join(BOARD_PARTS)}"
        )
    processor = PROCESSORS[family]
    if not 10 <= clock_mhz <= processor.most_mhz:
        raise BadInput(
            f"a clock of {clock_mhz:g} MHz",
            "--clock",
            f"use 10 to {processor.most_mhz:g} MHz, which the ports of the processing system take",
        )
    return processor, BOARD_PARTS[board.name]
