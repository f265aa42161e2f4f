"""The tables of docs/spiking_hardware.md: what neurons take by option, what those take whose spikes come back, of sizes
that their price was not fitted to (`recurrent`), and what is gained where samples end early (`early`).

The last builds the trained MNIST network of examples/spiking for more steps, without a margin and with some, of which
it runs 100 test images on Verilator; accuracy and steps are of all 10,000, on the module.
"""

import json
import re
from collections import OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import torch
from rich.console import Console
from torch import nn

from benchmarks import counting
from benchmarks.norms import WRAPPER
from benchmarks.spatial.tables import ROOT, table, write_document
from examples.spiking.model import EXPONENT, HERE, test_data
from hwgen import build, verify
from hwgen.config import BuildConfig
from hwgen.devices.ultrascale_plus import DEVICE
from hwgen.grids import limits
from hwgen.ir import TensorType
from hwgen.nn import LIF, ActQuant
from hwgen.nn import StepsIn as StepsInModule
from hwgen.nn import StepsOut as StepsOutModule
from hwgen.nn_spiking.steps import ended
from hwgen.ops.lif import Li, Lif
from hwgen.ops.recurrent_lif import RecurrentLif as RecurrentLifOp
from hwgen.ops.steps import StepsIn, StepsOut
from hwgen.pace import interval_of
from hwgen.qtype import QType
from hwgen.share import share
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.synth import yosys
from hwgen.units.lif import Neurons
from hwgen.units.recurrent_lif import RecurrentLif
from hwgen.units.steps import steps_unit
from hwgen.units.unit import Unit

DOCUMENT = ROOT / "docs" / "spiking_hardware.md"
STEPS, BITS, CHANNELS = 5, 10, 128
MOST_STEPS, LANES, IMAGES = 25, 64, 100
EARLY = ((None, None), (8.0, None), (8.0, 8))  # margins, and the steps that layers are scheduled by
CURRENTS = QType(-(1 << (BITS - 1)), (1 << (BITS - 1)) - 1)


def lif(levels: tuple[int, ...] = (21,), **options) -> Lif:
    return Lif(**{"steps": STEPS, "exponent": 0, "leak": (3,), "levels": np.array(levels)} | options)


def _levels() -> tuple[int, ...]:
    return tuple(int(n) for n in np.random.default_rng(1).integers(1, 63, CHANNELS))


OPS = {
    "LIF, leak 1/8, subtract": lif(),
    "no leak (IF)": lif(leak=()),
    "leak 1/2 + 1/8": lif(leak=(1, 3)),
    "leak rounded half up": lif(half_up=True),
    "two guard bits": lif((84,), exponent=-2),
    "reset to zero": lif(reset="zero"),
    "no reset": lif(reset="none"),
    "order late": lif(order="late"),
    "order spiker": lif(order="spiker"),
    "a threshold for each channel": lif(_levels()),
    "LI, leak 1/8": Li(STEPS, 0, (3,)),
}


def units() -> dict[str, Unit]:
    """By what they are; one after the other an activation a beat, and neurons side by side."""

    def stage(op, shape=(CHANNELS, 1, 1)) -> Stage:
        return Stage.alone("unit", op, None, TensorType(shape, CURRENTS, 0))

    one = Order((CHANNELS, 1, 1))
    some: dict[str, Unit] = {name: Neurons(stage(op), one, DEVICE) for name, op in OPS.items()}
    small = (16, 1, 1)
    some["16 neurons a beat, a frame of one"] = Neurons(stage(lif(), small), Order(small).by_pixels(1), DEVICE)
    images = (16, 1, 8)
    some["16 neurons a beat, a frame of eight"] = Neurons(stage(lif(), images), Order(images).by_pixels(1), DEVICE)
    ten = (10, 1, 1)
    some["StepsIn"] = steps_unit(stage(StepsIn(STEPS)), one, DEVICE, False)
    some["StepsIn that ends early"] = steps_unit(stage(StepsIn(STEPS)), one, DEVICE, True)
    some["StepsOut, ten sums"] = steps_unit(stage(StepsOut(STEPS), ten), Order(ten), DEVICE, False)
    some["StepsOut with a margin"] = steps_unit(stage(StepsOut(STEPS, margin=64.0), ten), Order(ten), DEVICE, True)
    return some


def instance(number: int, unit: Unit) -> str:
    """A module of its own, which yosys keeps apart."""
    given = counting.given(unit.parameters())
    side = unit.out_order.side
    sent = unit.stage.y.qtype.bits  # type: ignore[attr-defined]
    text = WRAPPER.format(module=unit.module, taken=side * BITS - 1, sent=side * sent - 1, parameters=given)
    if unit.over:  # low, or left open
        text = text.replace(".rst(rst)", ".rst(rst), .over(" + ("1'b0" if unit.over == "input" else "") + ")")
    return "(* keep_hierarchy *)\n" + text.replace("module wrapped", f"module wrapped{number}")


def found(some: dict[str, Unit]) -> dict[str, dict[str, float]]:
    """What yosys counts of each, all in one run."""
    with TemporaryDirectory() as name:
        folder, modules, ports, pins = Path(name), "", [], ""
        for number, unit in enumerate(some.values()):
            for path, text in unit.files().items():
                (folder / path).parent.mkdir(exist_ok=True)
                (folder / path).write_text(text)
            text = instance(number, unit)
            modules += text
            wires = re.findall(r"(input|output) wire (\[\d+:0\] )?(\w+)(?=[,\n])", text)
            own = [each for each in wires if each[2] not in ("clk", "rst")]
            ports += [f"{way} wire {bits}{port}{number}" for way, bits, port in own]
            pins += f"wrapped{number} u{number} (.clk(clk), .rst(rst), "
            pins += ", ".join(f".{port}({port}{number})" for _, _, port in own) + ");\n"
        modules += f"module top (input wire clk, input wire rst, {', '.join(ports)});\n{pins}endmodule\n"
        (folder / "wrapped.v").write_text(modules)
        counting.count(folder, "top", ["wrapped.v"], ("wrapped",))
        stat = json.loads((folder / "stat.json").read_text())["modules"]
        cells = {key.lstrip("\\"): each["num_cells_by_type"] for key, each in stat.items()}
        return {key: yosys.count(cells[f"wrapped{i}"], key, "log", DEVICE) for i, key in enumerate(some)}


def counts() -> str:
    """The table of neurons."""
    rows = []
    some = units()
    for name, each in found(some).items():
        bits, says = some[name].facts().get("membrane_bits", ""), some[name].estimate()["LUT"]
        numbers = (*(each[key] for key in ("LUT", "LUTRAM", "FF", "CARRY8", "BRAM36")), says)
        rows.append((name, *map(str, (bits, *numbers))))
        print(*rows[-1], flush=True)
    return table(("unit", "bits", "LUT", "of them LUTRAM", "FF", "CARRY8", "BRAM36", "LUT estimated"), rows)


# whose spikes come back: neurons, lanes, bits of an activation and of a weight, leak, that of a synapse, other options
RECURRENT: tuple[tuple[int, int, int, int, tuple[int, ...], tuple[int, ...] | None, dict], ...] = (
    (28, 7, 8, 4, (1, 3), (1,), {"half_up": True}),
    (56, 2, 8, 6, (3,), None, {}),
    (80, 10, 7, 5, (2,), (2,), {"reset": "zero"}),
    (16, 8, 8, 4, (2, 4), None, {"half_up": True}),
    (10, 5, 6, 4, (3,), None, {"order": "late"}),
    (72, 6, 8, 4, (), None, {"at": True}),
    (64, 1, 9, 7, (3,), (3,), {}),
    (32, 16, 6, 3, (1, 2), (2, 3), {"order": "spiker"}),
)


def comes_back(units: int, lanes: int, bits: int, weight_bits: int, leak, synapse, options: dict) -> RecurrentLif:
    low, high = limits(weight_bits, True)
    weight = np.random.default_rng(units).integers(low, high + 1, (units, units)) * 1.0
    usual = {"start": 0, "half_up": False, "reset": "subtract", "at": False, "order": "now"}
    op = RecurrentLifOp(weight, np.array([130]), STEPS, -2, leak, synapse, **usual | options)
    x = TensorType((units, 1, 1), QType(*limits(bits, True)), 0)
    return RecurrentLif(Stage.alone(f"neurons{units}", op, None, x), lanes, DEVICE)


def recurrent() -> str:
    """The table of neurons whose spikes come back."""
    some = [comes_back(*each) for each in RECURRENT]
    texts = []
    with TemporaryDirectory() as name:
        for unit in some:
            for path, text in unit.files().items():
                (Path(name) / path).parent.mkdir(exist_ok=True)
                (Path(name) / path).write_text(text)
            given = counting.given(unit.parameters())
            texts.append(f"{unit.module} #({given})")
        counted = counting.count_each(Path(name), texts, sorted(share("rtl").glob("*.v")))
    rows = []
    for unit, count in zip(some, counted, strict=True):
        shape = (unit.units, unit.lanes, unit.rom.depth, unit.rom.width, unit.synapse is not None)
        says = unit.estimate()["LUT"]
        rows.append((*map(str, (*shape, count["LUT"], says)), f"{says / count['LUT'] - 1:+.1%}"))
    return table(("neurons", "lanes", "words", "bits", "synapse", "LUT", "estimated", "error"), rows)


def network(margin: float | None) -> nn.Sequential:
    """The trained network of direct coding for MOST_STEPS."""
    trained = torch.export.load(HERE / "mnist_128.pt2").state_dict
    model = nn.Sequential(
        OrderedDict(
            quant=ActQuant(8, -8),
            flatten=nn.Flatten(),
            linear1=nn.Linear(784, 128),
            steps_in=StepsInModule(MOST_STEPS),
            lif1=LIF(MOST_STEPS, EXPONENT, leak=(3,)),
            linear2=nn.Linear(128, 10),
            steps_out=StepsOutModule(MOST_STEPS, margin=margin),
        )
    )
    names = ("linear1", "linear2")
    model.load_state_dict({key: trained[key] for key in trained if key.startswith(names)}, strict=False)
    return model.double().eval()


def early() -> str:
    """The table of margins."""
    x, labels = (torch.from_numpy(np.asarray(array)) for array in test_data())
    rows = []
    for margin, scheduled in EARLY:
        model = network(margin)
        with torch.no_grad(), TemporaryDirectory() as name:
            each = model[:-1](x.double()).unflatten(0, (-1, MOST_STEPS))
            right = float((model[-1](each.flatten(0, 1)).argmax(1) == labels).double().mean())
            last = torch.full((len(x),), MOST_STEPS - 1) if margin is None else ended(each.cumsum(1), margin)
            config = BuildConfig(lanes=LANES, mean_steps=scheduled)
            design = build(model.float(), (x[:1].float(),), out=Path(name) / "net", config=config)
            most, mean = interval_of(design), "-"
            if margin is not None:
                result = verify(Path(name) / "net", x[:IMAGES])
                assert result["equal"] == IMAGES
                mean = f"{result['mean_interval']:,.1f}"
            steps = float((last[:IMAGES] + 1).double().mean())
            lut = round(design.estimate()["LUT"])
        cells = (f"{right:.2%}", f"{float((last + 1).double().mean()):.2f}", f"{steps:.2f}", mean)
        asked = ("none" if margin is None else f"{margin:g}", "-" if scheduled is None else str(scheduled))
        rows.append((*asked, *cells, f"{most:,}", f"{lut:,}"))
        print(*rows[-1], flush=True)
    head = ("margin", "--mean-steps", "accuracy", "mean steps", "of the 100", "cycles an image, mean", "the most")
    return table((*head, "LUT estimated"), rows)


PARTS = {"counts": counts, "recurrent": recurrent, "early": early}


@click.command(help=__doc__)
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
def main(parts):
    torch.set_num_threads(1)
    for part in parts or PARTS:
        text = PARTS[part]()
        Console(width=140).print(text)
        write_document(f"neurons.{part}", text, DOCUMENT)


if __name__ == "__main__":
    main()
