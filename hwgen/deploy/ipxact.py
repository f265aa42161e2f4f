"""component.xml of the kit's IP: IP-XACT as IEEE 1685-2009, which Vivado's catalog reads."""

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as xml

from hwgen.devices import devices
from hwgen.registers import CLEAR, READ, REGISTERS, SIZE

SPIRIT = "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"
XILINX = "http://www.xilinx.com"
VENDOR, LIBRARY, VERSION = "hwgen", "network", "1.0"
AXI_LITE = {
    **{name: ("in", bits) for name, bits in (("AWADDR", 12), ("AWPROT", 3), ("WDATA", 32), ("WSTRB", 4))},
    **{name: ("in", bits) for name, bits in (("ARADDR", 12), ("ARPROT", 3))},
    **{name: ("in", 0) for name in ("AWVALID", "WVALID", "BREADY", "ARVALID", "RREADY")},
    **{name: ("out", 0) for name in ("AWREADY", "WREADY", "BVALID", "ARREADY", "RVALID")},
    **{name: ("out", bits) for name, bits in (("BRESP", 2), ("RDATA", 32), ("RRESP", 2))},
}
# what a stream's sink has as inputs, and what its source has
SINK = {"TVALID": "in", "TLAST": "in", "TDATA": "in", "TKEEP": "in", "TREADY": "out"}
LOAD = {name: SINK[name] for name in ("TVALID", "TDATA", "TREADY")}
SOURCE = {name: "in" if way == "out" else "out" for name, way in SINK.items()}


def component(known: Mapping, files: Sequence[str]) -> str:
    """The text of component.xml; known -- kit.json; files -- names beside it, .v and .mem."""
    for prefix, uri in (("spirit", SPIRIT), ("xilinx", XILINX)):
        xml.register_namespace(prefix, uri)
    root = xml.Element(f"{{{SPIRIT}}}component")
    for name, text in (("vendor", VENDOR), ("library", LIBRARY), ("name", known["top"]), ("version", VERSION)):
        _add(root, name, text)
    _interfaces(_add(root, "busInterfaces"), known)
    _memory_map(_add(root, "memoryMaps"), known["parameters"])
    model = _add(root, "model")
    views = _add(model, "views")
    for name, environment in (
        ("xilinx_anylanguagesynthesis", ":vivado.xilinx.com:synthesis"),
        ("xilinx_anylanguagebehavioralsimulation", ":vivado.xilinx.com:simulation"),
    ):
        view = _add(views, "view")
        for tag, text in (
            ("name", name),
            ("envIdentifier", environment),
            ("language", "verilog"),
            ("modelName", known["top"]),
        ):
            _add(view, tag, text)
        _add(_add(view, "fileSetRef"), "localName", "sources")
    _ports(_add(model, "ports"), known)
    fileset = _add(_add(root, "fileSets"), "fileSet")
    _add(fileset, "name", "sources")
    for name in files:
        file = _add(fileset, "file")
        _add(file, "name", f"src/{name}")
        _add(file, *(("fileType", "verilogSource") if name.endswith(".v") else ("userFileType", "mem")))
    _add(root, "description", f"{known['name']}, BUILD_ID {known['build_id']:#010x}, made by hwgen {known['hwgen']}")
    parameter = _add(_add(root, "parameters"), "parameter")
    _add(parameter, "name", "Component_Name")
    value = _add(parameter, "value", known["top"])
    for name, text in (("resolve", "user"), ("id", "PARAM_VALUE.Component_Name"), ("order", "1")):
        value.set(f"{{{SPIRIT}}}{name}", text)
    _extensions(_add(root, "vendorExtensions"), known)
    xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + xml.tostring(root, encoding="unicode") + "\n"


def ports(known: Mapping) -> dict[str, tuple[str, int]]:
    """Every port of the top by name: in or out, and its bits, 0 for a single wire."""
    found = {"aclk": ("in", 0), "aresetn": ("in", 0)}
    found |= {f"s_axi_{name.lower()}": port for name, port in AXI_LITE.items()}
    for ends, signals in _streams(known):
        for end in ends:
            bits = {"TDATA": end["port_bits"], "TKEEP": end["port_bits"] // 8}
            for name, way in signals.items():
                found[f"{end['port']}_{name.lower()}"] = (way, bits.get(name, 0))
    return found | {"irq": ("out", 0)}


def _streams(known: Mapping) -> list[tuple[list[dict], dict[str, str]]]:
    """The streams that have the same signals, and these."""
    network = known["network"]
    return [(network["inputs"], SINK), (network["outputs"], SOURCE), (network["loads"], LOAD)]


def _add(parent: xml.Element, tag: str, text: str | None = None) -> xml.Element:
    child = xml.SubElement(parent, f"{{{SPIRIT}}}{tag}")
    child.text = text
    return child


def _reference(parent: xml.Element, tag: str, library: str, name: str) -> None:
    child = _add(parent, tag)
    for key, text in (("vendor", "xilinx.com"), ("library", library), ("name", name), ("version", "1.0")):
        child.set(f"{{{SPIRIT}}}{key}", text)


def _interface(
    parent: xml.Element,
    name: str,
    kind: tuple[str, str],
    mode: str,
    pins: Mapping[str, str],
    parameters: Mapping[str, str],
) -> None:
    """kind -- library and name of the bus; pins -- logical to physical."""
    bus = _add(parent, "busInterface")
    _add(bus, "name", name)
    _reference(bus, "busType", *kind)
    _reference(bus, "abstractionType", kind[0], f"{kind[1]}_rtl")
    way = _add(bus, mode)
    if kind[1] == "aximm":
        _add(way, "memoryMapRef").set(f"{{{SPIRIT}}}memoryMapRef", name)
    maps = _add(bus, "portMaps")
    for logical, physical in pins.items():
        each = _add(maps, "portMap")
        _add(_add(each, "logicalPort"), "name", logical)
        _add(_add(each, "physicalPort"), "name", physical)
    if parameters:
        found = _add(bus, "parameters")
        for key, text in parameters.items():
            parameter = _add(found, "parameter")
            _add(parameter, "name", key)
            _add(parameter, "value", text).set(f"{{{SPIRIT}}}id", f"BUSIFPARAM_VALUE.{name.upper()}.{key}")


def _interfaces(parent: xml.Element, known: Mapping) -> None:
    streams = [end["port"] for ends, _ in _streams(known) for end in ends]
    pins = {name: f"s_axi_{name.lower()}" for name in AXI_LITE}
    _interface(parent, "s_axi", ("interface", "aximm"), "slave", pins, {})
    for ends, signals in _streams(known):
        mode = "master" if signals is SOURCE else "slave"
        for end in ends:
            pins = {name: f"{end['port']}_{name.lower()}" for name in signals}
            width = {"TDATA_NUM_BYTES": str(end["port_bits"] // 8)}
            _interface(parent, end["port"], ("interface", "axis"), mode, pins, width)
    with_clock = {"ASSOCIATED_BUSIF": ":".join(["s_axi", *streams]), "ASSOCIATED_RESET": "aresetn"}
    _interface(parent, "aclk", ("signal", "clock"), "slave", {"CLK": "aclk"}, with_clock)
    _interface(parent, "aresetn", ("signal", "reset"), "slave", {"RST": "aresetn"}, {"POLARITY": "ACTIVE_LOW"})
    level = {"SENSITIVITY": "LEVEL_HIGH"}
    _interface(parent, "irq", ("signal", "interrupt"), "master", {"INTERRUPT": "irq"}, level)


def _memory_map(parent: xml.Element, parameters: Mapping[str, int]) -> None:
    """The registers of docs/registers.md that this build has."""
    space = _add(parent, "memoryMap")
    _add(space, "name", "s_axi")
    block = _add(space, "addressBlock")
    for tag, text in (("name", "reg"), ("baseAddress", "0x0"), ("range", str(SIZE)), ("width", "32")):
        _add(block, tag, text)
    _add(block, "usage", "register")
    for one in sorted(REGISTERS, key=lambda one: one.offset):
        offsets = one.at(parameters)
        for number, offset in enumerate(offsets):
            each = _add(block, "register")
            _add(each, "name", one.name if len(offsets) == 1 and not one.each else f"{one.name}_{number}")
            _add(each, "description", one.meaning)
            _add(each, "addressOffset", f"0x{offset:X}")
            _add(each, "size", "32")
            _add(each, "access", {READ: "read-only"}.get(one.access, "read-write"))
            for bit, at in one.bits.items():
                field = _add(each, "field")
                _add(field, "name", bit)
                _add(field, "bitOffset", str(at))
                _add(field, "bitWidth", "1")
                if one.access == CLEAR:
                    _add(field, "modifiedWriteValue", "oneToClear")


def _ports(parent: xml.Element, known: Mapping) -> None:
    for name, (way, bits) in ports(known).items():
        port = _add(parent, "port")
        _add(port, "name", name)
        wire = _add(port, "wire")
        _add(wire, "direction", way)
        if bits:
            vector = _add(wire, "vector")
            _add(vector, "left", str(bits - 1))
            _add(vector, "right", "0")


def _extensions(parent: xml.Element, known: Mapping) -> None:
    core = xml.SubElement(parent, f"{{{XILINX}}}coreExtensions")
    families = xml.SubElement(core, f"{{{XILINX}}}supportedFamilies")
    for name in devices()[known["board"]["family"]].ip_families:
        family = xml.SubElement(families, f"{{{XILINX}}}family")
        family.set(f"{{{XILINX}}}lifeCycle", "Production")
        family.text = name
    taxonomies = xml.SubElement(core, f"{{{XILINX}}}taxonomies")
    xml.SubElement(taxonomies, f"{{{XILINX}}}taxonomy").text = "/UserIP"
    xml.SubElement(core, f"{{{XILINX}}}displayName").text = f"{known['name']} (hwgen)"
    xml.SubElement(core, f"{{{XILINX}}}coreRevision").text = "1"
