"""Artix-7, Kintex-7, Spartan-7, Virtex-7 and Zynq-7000.

Their slice, the DSP48E1, lacks the W multiplexer by which rtl/pe_dsp.v doubles a sum and rtl/pe_mac.v keeps one: all
lanes are in LUTs.
"""

from hwgen.devices import Device, Processor, cells_worth, ultrascale_plus

DEVICE = Device(
    family="series7",
    parts=r"xc7(a|k|s|v|vx|vh|z)\d",
    resources=("LUT", "LUTRAM", "MUXF7", "MUXF8", "FF", "CARRY4", "BRAM36", "URAM", "DSP"),
    of_a_board=("LUT", "LUTRAM", "FF", "CARRY4", "BRAM36", "URAM", "DSP"),
    lanes=("lut",),
    memories=("rom", "bram"),
    synthesis={"XILINX": 2},
    primitives={
        "LUT6_2": (frozenset({"I0", "I1", "I2", "I3", "I4", "I5", "O5", "O6"}), frozenset({"INIT"})),
        "CARRY4": (frozenset({"CI", "CYINIT", "DI", "S", "O", "CO"}), frozenset()),
    },
    yosys="synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -nodsp -widemux 5",
    # an inverter is a LUT1 to Vivado, so it counts as a LUT here
    cells=cells_worth(
        ("LUT1 LUT2 LUT3 LUT4 LUT5 LUT6 LUT6_2 INV", {"LUT": 1}),
        ("SRL16E SRLC16E SRLC32E RAM32X1S RAM64X1S", {"LUT": 1, "LUTRAM": 1}),
        ("RAM32X1D RAM64X1D RAM128X1S", {"LUT": 2, "LUTRAM": 2}),
        ("RAM32M RAM64M RAM128X1D RAM256X1S", {"LUT": 4, "LUTRAM": 4}),
        ("MUXF7", {"MUXF7": 1}),
        ("MUXF8", {"MUXF8": 1}),
        ("FDRE FDSE FDCE FDPE FDRE_1 FDSE_1 FDCE_1 FDPE_1", {"FF": 1}),
        ("CARRY4", {"CARRY4": 1}),
        ("RAMB36E1", {"BRAM36": 1}),
        ("RAMB18E1", {"BRAM36": 0.5}),
        ("DSP48E1", {"DSP": 1}),
        ("VCC GND $scopeinfo", {}),
    ),
    vivado={
        "Slice LUTs": "LUT",
        "LUT as Memory": "LUTRAM",
        "F7 Muxes": "MUXF7",
        "F8 Muxes": "MUXF8",
        "Slice Registers": "FF",
        "CARRY4": "CARRY4",
        "Block RAM Tile": "BRAM36",
        "DSPs": "DSP",
    },
    lut_rams=((32, 6, 4), (64, 3, 4)),  # RAM32M, RAM64M
    block_rams=ultrascale_plus.DEVICE.block_rams,  # RAMB36E1 has the shapes of RAMB36E2
    block_depth=512,
    ultra_ram=None,
    block_luts=380,  # of the XC7Z020
    ip_families=("zynq", "artix7", "kintex7"),
    processor=Processor(
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
)
