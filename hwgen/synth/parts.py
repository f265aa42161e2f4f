"""What yosys synthesizes by itself: each unit of a design, the border around its core, and the whole, flattened.

A part holds all that its netlist depends on, so that `Part.key` names the netlist, in this design or another.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from hwgen.emit import instantiated
from hwgen.errors import BadInput

WRAPPER = "hwgen_part"  # a module that holds nothing but the instance of a unit
_STRING_OR_BLANK = re.compile(r'("(?:\\.|[^"\\\n])*")|(?:\s|//[^\n]*|/\*.*?\*/)+', re.DOTALL)


@dataclass(frozen=True, eq=False)
class Part:
    """name -- of the unit, or border, core, total
    stem -- of its files in DIR/synth
    top -- the module to synthesize
    kind -- what the module is called whatever layer it was made for
    texts -- the Verilog it is made of, by path in the build
    roms -- depth, width and SHA-256 of each ROM file it reads, by path in the build
    chosen -- the parameters of `top` that synthesis sets, of a part without wrapper
    wrapper -- Verilog of WRAPPER, which instantiates a unit with the parameters that the core gives it
    box -- paths of the Verilog whose modules stay empty boxes
    """

    name: str
    stem: str
    top: str
    kind: str
    texts: dict[str, str]
    roms: dict[str, str]
    chosen: dict[str, int] = field(default_factory=dict)
    wrapper: str = ""
    box: tuple[str, ...] = ()

    @property
    def log(self) -> str:
        """The path of its log in the build."""
        return f"synth/{self.stem}.log"

    @cached_property
    def content(self) -> list:
        """Of `key`: neither comments, nor what ROM files or the layer are called."""
        texts = []
        for path, text in (*self.texts.items(), ("", self.wrapper)):
            text = _code(text).replace(self.top, self.kind)
            for rom, digest in self.roms.items():
                text = text.replace(f'"{rom}"', f'"{digest}"')
            texts.append([path in self.box, text])
        return [self.kind, self.chosen, sorted(texts), sorted(self.roms.values())]

    def key(self, tool: list) -> str:
        """SHA-256; tool -- what else the netlist depends on: version, flags, commands."""
        return hashlib.sha256(json.dumps([tool, self.content], sort_keys=True).encode()).hexdigest()


def parts_of(build_dir: Path, manifest: dict, top: str, whole: bool) -> list[Part]:
    """The units of the manifest in its order, the border if `top` is more than the core; `whole`: core and total too.

    Raises BadInput if the core's Verilog and the manifest differ in an instance.
    """
    texts = {path: (build_dir / path).read_text() for path in manifest["sources"]}
    core, chosen = manifest["core"], manifest.get("synthesis", {})
    home = _homes(texts, core, top)
    roms = {path: _digest(build_dir / path, rom) for path, rom in manifest["roms"].items()}

    def read(module: str, stop: str = "") -> dict[str, str]:
        """The Verilog of a module and of all below it, down to the module `stop`."""
        found, waiting = {}, [module]
        while waiting:
            path = home.get(waiting.pop())
            if path and path not in found:
                found[path] = texts[path]
                waiting += [] if stop and path == home[stop] else instantiated(texts[path])
        return dict(sorted(found.items()))

    parts = []
    instances = _squeezed(texts[home[core]])
    parameters = ", ".join(f"parameter {name} = {value}" for name, value in chosen.items())
    declared = f"#({parameters})" if parameters else ""
    for unit in manifest["units"]:
        given = ", ".join(f".{name}({value})" for name, value in unit["parameters"].items())
        instance = f"{unit['module']} {f'#({given})' if given else ''}"
        if _squeezed(f"{instance} {unit['instance']} (") not in instances:
            what = f"{core} holds no instance {unit['instance']!r} with the parameters of the manifest"
            raise BadInput(what, at="hwgen.json, units", hint="build again")
        named = re.findall(r'"([^"]+\.hex)"', given)
        if unknown := set(named) - roms.keys():
            raise BadInput(f"{unknown.pop()} is not among the manifest's ROMs", at=f"instance {unit['instance']}")
        part = Part(
            name=unit["name"],
            stem=f"unit_{unit['name']}",
            top=unit["module"],
            kind=unit["kind"],
            texts=read(unit["module"]),
            roms={path: roms[path] for path in named},
            wrapper=f"module {WRAPPER} {declared} ();\n    {instance} u_part ();\nendmodule\n",
        )
        parts.append(part)
    if top != core:
        parts.append(Part("border", "border", top, top, read(top, stop=core), {}, chosen, box=(home[core],)))
    if whole:
        named = {core: "core", top: "total"}  # one, if the top is the core
        parts += [Part(name, name, module, module, read(module), roms, chosen) for module, name in named.items()]
    return parts


def _homes(texts: dict[str, str], *needed: str) -> dict[str, str]:
    """The path of each module; BadInput if one that is needed has none."""
    modules = {path: re.findall(r"^\s*module\s+(\w+)", text, re.MULTILINE) for path, text in texts.items()}
    home = {name: path for path, names in modules.items() for name in names}
    for module in needed:
        if module not in home:
            raise BadInput(f"the design holds no module {module!r}", at="hwgen.json")
    return home


def _digest(path: Path, rom: dict) -> str:
    return f"{rom['depth']} x {rom['width']} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _code(text: str) -> str:
    """Verilog without comments; of white space, one blank or line end is left."""
    return _STRING_OR_BLANK.sub(lambda found: found[1] or ("\n" if "\n" in found[0] else " "), text).strip()


def _squeezed(text: str) -> str:
    return re.sub(r"\s", "", _code(text))
