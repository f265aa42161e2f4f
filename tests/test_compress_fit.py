"""compress.fit and the command: resuming, diverging, stopping early, the searches that measure."""

import json
import math
import re

import pytest
import torch
from click.testing import CliRunner
from torch import nn

import hwgen
from hwgen.cli import main
from hwgen.compress import Diverged, Recipe, Training, accuracy, convert, fit, prepare
from hwgen.compress.formats import AdditivePowersOfTwo, SignedDigits
from hwgen.compress.methods import ADMM, FilterSimilarity, Magnitude, PowerOfTwoAdapted
from hwgen.errors import BadInput
from hwgen.load import load
from hwgen.manifest import read_manifest


class Blobs:
    """Batches of four classes: which quarter of a 6x6 image is brightest. Shuffled by torch's generator."""

    def __init__(self, count: int = 256, shuffle: bool = True):
        own = torch.Generator().manual_seed(count)
        self.y = torch.randint(0, 4, (count,), generator=own)
        self.x = torch.randint(0, 9, (count, 1, 6, 6), generator=own) / 16
        for row, label in enumerate(self.y.tolist()):
            up, left = divmod(label, 2)
            self.x[row, 0, 3 * up : 3 * up + 3, 3 * left : 3 * left + 3] += 7 / 16
        self.shuffle = shuffle

    def __len__(self):
        return len(self.x) // 32

    def __iter__(self):
        order = torch.randperm(len(self.x)) if self.shuffle else torch.arange(len(self.x))
        for chosen in order.split(32):
            yield self.x[chosen], self.y[chosen]


TRAIN, VALIDATION = Blobs(), Blobs(128, shuffle=False)


def float_network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24, 4))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(12):
        for x, y in TRAIN:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
    return net


@pytest.fixture(scope="module")
def net() -> nn.Sequential:
    return float_network()


def recipe(epochs: int = 6, **options) -> Recipe:
    training = Training(epochs=epochs, rate=5e-3, grid_rate=5e-3, **options.pop("training", {}))
    return Recipe(training=training, **options)


def quietly(prepared, *arguments, **options):
    return fit(prepared, *arguments, show=lambda line: None, **options)


class CutShort:
    """TRAIN until batch `limit` of all epochs together, then Ctrl-C."""

    def __init__(self, limit: int):
        self.left = limit

    def __len__(self):
        return len(TRAIN)

    def __iter__(self):
        for batch in TRAIN:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            yield batch


RESUMED = {
    "magnitude": {"pruning": Magnitude(0.7), "scale": "learned"},
    "admm": {"pruning": ADMM(0.6, iterations=5)},
    "filters": {"pruning": FilterSimilarity(0.4), "quantize_from": 0.0},
    "budget": {"terms_per_frame": 700, "weights": SignedDigits(2, 6), "granularity": "channel"},
    "search": {"accuracy_drop": 10.0, "quantize_from": 0.0, "training": {"rounds": 4}},
}


@pytest.mark.parametrize("options", RESUMED.values(), ids=RESUMED)
@pytest.mark.parametrize("batches", [11, 53])
def test_a_run_cut_short_goes_on_to_the_same_weights(net, tmp_path, options, batches):
    whole = prepare(net, recipe(**options))
    expected = quietly(whole, TRAIN, VALIDATION)
    with pytest.raises(KeyboardInterrupt):
        quietly(
            prepare(net, recipe(**options)), CutShort(min(batches, 8 * len(expected) - 1)), VALIDATION, folder=tmp_path
        )
    again = prepare(net, recipe(**options))
    history = quietly(again, TRAIN, VALIDATION, folder=tmp_path)
    seconds_apart = [{**row, "seconds": 0} for row in history]
    assert seconds_apart == [{**row, "seconds": 0} for row in expected]
    assert {key: value.tolist() for key, value in again.state_dict().items()} == {
        key: value.tolist() for key, value in whole.state_dict().items()
    }


def test_a_finished_run_is_not_trained_again(net, tmp_path):
    first = prepare(net, recipe())
    quietly(first, TRAIN, VALIDATION, folder=tmp_path)
    again = prepare(net, recipe())
    assert len(quietly(again, CutShort(0), VALIDATION, folder=tmp_path)) == 6
    assert torch.equal(convert(first)(VALIDATION.x), convert(again)(VALIDATION.x))


@pytest.mark.parametrize("bad", ["recipe", "network", "file"])
def test_a_checkpoint_that_is_of_something_else_is_refused(net, tmp_path, bad):
    quietly(prepare(net, recipe()), TRAIN, folder=tmp_path)
    if bad == "file":
        (tmp_path / "checkpoint.pt").write_bytes(b"something else")
    other = prepare(
        nn.Sequential(nn.Flatten(), nn.Linear(36, 4)) if bad == "network" else net, recipe(5 if bad == "recipe" else 6)
    )
    with pytest.raises(BadInput, match="checkpoint"):
        quietly(other, TRAIN, folder=tmp_path)


class Poisoned:
    """TRAIN whose batch number `at` holds no numbers."""

    def __init__(self, at: int):
        self.at, self.count = at, 0

    def __len__(self):
        return len(TRAIN)

    def __iter__(self):
        for x, y in TRAIN:
            yield (torch.full_like(x, math.nan) if self.count == self.at else x), y
            self.count += 1


def test_a_loss_that_is_not_finite_stops_with_the_last_good_weights(net):
    expected = prepare(net, recipe(epochs=4))
    states = []
    with pytest.raises(KeyboardInterrupt):
        quietly(expected, CutShort(16))
    prepared = prepare(net, recipe(epochs=4))
    with pytest.raises(Diverged, match=r"epoch 3, batch 4[\s\S]*the input batch"):
        quietly(prepared, Poisoned(19))
    for key, value in prepared.state_dict().items():
        assert bool(torch.isfinite(value.double()).all()), key
    states = [p.detach() for p in expected.parameters()]
    assert all(torch.equal(mine, other) for mine, other in zip(prepared.parameters(), states, strict=True))


def test_where_the_loss_breaks_is_named(net):
    prepared = prepare(net, recipe())

    def broken(outputs, y):
        return nn.functional.cross_entropy(outputs, y) * math.nan

    with pytest.raises(Diverged, match="the loss"):
        quietly(prepared, TRAIN, loss=broken)
    prepared.layers["4"].original.data[0, 0] = math.nan
    with pytest.raises(Diverged, match="the weights of 4"):
        quietly(prepared, TRAIN)


def test_the_best_epoch_on_the_grid_is_kept(net):
    prepared = prepare(net, recipe(pruning=Magnitude(0.85), training={"seed": 3}))
    history = quietly(prepared, TRAIN, VALIDATION)
    on_grid = [row["accuracy"] for row in history[3:]]
    assert accuracy(convert(prepared), VALIDATION) == max(on_grid)


def test_training_ends_early_without_progress(net):
    prepared = prepare(net, recipe(epochs=60, quantize_from=0.0, prune_until=0.0, training={"patience": 2}))
    history = quietly(prepared, TRAIN, VALIDATION)
    best = max(row["accuracy"] for row in history)
    first = next(row["epoch"] for row in history if row["accuracy"] == best)
    assert len(history) < 60 and history[-1]["epoch"] - first == 2


def test_the_search_finds_fewer_terms_within_the_drop(net):
    plain = prepare(net, recipe(quantize_from=0.0, activation_bits=8))
    quietly(plain, TRAIN, VALIDATION)
    searched = prepare(net, recipe(quantize_from=0.0, activation_bits=8, accuracy_drop=10.0, training={"rounds": 6}))
    quietly(searched, TRAIN, VALIDATION)
    assert accuracy(convert(searched), VALIDATION) >= accuracy(net, VALIDATION) - 10.0
    assert searched.terms_per_frame() < 0.7 * plain.terms_per_frame()


def test_the_smallest_codes_go_within_the_drop(net):
    plain = prepare(net, recipe(quantize_from=0.0, activation_bits=8))
    quietly(plain, TRAIN, VALIDATION)
    adapted = prepare(net, recipe(quantize_from=0.0, activation_bits=8, pruning=PowerOfTwoAdapted(10.0, rounds=2)))
    quietly(adapted, TRAIN, VALIDATION)
    assert accuracy(convert(adapted), VALIDATION) >= accuracy(net, VALIDATION) - 10.0
    assert adapted.terms_per_frame() < plain.terms_per_frame()


@pytest.mark.parametrize("options", [{"accuracy_drop": 0.0}, {"pruning": PowerOfTwoAdapted(0.0)}])
def test_an_accuracy_that_cannot_be_met_is_refused(net, options):
    prepared = prepare(net, recipe(1, quantize_from=0.0, activation_bits=1, input_bits=1, **options))
    with pytest.raises(BadInput, match="before anything is pruned the accuracy is"):
        quietly(prepared, TRAIN, VALIDATION)


def test_a_method_that_measures_needs_validation(net):
    with pytest.raises(BadInput, match="validation"):
        quietly(prepare(net, recipe(accuracy_drop=1.0)), TRAIN)


def test_a_budget_below_what_is_not_pruned_is_refused(net):
    from hwgen.compress.recipe import Override

    prepared = prepare(net, recipe(terms_per_frame=100, overrides=(Override("0", prune=False),)))
    with pytest.raises(BadInput, match="100 terms a frame are fewer than"):
        quietly(prepared, TRAIN)


# the command

JOB = """
from tests.test_compress_fit import TRAIN, VALIDATION, float_network
def job():
    return float_network(), TRAIN, VALIDATION
def nothing():
    return 3
def empty():
    return float_network(), [], VALIDATION
def odd():
    return float_network(), [1, 2], VALIDATION
"""


@pytest.fixture
def work(tmp_path):
    (tmp_path / "job.py").write_text(JOB)
    small = recipe(weights=AdditivePowersOfTwo(3), pruning=Magnitude(0.5))
    (tmp_path / "recipe.json").write_text(small.to_json())
    return tmp_path


def run(work, job="job", name="recipe.json", out="out", code=0):
    arguments = ["compress", f"{work / 'job.py'}:{job}", "--recipe", str(work / name), "-o", str(work / out)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def test_the_command_writes_what_build_takes(work):
    said = run(work)
    module = torch.export.load(work / "out/model.pt2").module()
    right = int((module(VALIDATION.x).argmax(1) == VALIDATION.y).sum())
    before = int((float_network().eval()(VALIDATION.x).argmax(1) == VALIDATION.y).sum())
    both = 100 * right / 128, 100 * before / 128
    assert "accuracy {:.2f} % on the validation batches, {:.2f} % in float".format(*both) in said
    assert f"% (float {both[1]:.2f} %) terms a frame" in said and "warning" not in said
    assert Recipe.load(work / "out/recipe.json") == Recipe.load(work / "recipe.json")
    assert len(json.loads((work / "out/history.json").read_text())) == 6
    hwgen.build(*load(str(work / "out/model.pt2")), out=work / "build")
    units = {unit["name"]: unit for unit in read_manifest(work / "build")["units"]}
    terms = units["layer_0"]["terms"] + units["layer_4"]["terms"]
    assert re.search(r" all \S+ \S+ (\d+) ", said)[1] == str(terms)
    first = (work / "out/model.pt2").read_bytes()
    assert "epoch" not in run(work)  # all is done: nothing trains again
    assert (work / "out/model.pt2").read_bytes() == first


def test_a_result_that_is_worth_nothing_is_warned_of(work):
    starving = recipe(pruning=Magnitude(0.999, floor=0.0), break_even=False)
    (work / "recipe.json").write_text(starving.to_json())
    said = run(work)
    share = 100 * VALIDATION.y.bincount().max().item() / 128
    assert re.search(r"warning: 4 has [01] of \d+ weights left for 4 outputs; prune it less", said)
    assert re.search(
        rf"warning: an accuracy of \S+ % is no better than always answering \d, which is .* {share:.2f} %", said
    )


def test_what_build_refuses_is_refused_before_training(work):
    source = JOB.replace("float_network(), TRAIN", "torch.nn.Sequential(float_network(), torch.nn.GLU(1)), TRAIN")
    (work / "job.py").write_text("import torch\n" + source)
    said = run(work, code=1)
    assert "aten.glu" in said and "epoch" not in said and not (work / "out").exists()


@pytest.mark.parametrize("job", ["nothing", "empty", "odd", "missing"])
def test_a_job_that_gives_something_else_is_refused(work, job):
    run(work, job=job, code=1)
    assert not (work / "out").exists()


def test_folders_with_something_else_are_refused(work):
    (work / "mine").mkdir()
    (work / "mine" / "thesis.tex").write_text("all my work")
    assert "holds no compression" in run(work, out="mine", code=1)
    assert [path.name for path in (work / "mine").iterdir()] == ["thesis.tex"]
    run(work)
    (work / "other.json").write_text("{}")
    assert "another recipe" in run(work, name="other.json", code=1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Invalid JSON"),
        ('{"wieghts": 3}', "wieghts"),
        ('{"weights": {"kind": "power_of_two", "bits": 9}}', "weights.power_of_two.bits"),
        ('{"overrides": [{"pattern": "conv9", "zeros": 0.5}]}', "the pattern 'conv9' matches no layer"),
    ],
)
def test_a_recipe_that_is_wrong_is_named(work, text, words):
    (work / "recipe.json").write_text(text)
    assert words in run(work, code=1)
    assert not (work / "out").exists()
