"""Networks that snnTorch, Norse and spikingjelly wrote as .nir, and the spikes that they themselves give in float64.

    pip install --no-deps snntorch==1.0.0 nir==1.0.8 nirtorch==2.6 norse==1.1.0 spikingjelly==2.0.0 h5py loguru
    python -m tests.nir_references     writes tests/data/nir/

Weights, biases and inputs are multiples of powers of two and leaks 1 - 2^-K, so that no float rounds: the integers that
are built must give the same spikes, all of them.
"""

import logging
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import torch
from torch import nn

FOLDER = Path(__file__).parent / "data" / "nir"
STEPS, SAMPLES = 8, 6
DT = 1e-4


def on_grid(module: nn.Module, seed: int, grid=1 / 16, most=12) -> nn.Module:
    """The module with weights and biases that are small multiples of a power of two."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in module.modules():
            if isinstance(one, (nn.Linear, nn.Conv2d, nn.Conv1d)):
                for values in (one.weight, one.bias):
                    if values is not None:
                        values.copy_(torch.randint(-most, most + 1, values.shape, generator=generator) * grid)
    return module


def inputs(*shape: int, seed: int, levels=8) -> torch.Tensor:
    """[steps, samples, ...], multiples of 1/4."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, levels, (STEPS, SAMPLES, *shape), generator=generator).double() / 4


def save(name: str, x: torch.Tensor, y: torch.Tensor) -> None:
    """x, y -- [steps, samples, ...], kept as frames [samples * steps, ...]."""
    x, y = (value.detach().transpose(0, 1).flatten(0, 1).numpy() for value in (x, y))
    assert 0.05 < y.mean() < 0.95, f"{name} spikes {y.mean():.1%}"
    np.savez_compressed(FOLDER / f"{name}.npz", x=x.astype(np.float32), y=y.astype(np.uint8))
    print(f"{name}: {y.shape[0]} frames, {y.mean():.1%} spikes, {(FOLDER / f'{name}.nir').stat().st_size:,} bytes")


def snntorch_networks() -> None:
    import snntorch
    from snntorch.export_nir import export_to_nir

    for reset in ("subtract", "zero"):
        options = {"reset_mechanism": reset, "reset_delay": False, "init_hidden": True}
        leaky = snntorch.Leaky(beta=torch.full((6,), 0.75), threshold=torch.full((6,), 1.5), **options)
        synaptic = snntorch.Synaptic(
            alpha=torch.full((5,), 0.5), beta=torch.full((5,), 0.75), threshold=torch.full((5,), 1.0), **options
        )
        net = on_grid(nn.Sequential(nn.Linear(7, 6), leaky, nn.Linear(6, 5, bias=False), synaptic), 3)
        export = export_to_nir(net, torch.zeros(7), ignore_dims=[])
        nir.write(FOLDER / f"snntorch_{reset}.nir", export)
        net = net.double()
        # small: where a membrane less the threshold is still above it, snnTorch compares less another threshold
        x = inputs(7, seed=9, levels=4)
        leaky.mem = synaptic.mem = synaptic.syn = torch.zeros(0, dtype=torch.float64)
        save(f"snntorch_{reset}", x, torch.stack([_snntorch_step(net, frame) for frame in x]))


def _snntorch_step(net, frame):
    for module in net:
        frame = module(frame.double())
        frame = frame[0] if isinstance(frame, tuple) else frame  # a spike is a float32
    return frame


def _norse(net, x):
    state, sent = None, []
    for frame in x:
        out, state = net(frame, state)
        sent.append(out)
    return torch.stack(sent)


def norse_networks() -> None:
    import norse.torch
    from norse.torch.functional.reset import reset_subtract

    rng = np.random.default_rng(0)

    def weights(*shape):
        return (rng.integers(-12, 13, shape) / 16).astype(np.float32)

    def cuba(n, threshold):
        ones = np.ones(n, np.float32)
        return nir.CubaLIF(
            tau_syn=2 * DT * ones,
            tau_mem=4 * DT * ones,
            r=4 * ones,
            v_leak=0 * ones,
            v_threshold=threshold * ones,
            w_in=2 * ones,
            v_reset=0 * ones,
        )

    nodes = {
        "input": nir.Input({"input": np.array([5])}),
        "fc1": nir.Affine(weights(8, 5), weights(8)),
        "cell.lif": cuba(8, 2.0),
        "cell.w_rec": nir.Affine(weights(8, 8), np.zeros(8, np.float32)),
        "fc2": nir.Affine(weights(4, 8), weights(4)),
        "out": cuba(4, 2.5),
        "output": nir.Output({"output": np.array([4])}),
    }
    edges = [("input", "fc1"), ("fc1", "cell.lif"), ("cell.lif", "cell.w_rec"), ("cell.w_rec", "cell.lif")]
    edges += [("cell.lif", "fc2"), ("fc2", "out"), ("out", "output")]
    nir.write(FOLDER / "norse_recurrent.nir", nir.NIRGraph(nodes, edges))
    net = norse.torch.from_nir(nir.read(FOLDER / "norse_recurrent.nir"), reset_method=reset_subtract, dt=DT).double()
    x = inputs(5, seed=6)
    save("norse_recurrent", x, _norse(net, x))

    image = (2, 9, 8)
    nodes = {
        "input": nir.Input({"input": np.array(image)}),
        "0": nir.Conv2d((9, 8), weights(3, 2, 3, 3), (2, 1), (1, 1), (1, 1), 1, weights(3)),
        "1": nir.IF(r=np.ones((3, 5, 8), np.float32), v_threshold=np.full((3, 5, 8), 2.0, np.float32)),
        "2": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "3": nir.Flatten({"input": np.array([3, 2, 4])}, 0, -1),
        "4": nir.Affine(weights(6, 24), weights(6)),
        "5": nir.IF(r=np.ones(6, np.float32), v_threshold=np.full(6, 1.5, np.float32)),
        "output": nir.Output({"output": np.array([6])}),
    }
    chain = ["input", *"012345", "output"]
    nir.write(FOLDER / "norse_if.nir", nir.NIRGraph(nodes, list(pairwise(chain))))
    net = norse.torch.from_nir(nir.read(FOLDER / "norse_if.nir"), dt=1.0).double()
    x = inputs(*image, seed=7, levels=3) * 4
    # its Flatten takes a batch for a part of the frame
    save("norse_if", x, torch.stack([_norse(net, sample) for sample in x.unbind(1)], 1))


def spikingjelly_networks() -> None:
    from spikingjelly.activation_based import functional, layer, neuron
    from spikingjelly.activation_based.nir_exchange.to_nir import export_to_nir

    net = nn.Sequential(
        layer.Conv2d(2, 3, 3, padding=1),
        neuron.LIFNode(tau=4.0, decay_input=False, v_threshold=1.0, v_reset=0.0),
        layer.AvgPool2d(2),
        layer.Flatten(),
        layer.Linear(27, 6),
        neuron.LIFNode(tau=2.0, decay_input=True, v_threshold=0.5, v_reset=0.0),
        layer.Linear(6, 4, bias=False),
        neuron.IFNode(v_threshold=0.75, v_reset=0.0),
    )
    net = on_grid(net, 5)
    functional.reset_net(net)
    export_to_nir(net, torch.zeros(1, 2, 6, 6), save_path=str(FOLDER / "spikingjelly.nir"), dt=DT)
    functional.reset_net(net)
    net = net.double().eval()
    x = inputs(2, 6, 6, seed=8)
    with torch.no_grad():
        save("spikingjelly", x, torch.stack([net(frame) for frame in x]))


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    FOLDER.mkdir(parents=True, exist_ok=True)
    snntorch_networks()
    norse_networks()
    spikingjelly_networks()
