"""Flips bits of the running RTL: a harness around the top, compiled once, that tries flips from a file."""

import json
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hwgen.border import ends
from hwgen.design import Design, Stream
from hwgen.errors import ToolFailed
from hwgen.faults.sites import Sites
from hwgen.folder import write_text
from hwgen.registers import BIT, OFFSET
from hwgen.simulators import run_cocotb
from hwgen.templates import render
from hwgen.weights import lists_of

HARNESS = "hwgen_flips"
CONTROL, EVENTS, FAULTS, REPAIRS = (OFFSET[name] for name in ("CONTROL", "EVENTS", "FAULTS", "REPAIRS"))
START, TLAST_NONE = BIT["CONTROL_START"], BIT["CONTROL_TLAST_NONE"]
UNTOUCHED = 100  # flips between two samples without any


@dataclass(frozen=True)
class Trial:
    """A bit to flip, in the run that begins with a sample of the batch; number -- -1: none is.

    clock    of the run, from its first word on offer
    samples  that are waited for
    """

    number: int
    sample: int
    site: int
    word: int
    bit: int
    clock: int
    samples: int


@dataclass(frozen=True, eq=False)
class Run:
    """What came of a trial.

    clocks  until all samples were out, or the run was given up: it `hung`
    found   whether a register told of a flip
    repaired  and whether one told that a flip was put right
    words   of each output int64 [its frames, activations], 0 where none came; None where all are the golden ones
    """

    number: int
    clocks: int
    hung: bool
    found: bool
    repaired: bool
    words: tuple[np.ndarray, ...] | None


@dataclass(eq=False)
class Bench:
    """The harness of a build, for frames in a folder of its own.

    golden -- the integers that each output sends
    """

    folder: Path
    known: dict
    design: Design
    sites: Sites
    frames: tuple[torch.Tensor, ...]
    golden: tuple[torch.Tensor, ...]
    work: Path
    patience: tuple[int, int] = (0, 0)

    def __post_init__(self):
        graph = self.design.graph
        self.count, self.sample = len(self.frames[0]) // graph.turn, graph.frames // graph.turn  # the border's turns
        self.inputs, self.outputs = ends("in", self.design.inputs), ends("out", self.design.outputs)
        self.work.mkdir(parents=True, exist_ok=True)
        room = 1 << (self.count - 1).bit_length()  # the same model for about as many frames
        loadable = bool(self.design.loadable)
        sides = [
            (self.design.inputs, self.inputs, self.frames, "input"),
            (self.design.outputs, self.outputs, self.golden, "want"),
        ]
        self.texts = {
            f"{name}{end['n']}.hex": _hex(stream, end, values)
            for streams, both, tensors, name in sides
            for stream, end, values in zip(streams, both, tensors, strict=True)
        }
        if loadable:
            self.texts["writes.txt"] = "".join(
                f"{at:x} {value:x}\n" for at, value in lists_of(self.design, {})[1].tolist()
            )
        harness = render(
            "flips.v.j2",
            harness=HARNESS,
            top=self.known["top"],
            folder="flips",
            inputs=self.inputs,
            outputs=self.outputs,
            rooms=[room * end["beats"] for end in (*self.inputs, *self.outputs)],
            sites=self.sites.all,
            word_bits=max(site.width for site in self.sites.all),
            writes=loadable,
            start=(CONTROL, START | TLAST_NONE),
            found=self.registers,
        )
        write_text(self.work / "harness.v", harness)

    @property
    def registers(self) -> list[tuple[int, bool]]:
        """The offsets of the registers that tell of flips, and whether these were put right; none if unprotected."""
        words = -(-len(self.known.get("protected", ())) // 32)
        if not words:
            return []
        return [(EVENTS, False), *((base + 4 * i, base == REPAIRS) for base in (FAULTS, REPAIRS) for i in range(words))]

    def measure(self) -> tuple[int, int]:
        """Clocks until the first sample is out, and until each one more."""
        guess = 4 * (self.known["latency"] + self.known["interval"] * self.sample) + 10_000
        self.patience = guess, guess
        runs = self._run(self.work / "job0", [Trial(-1, 0, 0, 0, 0, 0, 1), Trial(-1, 0, 0, 0, 0, 0, 2)], lambda: False)
        self._check(runs)
        first, second = (run.clocks for run in runs)
        self.patience = 2 * first + 1000, 2 * (second - first)
        return first, second - first

    def run(
        self, trials: Sequence[Trial], jobs: int, show: Callable[[int], None], found: Callable[[list[Run]], None]
    ) -> None:
        """Tries all, in so many processes; found -- is given what came of them, also where the whole is interrupted.

        show -- called now and then with how many were tried
        Raises ToolFailed where a run without a flip goes wrong: then no number here is worth anything.
        """
        jobs = max(1, min(jobs, len(trials)))
        stop = threading.Event()
        folders = [self.work / f"job{i}" for i in range(jobs)]
        for folder in folders:
            (folder / "results.txt").unlink(missing_ok=True)
        with ThreadPoolExecutor(jobs) as pool:
            parts = [_between(trials[i::jobs]) for i in range(jobs)]
            futures = [pool.submit(self._run, *each, stop.is_set) for each in zip(folders, parts, strict=True)]
            try:
                while not all(future.done() for future in futures):
                    time.sleep(0.2)
                    show(sum(_lines(folder / "results.txt") for folder in folders))
                    if any(future.done() and future.exception() for future in futures):
                        break
                for future in futures:
                    future.result()
            finally:
                stop.set()
                runs = [run for folder in folders for run in self._read(folder)]
                self._check(runs)
                found([run for run in runs if run.number >= 0])

    def _check(self, runs: list[Run]) -> None:
        if any(run.number < 0 and (run.words is not None or run.hung or run.found) for run in runs):
            raise ToolFailed(
                "a run without a flip does not give the golden integers: a reset does not undo a flip before it, "
                "or the build is wrong",
                str(self.folder),
                "hwgen verify says whether the build is right",
            )

    def _run(self, job: Path, trials: Sequence[Trial], stopped: Callable[[], bool]) -> list[Run]:
        job.mkdir(parents=True, exist_ok=True)
        for name, text in self.texts.items():
            (job / name).write_text(text)
        silent = len(self.sites.all)
        (job / "flips.txt").write_text(
            "".join(
                f"{t.number & 0xFFFFFFFF} {t.sample} {silent if t.number < 0 else t.site} {t.word} {t.bit} {t.clock} "
                f"{t.samples}\n"
                for t in trials
            )
        )
        patience, more = self.patience
        settings = {"frames": self.count, "sample": self.sample, "patience": patience, "more": more}
        (job / "settings.json").write_text(json.dumps(settings))
        with tempfile.TemporaryDirectory(prefix="hwgen-") as place:
            # where the memories' files are; Python imports from where it runs, and a build's folder may hold anything
            (Path(place) / "rom").symlink_to((self.folder / "rom").resolve())
            (Path(place) / "flips").symlink_to(job.resolve())
            run_cocotb(
                simulator="verilator",
                sources=[*(self.folder / name for name in self.known["sources"]), self.work / "harness.v"],
                toplevel=HARNESS,
                module="flips",
                build_dir=job / "build",
                environment={
                    "FLIPS": str((job / "settings.json").resolve()),
                    "COCOTB_REWRITE_ASSERTION_FILES": "",
                },
                cwd=place,
                stopped=stopped,
            )
        return self._read(job)

    def _read(self, job: Path) -> list[Run]:
        """The whole lines of what a job has found."""
        path = job / "results.txt"
        text = path.read_text() if path.is_file() else ""
        return [self._parsed(line.split()) for line in text[: text.rfind("\n") + 1].splitlines()]

    def _parsed(self, fields: list[str]) -> Run:
        number, clocks, hung, faults, repairs, wrong = fields[:6]
        words, at = [], 6
        turns = (len(fields) - 6) // sum(end["beats"] for end in self.outputs)
        for end in self.outputs:
            count, activations = turns * end["beats"], end["beats"] * end["side"] // end["frames"]
            words.append(_values(fields[at : at + count], end).reshape(turns * end["frames"], activations))
            at += count
        signed = int(number) - (1 << 32) if int(number) >> 31 else int(number)
        sent = tuple(words) if wrong == "1" else None
        return Run(signed, int(clocks), hung == "1", int(faults, 16) > 0, int(repairs, 16) > 0, sent)


def _between(trials: Sequence[Trial]) -> list[Trial]:
    """The trials, with runs without a flip after each so many, and behind all."""
    mixed = []
    for i, trial in enumerate(trials):
        mixed.append(trial)
        if i % UNTOUCHED == UNTOUCHED - 1 or i == len(trials) - 1:
            mixed.append(Trial(-1, 0, 0, 0, 0, 0, 1))
    return mixed


def _hex(stream: Stream, end: dict, values: torch.Tensor) -> str:
    """The words of the top's stream, a line each: an activation in each `width` bits, the first in the lowest."""
    words = stream.order.flatten(values).reshape(-1, end["side"]) & ((1 << end["width"]) - 1)
    digits = end["width"] // 4
    return "".join("".join(f"{word:0{digits}x}" for word in row[::-1]) + "\n" for row in words.tolist())


def _values(words: list[str], end: dict) -> np.ndarray:
    """int64: the numbers in words of a stream, 0 where no word came."""
    digits, width, side = end["width"] // 4, end["width"], end["side"]
    whole = ["0" * digits * side if word == "-" else word for word in words]
    parts = [int(word[j : j + digits], 16) for word in whole for j in range(digits * (side - 1), -1, -digits)]
    return np.array(
        [part - (1 << width) if end["signed"] and part >> (width - 1) else part for part in parts], np.int64
    )


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0
