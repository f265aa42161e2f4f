"""The five trained examples, hardly trained: what each makes of its data, and its golden integers."""

from dataclasses import replace

import pytest
import torch

from examples.networks.__main__ import TASKS, train
from hwgen.compress import Recipe, convert, prepare
from hwgen.frontend import import_model
from hwgen.passes import run_passes


@pytest.mark.parametrize("name", TASKS)
def test_an_example_goes_from_float_to_golden_integers(name):
    whole = TASKS[name]
    task = replace(whole, data=lambda training: tuple(part[:100] for part in whole.data(training)))
    torch.manual_seed(0)
    model = task.model()
    train(model, task, 1, 1e-3)
    x, y = task.data(False)
    prepared = prepare(model, Recipe(activation_bits=8, quantize_from=0.0), (x[:1],))
    train(prepared, task, 1, 1e-3, prepared.step)
    converted = convert(prepared)
    with torch.no_grad():
        wanted = converted.double()(x[:20].double())
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    golden = run_passes(import_model(converted.float(), (x[:1],))).golden(x[:20])
    assert all(torch.equal(got, want) for got, want in zip(golden, wanted, strict=True))
    assert 0 <= task.score(wanted if len(wanted) > 1 else wanted[0], y[:20]) <= 100


@pytest.mark.parametrize("name", TASKS)
def test_the_data_come_again_and_no_test_frame_is_trained_on(name):
    (x, y), (again, labels) = TASKS[name].data(False), TASKS[name].data(False)
    assert torch.equal(x, again) and torch.equal(y, labels) and len(x) == len(y)
    trained = {frame.numpy().tobytes() for frame in TASKS[name].data(True)[0]}
    assert not any(frame.numpy().tobytes() in trained for frame in x)
