"""Proves that a synthesizer read every ROM of a build, word by word.

A $readmemh file that is not found, or is too short, leaves a memory without contents; it is trimmed away with
all that it feeds, and synthesis still succeeds.
"""

import re
from pathlib import Path

from hwgen.errors import ToolFailed


def read(build_dir: Path, manifest: dict) -> dict[str, list[int]]:
    """The words of each of the manifest's ROM files; ToolFailed if one is not of its depth and width."""
    return {rom: _read_one(build_dir, manifest, rom) for rom in manifest["roms"]}


def check_read(build_dir: Path, manifest: dict, read: set[str]) -> None:
    """ToolFailed if the manifest has a ROM that is not among those of which a part of the design holds the name."""
    for rom in sorted(manifest["roms"].keys() - read):
        raise _error(build_dir, manifest, rom, "is in the manifest, and no memory of the design reads it")


def compare(build_dir: Path, manifest: dict, contents: dict[str, list[int]], modules: dict) -> None:
    """ToolFailed unless every ROM is a memory of the design that holds its file's words.

    modules -- of the JSON that yosys writes after `proc; memory_collect`; a ROM's module is one with a
    parameter that names its file, and below it no other module with such a parameter
    """
    unread = set(contents)
    for module in modules.values():
        cells = module["cells"].values()
        passed_on = {rom for cell in cells for rom in files_of(modules.get(cell["type"], {}))}
        for rom in files_of(module) - passed_on:
            if rom not in contents:
                raise _error(build_dir, manifest, rom, "is not among the manifest's ROMs")
            wanted = manifest["roms"][rom]["width"], contents[rom]
            memories = [_memory(cell) for cell in cells if cell["type"] == "$mem_v2"]
            if wanted not in memories:
                raise _error(build_dir, manifest, rom, _difference(wanted, memories))
            unread.discard(rom)
    for rom in sorted(unread):
        raise _error(build_dir, manifest, rom, "is in the manifest, and no memory of the design reads it")


def files_of(module: dict) -> set[str]:
    """The ROM files that the parameters of a module name."""
    return {value for value in module.get("parameter_default_values", {}).values() if value.endswith(".hex")}


def _read_one(build_dir: Path, manifest: dict, rom: str) -> list[int]:
    depth, width = manifest["roms"][rom]["depth"], manifest["roms"][rom]["width"]
    try:
        words = [int(line, 16) for line in (build_dir / rom).read_text().split()]
    except OSError as error:
        raise _error(build_dir, manifest, rom, f"cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise _error(build_dir, manifest, rom, f"is not one hex word a line ({error})") from error
    if len(words) != depth:
        raise _error(build_dir, manifest, rom, f"holds {len(words)} words, the manifest says {depth}")
    if max(words) >> width:
        raise _error(build_dir, manifest, rom, f"holds {max(words):x}, wider than its {width} bits")
    return words


def _memory(cell: dict) -> tuple[int, list[int | str]]:
    """Word width and words of a memory cell; a word with undefined bits stays text."""
    width, bits = int(cell["parameters"]["WIDTH"], 2), cell["parameters"]["INIT"]
    words = [bits[max(0, end - width) : end] for end in range(len(bits), 0, -width)]
    return width, [word if set(word) - {"0", "1"} else int(word, 2) for word in words]


def _difference(wanted: tuple[int, list[int]], memories: list[tuple[int, list[int | str]]]) -> str:
    width, words = wanted
    for memory_width, memory in memories:
        if memory_width == width and len(memory) == len(words):
            address = next(i for i, word in enumerate(words) if memory[i] != word)
            return f"word {address} is {words[address]} in the file and {memory[address]} in the design"
    found = ", ".join(f"{len(memory)} words of {memory_width} bits" for memory_width, memory in memories)
    return f"holds {len(words)} words of {width} bits, the memory that names it {found or 'was trimmed away'}"


def _error(build_dir: Path, manifest: dict, rom: str, what: str) -> ToolFailed:
    """The error, with the instance whose parameter names the ROM as the Verilog text has it."""
    for source in manifest["sources"]:
        found = re.search(rf'"{re.escape(rom)}".*?\)\s*(\w+)\s*\(', (build_dir / source).read_text(), re.DOTALL)
        if found:
            return ToolFailed(f"{rom}: {what}", at=f"instance {found[1]}, {source}", hint="emit the build again")
    return ToolFailed(f"{rom}: {what}", at="hwgen.json, roms: no instance names it", hint="emit the build again")
