"""What connects a network with a processing system: block design, constraints, device tree, all of one description."""

from collections.abc import Mapping
from itertools import zip_longest

from hwgen.board import Board
from hwgen.deploy.ipxact import LIBRARY, VENDOR, VERSION
from hwgen.deploy.processors import Processor, processor_of
from hwgen.errors import BadInput
from hwgen.templates import render

MOST_MASTERS = 16  # of a SmartConnect
CONNECTIONS = {"kv260": "som240_1_connector xilinx.com:kv260_carrier:som240_1_connector:1.3"}
NARROWEST, SIZES = 32, {"network": 0x1000, "dma": 0x10000}
DATA, DESCRIPTORS = 8 << 20, 1 << 20  # bytes of the two buffers


def scripts(known: Mapping, board: Board) -> dict[str, str]:
    """Files of the kit by name: scripts of Vivado, the device-tree overlay, Makefile; known -- kit.json."""
    processor, board_part = processor_of(board, known["clock_mhz"])
    design = _design(known, processor)
    name = known["name"]
    return {
        "vivado/design.tcl": render(
            "kit/design.tcl.j2",
            name=name,
            vlnv=f"{VENDOR}:{LIBRARY}:{known['top']}:{VERSION}",
            clock_mhz=known["clock_mhz"],
            processor=processor,
            **design,
        ),
        "vivado/build.tcl": render(
            "kit/build.tcl.j2",
            name=name,
            part=board.part,
            board_part=board_part,
            connections=CONNECTIONS.get(board.name, ""),
        ),
        "vivado/board.xdc": board.constraints,
        "overlay.dtso": render(
            "kit/overlay.dtso.j2",
            name=name,
            processor=processor,
            devices=design["devices"],
            line=processor.interrupts[0],
            buffers={"hwgen-data": DATA, "hwgen-descriptors": DESCRIPTORS},
        ),
        "Makefile": render("kit/Makefile.j2", name=name, board=board.name, arch=processor.arch),
        f"{name}.core": render("kit/fusesoc.core.j2", known=known, part=board.part, files=known["sources"]),
    }


def _design(known: Mapping, processor: Processor) -> dict:
    """Cells and connections."""
    network = known["network"]
    pairs = [*zip_longest(network["inputs"], network["outputs"]), *((each, None) for each in network["loads"])]
    pairs = list(enumerate(pairs))
    engines = [_engine(*both) for _, both in pairs]
    masters, streams, clocks, lines = [], [], [], []
    for i, (sent, received) in pairs:
        masters.append(f"dma_{i}/M_AXI_SG")
        clocks += [f"dma_{i}/s_axi_lite_aclk", f"dma_{i}/m_axi_sg_aclk"]
        if sent:
            masters.append(f"dma_{i}/M_AXI_MM2S")
            clocks.append(f"dma_{i}/m_axi_mm2s_aclk")
            streams.append((f"dma_{i}/M_AXIS_MM2S", f"network/{sent['port']}"))
        if received:
            masters.append(f"dma_{i}/M_AXI_S2MM")
            clocks.append(f"dma_{i}/m_axi_s2mm_aclk")
            streams.append((f"network/{received['port']}", f"dma_{i}/S_AXIS_S2MM"))
        lines.append(f"dma_{i}/{'s2mm' if received else 'mm2s'}_introut")
    interrupts = [*lines, "network/irq"]
    if len(masters) > MOST_MASTERS or len(interrupts) > processor.interrupts[1]:
        raise BadInput(
            f"{len(network['inputs'])} inputs and {len(network['outputs'])} outputs: they need {len(masters)} masters "
            f"and {len(interrupts)} interrupts",
            "the streams",
            f"build a network that needs at most {MOST_MASTERS} and {processor.interrupts[1]}",
        )
    pins = processor.pins
    common = [f"ps/{pins['master_clock']}", f"ps/{pins['slave_clock']}", "reset/slowest_sync_clk"]
    return {
        "engines": engines,
        "masters": masters,
        "streams": streams,
        "clocks": [*common, "registers/aclk", "memory/aclk", "network/aclk", *clocks],
        "resets": ["registers/aresetn", "memory/aresetn", "network/aresetn"]
        + [f"dma_{i}/axi_resetn" for i, _ in pairs],
        "interrupts": interrupts,
        "devices": _devices(processor, len(engines)),
    }


def _engine(sent: Mapping | None, received: Mapping | None) -> dict:
    bits = [end["port_bits"] if end else 0 for end in (sent, received)]
    return {
        "sends": int(bool(sent)),
        "receives": int(bool(received)),
        "in_bits": bits[0],
        "send_bits": max(NARROWEST, bits[0]),
        "receive_bits": max(NARROWEST, bits[1]),
    }


def _devices(processor: Processor, engines: int) -> list[dict]:
    """What has registers: cell, port and segment of the block design, address, bytes, the name that the drivers look
    for, and its line among the interrupts."""
    network = {
        "cell": "network",
        "port": "s_axi",
        "segment": "reg",
        "address": processor.registers,
        "size": SIZES["network"],
        "uio": "hwgen-net",
        "line": engines,
    }
    others = [
        {
            "cell": f"dma_{i}",
            "port": "S_AXI_LITE",
            "segment": "Reg",
            "address": processor.registers + SIZES["dma"] * (i + 1),
            "size": SIZES["dma"],
            "uio": f"hwgen-dma{i}",
            "line": i,
        }
        for i in range(engines)
    ]
    return [network, *others]
