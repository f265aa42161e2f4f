"""A campaign: which bits flip, when and under which frames follows from a seed; results are kept and added to."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import ceil
from pathlib import Path

import numpy as np
import torch

from hwgen.design import Design
from hwgen.errors import BadInput, Mismatch
from hwgen.faults.bench import Bench, Run, Trial
from hwgen.faults.lists import ListBits
from hwgen.faults.sites import BORDER, KINDS, Site, sites_of
from hwgen.faults.table import Outcome, save, summary
from hwgen.flow import read_design
from hwgen.folder import check_places, sources_digest, write_text, writing
from hwgen.ir import Graph
from hwgen.lanes.unit import TermLanes
from hwgen.manifest import read_build
from hwgen.simulate import Batch, alone, check_run
from hwgen.verify import classes, golden_of

ENGINES = ("auto", "rtl")
CHECKED = 50  # of so many flips that the golden model stands for, one is tried in the RTL too
AT_ONCE = 1000  # flips whose results are written together


@dataclass(frozen=True)
class Flip:
    """A drawn flip: the bit, the sample of the batch with which the run begins, and when, 0 to 1 of a sample's time."""

    index: int
    site: int
    word: int
    bit: int
    sample: int
    moment: float


def faults(
    folder: str | Path,
    x: Batch,
    *,
    where: Sequence[str] = tuple(KINDS),
    flips: int = 1000,
    seed: int = 0,
    jobs: int = 1,
    engine: str = "auto",
    edited: bool = False,
    progress: Callable[[str], None] = lambda stage: None,
) -> dict:
    """Flips `flips` bits of the build in `folder`, one in a run, on real numbers [N, *input shape]; returns what came.

    A bit is drawn uniformly over those of the kinds in `where` (hwgen.faults.KINDS). A flip of a list or a table is
    there before the first word, and two samples are looked at. Any other comes while the network is full, uniformly
    within the time of a sample; all samples in it are looked at, and one more. In the engine `auto` the golden model
    stands for the RTL where a list with a flipped bit is another network; of these flips each fiftieth is tried in the
    RTL too. jobs -- simulators at once
    The results of a seed are kept in DIR/sim/faults: the same call returns them, one with more flips adds to them.
    Returns flips, bits (of each kind), seed, where, frames, engines (flips that each one told); total, kinds, layers
    and fields: what came of them (hwgen.faults.table.counted). Raises BadInput, MissingTool; Mismatch where both
    engines differ.
    """
    if flips < 1:
        raise BadInput(f"{flips} flips", "--flips", "give 1 or more")
    campaign = Campaign(Path(folder), x, where, seed, engine, edited)
    with writing(campaign.work), alone(campaign.work):
        campaign.run(flips, jobs, progress)
        result = campaign.result(flips)
        save(result, campaign.work)
    return result


class Campaign:
    """A build, a batch, and the results that are known of it."""

    def __init__(self, folder: Path, x: Batch, where: Sequence[str], seed: int, engine: str, edited: bool):
        if wrong := [kind for kind in where if kind not in KINDS]:
            raise BadInput(f"no kind of bits is called {wrong[0]!r}", "--where", f"take some of {', '.join(KINDS)}")
        if not where:
            raise BadInput("no kind of bits is named", "--where", f"take some of {', '.join(KINDS)}")
        if engine not in ENGINES:
            raise BadInput(f"no engine {engine!r}", "--engine", f"take one of {', '.join(ENGINES)}")
        if seed < 0:
            raise BadInput(f"seed = {seed}", "--seed", "give 0 or more")
        self.folder, self.seed, self.engine = folder, seed, engine
        self.known, _ = read_build(folder, edited)
        if self.known["modes"]:
            raise BadInput("the build has several modes", str(folder), "build one alone: flips of modes are not tried")
        self.where = tuple(kind for kind in KINDS if kind in where)
        self.design: Design = read_design(folder, edited)
        self.frames = check_run(folder, self.design, x, "verilator", 0.0)[0]
        check_places(folder, ["sim/faults/*"])
        self.sites = sites_of(folder, self.known, self.where)
        self.samples = len(self.frames[0]) // self.design.graph.frames
        self.work = folder / "sim/faults"
        self.clocks = 0, 0

    def flip(self, index: int) -> Flip:
        """The flip of that number."""
        draw = np.random.default_rng([self.seed, index])
        site, word, bit = self.sites.place(int(draw.integers(self.sites.bits)))
        return Flip(index, site, word, bit, int(draw.integers(self.samples)), float(draw.random()))

    def site(self, flip: Flip) -> Site:
        return self.sites.all[flip.site]

    def field(self, flip: Flip) -> str:
        """What the flipped bit is part of."""
        bits = self._lists.get(flip.site)
        return bits.field(flip.word, flip.bit) if bits else self.site(flip).name

    @cached_property
    def outcomes(self) -> dict[int, Outcome]:
        """What is known, by the flip's number; a line that was cut short is tried again."""
        found = {}
        if self.path.is_file():
            for line in self.path.read_text().splitlines():
                try:
                    outcome = Outcome(**json.loads(line))
                except (ValueError, TypeError):
                    continue
                found[outcome.index] = outcome
        return found

    @cached_property
    def path(self) -> Path:
        """The file of results: of these sources, frames, kinds and seed, and of this engine."""
        key = hashlib.sha256(sources_digest(self.folder, self.known).encode())
        for values in self.frames:
            key.update(values.numpy().tobytes())
        key.update(json.dumps([self.where, self.seed, self.engine, self.known["hwgen"]]).encode())
        return self.work / f"{key.hexdigest()[:16]}.jsonl"

    def run(self, flips: int, jobs: int, progress: Callable[[str], None]) -> None:
        """Tries what is not known of the first `flips`."""
        waiting = [self.flip(i) for i in range(flips) if i not in self.outcomes]
        if not waiting:
            return
        progress("the harness")
        self.clocks = self.bench.measure()
        known = flips - len(waiting)
        for start in range(0, len(waiting), AT_ONCE):
            part = waiting[start : start + AT_ONCE]

            def show(tried: int, before: int = known + start) -> None:
                progress(f"{before + tried:,} of {flips:,} flips")

            self._try(part, jobs, show)

    def result(self, flips: int) -> dict:
        """What `faults` returns."""
        chosen = [self.flip(i) for i in range(flips)]
        rows = [(self.site(flip), self.field(flip), self.outcomes[flip.index]) for flip in chosen]
        head = {"flips": flips, "seed": self.seed, "where": list(self.where), "frames": len(self.frames[0])}
        bits = {kind: sum(site.bits for site in self.sites.chosen if site.kind == kind) for kind in self.where}
        return head | {"bits": bits} | summary(rows, self.sites)

    @cached_property
    def bench(self) -> Bench:
        golden = tuple(golden_of(self.design.graph, self.frames))
        return Bench(self.folder, self.known, self.design, self.sites, self.frames, golden, self.work)

    @cached_property
    def _lists(self) -> dict[int, ListBits]:
        """What the bits of lists say, by the number of the memory's site."""
        units = {placed.unit.name: placed.unit for placed in self.design.placed}
        found = {}
        for number, site in enumerate(self.sites.all):
            unit = units.get(site.layer) if site.layer != BORDER else None
            if site.kind == "rom" and isinstance(unit, TermLanes) and ".u_term_sequencer.u_term_rom." in site.path:
                found[number] = ListBits(unit, site, self.design.graph)
        return found

    def _try(self, flips: list[Flip], jobs: int, show: Callable[[int], None]) -> None:
        """Tries some, and writes what came of them, whatever happens."""
        found: dict[int, Outcome] = {}
        told: dict[int, tuple[np.ndarray, ...]] = {}
        trials = []
        try:
            for flip in flips:
                graph = self._graph(flip)
                if graph is not None:
                    told[flip.index] = self._words(graph, flip)
                    found[flip.index] = self._outcome(flip, "golden", told[flip.index])
                    show(len(found))
                if graph is None or flip.index % CHECKED == 0:
                    trials.append(self._trial(flip))

            by_index = {flip.index: flip for flip in flips}

            def judge(runs: list[Run]) -> None:
                for run in runs:
                    flip = by_index[run.number]
                    outcome = self._outcome(flip, "rtl", run.words, run.hung, run.found, run.repaired)
                    if run.number in told:
                        self._compare(flip, told[run.number], run)
                    else:
                        found[run.number] = outcome

            if trials:
                self.bench.run(trials, jobs, lambda tried: show(min(len(flips), len(told) + tried)), judge)
        finally:
            self._keep(found)

    def _keep(self, found: dict[int, Outcome]) -> None:
        """Adds to the file of results, behind the last whole line."""
        kept = self.path.read_text() if self.path.is_file() else ""
        lines = [json.dumps(asdict(outcome)) + "\n" for outcome in found.values()]
        write_text(self.path, kept[: kept.rfind("\n") + 1] + "".join(lines))
        self.outcomes.update(found)

    def _graph(self, flip: Flip) -> Graph | None:
        """The network that a flip makes of this one; None where the RTL alone tells what it does."""
        bits = self._lists.get(flip.site) if self.engine == "auto" and not self.bench.registers else None
        return bits.flipped(flip.word, flip.bit) if bits else None

    def _trial(self, flip: Flip) -> Trial:
        first, each = self.clocks
        if self.site(flip).kind == "rom":
            return Trial(flip.index, flip.sample, flip.site, flip.word, flip.bit, 0, 2)
        clock = max(0, first - 1 - int(flip.moment * each))
        return Trial(flip.index, flip.sample, flip.site, flip.word, flip.bit, clock, ceil(first / each) + 1)

    def _following(self, flip: Flip, samples: int, each: int) -> torch.Tensor:
        """The numbers of the frames of so many samples from the flip's on, `each` of a sample; the batch begins again
        behind its end."""
        return (flip.sample * each + torch.arange(samples * each)) % (self.samples * each)

    def _words(self, graph: Graph, flip: Flip) -> tuple[np.ndarray, ...]:
        chosen = self._following(flip, 2, graph.frames)
        sent = graph.eval(*(values[chosen] for values in self.frames))
        return tuple(s.order.flatten(values) for s, values in zip(self.design.outputs, sent, strict=True))

    def _outcome(
        self, flip: Flip, engine: str, words: tuple[np.ndarray, ...] | None, hung=False, found=False, repaired=False
    ) -> Outcome:
        if hung or words is None:
            return Outcome(flip.index, "hang" if hung else "masked", hung, found, repaired, engine)
        outputs, graph = self.design.outputs, self.design.graph
        each = [graph.frames // graph.turn * stream.frames for stream in outputs]
        samples = len(words[0]) // each[0]
        golden = [
            values[self._following(flip, samples, own)] for values, own in zip(self.bench.golden, each, strict=True)
        ]
        wrong = np.zeros(samples, bool)
        for stream, sent, want in zip(outputs, words, golden, strict=True):
            wrong |= (sent != stream.order.flatten(want)).reshape(samples, -1).any(axis=1)
        other = (classes(graph, outputs[0].order.unflatten(words[0])) != classes(graph, golden[0])).any()
        outcome = "class" if other else "integers" if wrong.any() else "masked"
        return Outcome(flip.index, outcome, bool(wrong[-1]), found, repaired, engine)

    def _compare(self, flip: Flip, told: tuple[np.ndarray, ...], run: Run) -> None:
        """Raises where the RTL does not send what the golden model of the flipped list does."""
        golden = self._words(self.design.graph, flip) if run.words is None else run.words
        if run.hung or any((a != b).any() for a, b in zip(told, golden, strict=True)):
            site = self.site(flip)
            raise Mismatch(
                f"with bit {flip.bit} of word {flip.word} flipped ({self.field(flip)}) the RTL does not send the "
                "integers of the golden model with that flip",
                f"{site.layer}: {site.path}",
                "report it, with the build folder; --engine rtl does without the golden model",
            )
