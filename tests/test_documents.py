"""What the documents say can be done: their Python runs, and the command line takes their `hwgen` lines."""

import re
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import click
import pytest

from hwgen.cli import main

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")) + sorted(
    [*ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/README.md")]
)
GROUP = click.Context(main, info_name="hwgen", max_content_width=200, **main.context_settings)
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def program(text: str) -> str:
    """The Python blocks of a document, each in its lines, so that a traceback names the document's."""
    lines = [""] * len(text.splitlines())
    for block in FENCE.finditer(text):
        first = text.count("\n", 0, block.start(1))
        code = block[1].splitlines()
        lines[first : first + len(code)] = code
    return "\n".join(lines)


@pytest.mark.sim
@pytest.mark.parametrize("path", [path for path in DOCUMENTS if FENCE.search(path.read_text())], ids=name)
def test_python_runs(path, tmp_path):
    """The blocks of a document in their order, as one program, in an empty folder."""
    (tmp_path / path.name).with_suffix(".py").write_text(program(path.read_text()))
    done = subprocess.run(
        [sys.executable, f"{path.stem}.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def lines_of(text: str) -> list[str]:
    """Commands on lines of their own, variables of the environment before them."""
    return re.findall(r"^ {2,}(?:[A-Z]+=\S+ )?(hwgen .+)$", text, re.MULTILINE)


def helps() -> dict[str, str]:
    texts = {"hwgen --help": main.get_help(GROUP)}
    for verb, command in main.commands.items():
        texts[f"hwgen {verb} --help"] = command.get_help(click.Context(command, GROUP, verb))
    return texts


def read(line: str) -> None:
    """Reads a command as hwgen does, without doing what it says."""
    verb, command, arguments = main.resolve_command(GROUP, shlex.split(line, comments=True)[1:])
    assert command
    command.make_context(verb, arguments, parent=GROUP)


SAID = {name(path): path.read_text() for path in DOCUMENTS}
LINES = [
    pytest.param(line, id=f"{where}: {line}") for where, text in (SAID | helps()).items() for line in lines_of(text)
]
SPANS = [
    pytest.param(span, id=f"{where}: {span}")
    for where, text in SAID.items()
    for span in re.findall(r"`(hwgen [^`\n]+)`", text)
]


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_a_command(line):
    read(line)


@pytest.mark.parametrize("span", SPANS)
def test_what_is_in_a_sentence_is_a_command_or_its_beginning(span):
    """An option may stand without its value, and what is required may be left out; Exit is what -h ends with."""
    with suppress(click.MissingParameter, click.BadOptionUsage, click.exceptions.Exit):
        read(span)


@pytest.mark.parametrize(
    "line",
    ["hwgen built NET", "hwgen build NET -o DIR --lane-count 3", "hwgen synth DIR --tool quartus", "hwgen synth"],
)
def test_a_line_that_is_no_command_is_found(line):
    with pytest.raises(click.UsageError):
        read(line)
