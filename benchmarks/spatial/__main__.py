"""hwgen, da4ml and Alkaid on the same 18 networks, checked against numpy and counted by the same yosys.

A count that is in results.json is not made again without --again, so the command may be stopped at any time.
The table of docs/spatial.md is made from that file. Peers are installed under build/spatial; Icarus is needed.
"""

import fnmatch
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from subprocess import SubprocessError

import click
from rich.console import Console

from benchmarks.spatial.intnet import names
from benchmarks.spatial.run import COUNTS, TIMES, TOOLS, python, run
from benchmarks.spatial.tables import README, means, tables, write_document
from hwgen.errors import HwgenError

RESULTS = Path(__file__).parent / "results.json"


def read(path: Path) -> dict:
    return json.loads(path.read_text()) if path.is_file() else {}


def record(path: Path, key: str, result: dict) -> None:
    # another call of this command may have written meanwhile
    results = read(path) | {key: result}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")
    part.replace(path)


@click.command(help=__doc__)
@click.option("--only", default="*", help='Runs "TOOL / NETWORK" that match this pattern.')
@click.option("--mapped/--no-mapped", default=True, help="Without the count as mapped, the longest part.")
@click.option("--jobs", default=2, show_default=True, help="Processes at once, a core each.")
@click.option("--again", is_flag=True, help="Also what is in results.json.")
@click.option("--times", is_flag=True, help="Only the times and memory, again; what was checked and counted stays.")
@click.option("--results", default=RESULTS, show_default=True, type=click.Path(path_type=Path))
def main(only, mapped, jobs, again, times, results):
    runs = {f"{tool} / {net}": (tool, net) for tool in TOOLS for net in names()}
    known = {} if again else read(results)
    counts = [count for count in COUNTS if mapped or count != "mapped"]
    done = {name for name, one in known.items() if one.keys() >= {*counts}}
    wanted = [name for name in fnmatch.filter(runs, only) if (name in done) == times]
    if times:
        known = {name: {key: one[key] for key in one.keys() - TIMES} for name, one in known.items()}
    console = Console(stderr=True)
    console.print(f"{len(known)} results are there, {len(wanted)} to do")
    for tool in {runs[name][0] for name in wanted}:
        python(TOOLS[tool])  # makes its environment
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        pending = {pool.submit(run, *runs[name], counts, known.get(name)): name for name in wanted}
        for future in as_completed(pending):
            name = pending[future]
            try:
                result = future.result()
            except (HwgenError, SubprocessError) as error:  # the others go on
                console.print(f"{name} failed: {error}", markup=False)
                continue
            record(results, name, result)
            luts = f"{result['adder_model']['lut']:,} LUT by the adder model"
            luts += f", {result['mapped']['lut']:,} as mapped" if mapped else ""
            console.print(f"{name}: {luts}", highlight=False)
    text = tables(read(results))
    if results == RESULTS:
        write_document("spatial", text)
        write_document("spatial.means", means(read(results)), README)
    click.echo(text)


if __name__ == "__main__":
    main()
