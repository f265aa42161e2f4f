"""Zynq UltraScale+, Kintex UltraScale+, Virtex UltraScale+, and the Kria modules made of them."""

from hwgen.devices import Device, Processor, cells_worth

_DSP48E2_PORTS = """
    CLK A B C D OPMODE ALUMODE INMODE CARRYIN CARRYINSEL ACIN BCIN PCIN CARRYCASCIN MULTSIGNIN P
    CEA1 CEA2 CEAD CEALUMODE CEB1 CEB2 CEC CECARRYIN CECTRL CED CEINMODE CEM CEP
    RSTA RSTALLCARRYIN RSTALUMODE RSTB RSTC RSTCTRL RSTD RSTINMODE RSTM RSTP"""  # all inputs, and of the outputs P
_DSP48E2_PARAMETERS = """
    USE_MULT USE_SIMD AMULTSEL RND AREG BREG CREG DREG ADREG MREG PREG
    OPMODEREG ALUMODEREG CARRYINREG CARRYINSELREG INMODEREG"""

DEVICE = Device(
    family="ultrascale_plus",
    parts=r"xc(zu\d|k26|k24|ku\d+p|vu\d+p|au\d+p)",
    resources=("LUT", "LUTRAM", "MUXF7", "MUXF8", "MUXF9", "FF", "CARRY8", "BRAM36", "URAM", "DSP"),
    of_a_board=("LUT", "LUTRAM", "FF", "CARRY8", "BRAM36", "URAM", "DSP"),
    lanes=("lut", "dsp", "mac"),
    memories=("rom", "bram", "uram"),
    synthesis={"XILINX": 1},
    primitives={
        "LUT6_2": (frozenset({"I0", "I1", "I2", "I3", "I4", "I5", "O5", "O6"}), frozenset({"INIT"})),
        "CARRY8": (frozenset({"CI", "CI_TOP", "DI", "S", "O", "CO"}), frozenset({"CARRY_TYPE"})),
        "DSP48E2": (frozenset(_DSP48E2_PORTS.split()), frozenset(_DSP48E2_PARAMETERS.split())),
    },
    yosys="synth_xilinx -family xcup -flatten -noiopad -noclkbuf -nodsp -widemux 5",
    # an inverter is a LUT1 to Vivado, so it counts as a LUT here
    cells=cells_worth(
        ("LUT1 LUT2 LUT3 LUT4 LUT5 LUT6 LUT6_2 INV", {"LUT": 1}),
        ("SRL16E SRLC16E SRLC32E RAM32X1S RAM64X1S", {"LUT": 1, "LUTRAM": 1}),
        ("RAM32X1D RAM64X1D RAM128X1S", {"LUT": 2, "LUTRAM": 2}),
        ("RAM32M RAM64M RAM128X1D RAM256X1S", {"LUT": 4, "LUTRAM": 4}),
        ("RAM32M16 RAM64M8 RAM256X1D RAM512X1S RAM64X8SW RAM32X16DR8", {"LUT": 8, "LUTRAM": 8}),
        ("MUXF7", {"MUXF7": 1}),
        ("MUXF8", {"MUXF8": 1}),
        ("MUXF9", {"MUXF9": 1}),
        ("FDRE FDSE FDCE FDPE FDRE_1 FDSE_1 FDCE_1 FDPE_1", {"FF": 1}),
        ("CARRY8", {"CARRY8": 1}),
        ("CARRY4", {"CARRY8": 0.5}),  # yosys makes these of a sum; one alone fills a CARRY8
        ("RAMB36E1 RAMB36E2", {"BRAM36": 1}),
        ("RAMB18E1 RAMB18E2", {"BRAM36": 0.5}),
        ("URAM288 URAM288_BASE", {"URAM": 1}),
        ("DSP48E2", {"DSP": 1}),
        ("VCC GND $scopeinfo", {}),
    ),
    vivado={
        "CLB LUTs": "LUT",
        "LUT as Memory": "LUTRAM",
        "F7 Muxes": "MUXF7",
        "F8 Muxes": "MUXF8",
        "F9 Muxes": "MUXF9",
        "CLB Registers": "FF",
        "CARRY8": "CARRY8",
        "Block RAM Tile": "BRAM36",
        "URAM": "URAM",
        "DSPs": "DSP",
    },
    lut_rams=((32, 14, 8), (64, 7, 8)),  # RAM32M16, RAM64M8
    block_rams=(
        ((1, 2, 4, 9, 18), 14, 129, 1, False),
        ((1, 2, 4, 9, 18, 36), 15, 257, 2, False),
        ((1, 2, 4, 9, 18, 36), 14, 129, 1, True),
        ((1, 2, 4, 9, 18, 36, 72), 15, 257, 2, True),
    ),
    block_depth=512,
    ultra_ram=(4096, 72),
    block_luts=738,  # of the XCZU7EV
    ip_families=("zynquplus", "kintexuplus", "virtexuplus"),
    processor=Processor(
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
)
