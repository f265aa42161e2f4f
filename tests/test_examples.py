"""The shipped networks: their accuracy, their grids, their zeros, and float32 against float64."""

import fnmatch
import shutil
import subprocess
import sys

import pytest
import torch

from examples.digits import model as digits
from examples.lenet5 import model as lenet5
from hwgen.compress import Recipe
from hwgen.share import share

EXAMPLES = share("rtl").parent / "examples"
# accuracy on the test images, percent; zeros
GOALS = {"digits": (digits, 97.0, 0.5), "lenet5": (lenet5, 99.0, 0.85)}
CHECKPOINTS = pytest.mark.parametrize("name", GOALS)


ELSEWHERE = """
import sys
from pathlib import Path
from hwgen.load import call
sys.path[:] = [path for path in sys.path if not (Path(path) / "examples").is_dir()]
print(sorted(type(call(source)).__name__ for source in sys.argv[1:]))
print({Path(sys.modules[name].__file__).parent for name in ("examples", "examples.common")})
"""


def test_the_training_scripts_run_from_any_folder(tmp_path):
    """As with hwgen from a wheel: nothing but the file's own place tells where its neighbours are."""
    shutil.copytree(EXAMPLES, tmp_path / "mine" / "examples")
    # names that the two files import: what must be found to train
    sources = [f"../mine/examples/{name}" for name in ("digits/train.py:Digits", "lenet5/train.py:network")]
    (tmp_path / "cwd").mkdir()
    command = [sys.executable, "-c", ELSEWHERE, *sources]
    done = subprocess.run(command, cwd=tmp_path / "cwd", capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["['Digits', 'Sequential']", f"{{{tmp_path / 'mine' / 'examples'!r}}}"], (
        done.stderr
    )


def program(name: str) -> torch.export.ExportedProgram:
    return torch.export.load(EXAMPLES / name / f"{name}.pt2")


@torch.no_grad()
def answers(name: str, x: torch.Tensor) -> torch.Tensor:
    """The program's outputs, computed in x's type."""
    return program(name).module().to(x.dtype)(x)


def weights(name: str) -> dict[str, torch.Tensor]:
    """The weights by the layer's name."""
    state = program(name).state_dict
    return {key.removesuffix(".weight"): w for key, w in state.items() if key.endswith(".weight")}


def unit(w: torch.Tensor) -> int:
    """The greatest exponent e such that every number is an integer times 2^e."""
    return next(e for e in range(8, -41, -1) if not (w.double() * 2.0**-e % 1).any())


@CHECKPOINTS
def test_accuracy_and_the_same_answers_in_float32_and_float64(name):
    module, goal, _ = GOALS[name]
    x, labels = module.test_data()
    x = torch.from_numpy(x)
    single = answers(name, x)
    assert torch.equal(single.double(), answers(name, x.double()))
    assert 100 * (single.argmax(1).numpy() == labels).mean() >= goal


@CHECKPOINTS
def test_weights_are_on_the_recipe_s_grids_and_sparse(name):
    recipe = Recipe.load(EXAMPLES / name / "recipe.json")
    layers = weights(name)
    for layer, w in layers.items():
        formats = [o.weights for o in recipe.overrides if o.weights and fnmatch.fnmatch(layer, o.pattern)]
        grid = {recipe.weights, *formats}.pop() if not formats else formats[-1]
        top = unit(w)
        # the recipe's levels may all be even: then the greatest unit is a multiple of the format's
        scaled = [set((w.double().abs() * 2.0 ** -(top - lift)).long().flatten().tolist()) for lift in range(8)]
        assert any(levels <= set(grid.magnitudes()) for levels in scaled), layer
    joined = torch.cat([w.flatten() for w in layers.values()])
    assert (joined == 0).double().mean() >= GOALS[name][2]


@CHECKPOINTS
def test_test_images_pass_the_input_quantizer_unchanged(name):
    x = torch.from_numpy(GOALS[name][0].test_data()[0])
    node = next(n for n in program(name).graph.nodes if n.target == torch.ops.hwgen.act_quant.default)
    assert torch.equal(torch.ops.hwgen.act_quant(x, *node.args[1:]), x)


def test_digits_split_sizes():
    (train, _), (test, labels) = digits.train_data(), digits.test_data()
    assert train.shape == (1437, 1, 8, 8)
    assert test.shape == (360, 1, 8, 8)
    assert len(labels) == 360
