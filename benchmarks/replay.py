"""Replays the builds of a commit on the working tree: every emitted file must be byte for byte the same.

For changes that move code and should change no hardware. What a commit gave is kept in build/replay/COMMIT.json, so it
is built once.
"""

import fnmatch
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.networks.build import CLOCK, FPS, OPTIONS, ROOT, of
from benchmarks.networks.variants import VARIANTS

KEEP = ROOT / "build" / "replay"
EXAMPLES = {
    "lenet5": "examples/lenet5/lenet5.pt2",
    "digits": "examples/digits/digits.pt2",
}
CHOICES = {
    "": (),
    "-lanes1": ("--lanes", "1"),
    "-spatial": ("--engine", "spatial"),
    "-pixels": ("--engine", "spatial", "--pixels", "4", "--levels", "2"),
    "-mixed": ("--engine", "auto,conv1=spatial", "--lanes", "64", "--pixels", "2"),
    "-fps": ("--fps", "200000"),
    "-budget": ("--budget", "2%"),
    "-loadable": ("--loadable", "*", "--fps", "20000", "--weights-in", "auto"),
}


def jobs() -> dict[str, tuple[str, ...]]:
    """The arguments of `hwgen build` for each build, but for -o; networks are saved in KEEP."""
    found = {}
    for name, net in EXAMPLES.items():
        for suffix, options in CHOICES.items():
            found[f"{name}{suffix}"] = (net, *options)
    for variant in VARIANTS:
        name = str(variant)
        found[name] = (
            str(KEEP / f"{name}.pt2"),
            *("--fps", str(of(FPS, name)), "--clock", str(CLOCK)),
            *of(OPTIONS, name),
        )
    return found


def digests(tree: Path, arguments: tuple[str, ...]) -> dict[str, str]:
    """SHA-256 of each file of a build by the hwgen in `tree`; of one that is refused, the message."""
    environ = os.environ | {"PYTHONPATH": str(tree)}
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hwgen", "build", *arguments, "-o", f"{folder}/net"]
        done = subprocess.run(command, cwd=tree, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            return {"refused": " ".join(done.stderr.split())}
        return json.loads((Path(folder) / "net" / "hwgen.json").read_text())["files"]


def replay(tree: Path, record: Path | None, chosen: dict[str, tuple[str, ...]]) -> dict[str, dict[str, str]]:
    """The digests of each build; `record` keeps them as they come, and those that it has are not built again."""
    known = json.loads(record.read_text()) if record and record.is_file() else {}
    for name, arguments in chosen.items():
        if name not in known:
            click.echo(f"{tree.name}: {name}", err=True)
            known[name] = digests(tree, arguments)
            if record:
                record.write_text(json.dumps(known, indent=1) + "\n")
    return known


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


@click.command(help=__doc__)
@click.argument("commit")
@click.option("--only", default="*", help="Builds that match this pattern, such as lenet5*.")
@click.option("--base-only", is_flag=True, help="Build the commit, not the working tree.")
def main(commit, only, base_only):
    KEEP.mkdir(parents=True, exist_ok=True)
    chosen = {name: arguments for name, arguments in jobs().items() if fnmatch.fnmatch(name, only)}
    for variant in map(str, VARIANTS):
        if variant in chosen and not (KEEP / f"{variant}.pt2").is_file():
            save = [sys.executable, "-m", "benchmarks.networks", "--only", variant, "--save", str(KEEP)]
            subprocess.run(save, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    commit = git("rev-parse", commit)
    with TemporaryDirectory(prefix="base-") as folder:
        tree = Path(folder) / commit[:8]
        git("worktree", "add", "--detach", str(tree), commit)
        try:
            before = replay(tree, KEEP / f"{commit}.json", chosen)
        finally:
            git("worktree", "remove", "--force", str(tree))
    if base_only:
        return
    after = replay(ROOT, None, chosen)
    wrong = 0
    for name in chosen:
        paths = sorted(before[name].keys() | after[name].keys())
        differ = [path for path in paths if before[name].get(path) != after[name].get(path)]
        wrong += bool(differ)
        click.echo(f"{name}: {len(paths)} files, {len(differ)} differ{': ' if differ else ''}{', '.join(differ[:5])}")
    click.echo(f"{len(chosen) - wrong} of {len(chosen)} builds are the same")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
