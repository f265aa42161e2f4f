"""One file per kind of lanes: how one entry of a list is added to a sum. It is found by being here."""

import functools
import importlib
import pkgutil
from dataclasses import replace

from hwgen.errors import DoesNotFit
from hwgen.lanes.entries import PlaceBits
from hwgen.lanes.epitome import first_of
from hwgen.lanes.program import Program, one_after_another
from hwgen.nn import limits
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import UNBOUNDED, Quantize
from hwgen.stage import Stage


class LaneKind:
    """A kind of lanes of rtl/term_lanes.v.

    name       as a fold has it
    module     of rtl/, one lane or several
    word       what reports put before "lanes"
    registers  from the counters of rtl/term_sequencer.v to a result
    slices     whether they are in DSP slices
    sums       whether the accumulator is one of lookup tables
    immediates whether an entry may bring a number in the place of an activation
    loads      whether the program is another where a host can replace the weights
    """

    name: str
    module: str
    word: str = ""
    registers: int
    slices: bool = False
    sums: bool = True
    immediates: bool = True
    loads: bool = False

    def obstacle(self, stage: Stage) -> str | None:
        """Why a stage cannot be computed by these lanes; None where it can."""
        raise NotImplementedError(f"{type(self).__name__}.obstacle")

    def make(self, stage: Stage, *, gap_bits: int = 0) -> Program:
        """The program of a stage; gap_bits -- as in TermList. Kinds take more, for hardware that is there."""
        raise NotImplementedError(f"{type(self).__name__}.make")

    def program(self, stage: Stage) -> Program:
        """The program of a stage in few bits; one that is alike for all channels is short as it is. Of outputs that
        share lists (hwgen/lanes/epitome.py) that of those whose lists there are."""

        stage = first_of(stage)
        make = self.together if stage.modes else self.make

        def short() -> Program:
            program = make(stage)
            alike = program.shared and not stage.modes
            gap_bits = 0 if alike else program.best_gap_bits(PlaceBits.of(stage.window, stage.x))
            return make(stage, gap_bits=gap_bits) if gap_bits else program

        return stage.once(("program", self.name, stage.loadable and self.loads), short)

    def refuses(self, stage: Stage) -> str | None:
        """The obstacle of a stage, or of one of its modes."""
        found = [self.obstacle(each) for each in stage.modes or (stage,)]
        return next((obstacle for obstacle in found if obstacle is not None), None)

    def together(self, stage: Stage, *, gap_bits: int = 0) -> Program:
        """The lists of all modes of a stage, one behind the other, for one datapath: results stand at the same bits."""
        programs = [self.make(mode, gap_bits=gap_bits) for mode in stage.modes]
        built = self.reference(programs)
        wired = built.below - built.drop
        shifts = [
            {} if program.below - program.drop == wired else self.shifts(mode, program, built)
            for mode, program in zip(stage.modes, programs, strict=True)
        ]

        def made(**common: int) -> list[Program]:
            pairs = zip(stage.modes, shifts, strict=True)
            return [self.make(mode, gap_bits=gap_bits, **own, **common) for mode, own in pairs]

        if common := self.common(made()):
            return self.joined(made(**common), stage.x.qtype.bits, gap_bits)
        return self.joined(made(), stage.x.qtype.bits, gap_bits)

    def reference(self, programs: list[Program]) -> Program:
        """Of the programs of several modes that to whose results the others are shifted."""
        return min(programs, key=lambda program: program.below - program.drop)

    def common(self, programs: list[Program]) -> dict[str, int]:
        """What `make` must be given in all modes alike, for programs whose results stand at the same bits."""
        return {}

    def joined(self, programs: list[Program], x_bits: int, gap_bits: int) -> Program:
        """Programs one behind the other, as one of all their channels; x_bits -- of an activation of any mode."""
        return one_after_another(programs, x_bits if self.immediates else 0)

    def per_slice(self, program: Program, x_bits: int) -> int:
        """Lanes of a DSP slice; x_bits -- of an activation."""
        return 0

    def parameters(self, program: Program, x_bits: int) -> dict[str, int]:
        """The parameters of rtl/term_lanes.v that choose the kind, those that are not 0."""
        return {}

    def luts(self, program: Program) -> int:
        """LUTs of an accumulator, without what is below it."""
        return program.accumulator if self.sums else 0

    def entry_luts(self, program: Program, x_bits: int, payload: int, constants: bool) -> int:
        """LUTs of a group's registers behind a list's entry, which bubbles clear: a command, and an immediate.

        payload -- bits of it; constants -- whether there may be immediates
        """
        return program.command_bits + (min(program.immediate_bits, payload) + 1 if constants else 0)

    def reloaded(self, stage: Stage, op: Conv, built: Program, payload_bits: int) -> Program:
        """The program of a built stage with other weights and biases, those of `op`, for the datapath that is there.

        payload_bits -- of the build's entries. Raises DoesNotFit where the new numbers exceed the hardware.
        """
        quantize = stage.rounds or Quantize(stage.op.infer(stage.x).exponent, -UNBOUNDED, UNBOUNDED)
        _check_results(stage, op, quantize)
        new = replace(stage, op=op, quantize=quantize)
        program, shifts = self.remade(new, built), {}
        # the bits between the highest exponent, or the lowest of exact sums, and the results are wired
        above, built_above = program.below - program.drop, built.below - built.drop
        if above != built_above:
            shifts = self.shifts(new, program, built)
            program = self.remade(new, built, **shifts)
        if program.accumulator > built.accumulator:
            raise too_much(
                stage,
                f"its accumulator would need {program.accumulator} bits, the build has {built.accumulator}",
                "use smaller weights and biases",
            )
        return self.widened(new, program, built, payload_bits, shifts)

    def remade(self, new: Stage, built: Program, **hardware: int) -> Program:
        """`make` for hardware that is there."""
        try:
            return self.make(new, **hardware)
        except DoesNotFit as error:
            raise too_much(new, error.what, "use smaller weights and biases") from error

    def shifts(self, new: Stage, program: Program, built: Program) -> dict[str, int]:
        """What `make` must be given for results to stand where the build wired them: of exact sums, a finer grid."""
        above, built_above = program.below - program.drop, built.below - built.drop
        if above < built_above:
            raise too_much(
                new,
                f"its exact sums have {program.drop} bits below the results, the build's {built.drop}",
                "put the weights on the grid of the first ones",
            )
        return {"finer": above - built_above}

    def widened(
        self, new: Stage, program: Program, built: Program, payload_bits: int, shifts: dict[str, int]
    ) -> Program:
        """The program with the widths of the build's entries."""
        constant_bits = min(payload_bits, built.immediate_bits)
        return self.remade(new, built, **shifts, constant_bits=constant_bits, gap_bits=built.gap_bits)


def too_much(stage: Stage, what: str, hint: str) -> DoesNotFit:
    """Of new weights for a build: what exceeds its hardware."""
    return DoesNotFit(what, stage.name, f"{hint}, or build this network")


def _check_results(stage: Stage, op: Conv, quantize: Quantize) -> None:
    """Raises where results of other weights are not what the build's can be; quantize -- of the exact sums, where that
    is all that is done to them, or to what is multiplied or compared."""
    y, grid = stage.y, op.out_exponent(stage.x)
    scaled = stage.quantize is not None and stage.rounds is None
    if stage.rounds is None and (grid < quantize.exponent or (scaled and grid != quantize.exponent)):
        raise too_much(
            stage,
            f"its sums are on a grid of 2^{grid}, those of the build on 2^{quantize.exponent}",
            "put weights and biases on the grid of the first ones",
        )
    if scaled:
        return
    new, (low, high) = quantize.infer(op.infer(stage.x)).qtype, limits(y.qtype.bits, y.qtype.signed)
    if new.low < low or new.high > high:
        raise too_much(
            stage,
            f"its results are {new.low} to {new.high}, the build's have {y.qtype.bits} bits",
            "use smaller weights",
        )


KINDS: dict[str, LaneKind] = {}


def lane_kind(kind: type[LaneKind]) -> type[LaneKind]:
    """Registers a kind of lanes."""
    KINDS[kind.name] = kind()
    return kind


@functools.cache
def lane_kinds() -> dict[str, LaneKind]:
    """All kinds by name, every file of this folder read; those of lookup tables first."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(sorted(KINDS.items(), key=lambda item: (item[1].slices, item[0])))
