"""Counts the places that ask which kind of hardware, layer, lanes or memory something is, outside that kind's file.

A place is an isinstance or a comparison of `type`, `kind` or `memory` with one of hwgen's own names; prints each file's
count and the sum.
"""

import ast
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
# what one asks for: ops, units, choices, lanes and memories, by the names of their classes or their own names
CLASSES = {
    *(
        "Conv",
        "Add",
        "AddOp",
        "MaxPool",
        "Quantize",
        "Flatten",
        "Lookup",
        "Fold",
        "Spatial",
        "Choice",
        "TermLanes",
        "AdderGraph",
    ),
    *("PixelSum", "StreamFifo", "StreamFork", "Layer", "Border"),
}
WORDS = {"lut", "dsp", "mac", "max", "rom", "bram", "uram", "lanes", "spatial", "add"}


def asks(tree: ast.AST) -> int:
    """Places of a file that ask for a kind."""
    count = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
            names = {part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)}
            count += bool(names & CLASSES)
        if isinstance(node, ast.Compare):
            words = {
                part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)
            }
            names = {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
            count += bool(words & WORDS) or ("layer" in names and any(_is_none(part) for part in node.comparators))
    return count


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def count(root: Path) -> dict[str, int]:
    """Places by file of hwgen/ that has any."""
    found = {
        str(path.relative_to(root)): asks(ast.parse(path.read_text())) for path in sorted(root.glob("hwgen/**/*.py"))
    }
    return {path: n for path, n in found.items() if n}


@click.command(help=__doc__)
@click.argument("root", default=ROOT, type=click.Path(path_type=Path))
def main(root):
    found = count(root)
    for path, n in found.items():
        click.echo(f"{n:4} {path}")
    # a kind's own file may ask what it can take
    own = ("hwgen/engines/", "hwgen/lanes/kinds/", "hwgen/ops/", "hwgen/passes/")
    outside = sum(n for path, n in found.items() if not path.startswith(own))
    click.echo(f"{sum(found.values()):4} in all, {outside} outside {', '.join(own)}")


if __name__ == "__main__":
    sys.exit(main())
