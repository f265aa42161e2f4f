"""Nodes with a state: forward Euler of their equations, on integers.

A membrane is measured from v_reset and in units of what its currents are worth, so that a gain, r * dt / tau, becomes a
divisor of the threshold, and a leak is the only multiplication: by shifts.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from hwgen.errors import BadInput, UnsupportedLayer
from hwgen.formats import Call
from hwgen.formats.nir import leaks
from hwgen.formats.nir.value import Job, Value, builds, rounded
from hwgen.formats.nir.weights import error
from hwgen.nn_spiking import LI, LIF, RecurrentLIF


def _one(values: np.ndarray, what: str, job: Job) -> float:
    """The value that all neurons of a node share."""
    if not np.isfinite(values).all() or values.max() != values.min():
        ends = f"{values.min():.6g} to {values.max():.6g}"
        raise UnsupportedLayer(f"its neurons have several {what}: {ends}", job.node.name, "give all the same")
    return float(values.reshape(-1)[0])


def _by_channel(values, x: Value, what: str, job: Job) -> np.ndarray:
    """[channels], or [] where all are alike."""
    values = np.asarray(values)
    if values.size == 1 or (values == values.reshape(-1)[0]).all():
        return values.reshape(-1)[0]
    if (
        values.shape != x.shape
        or (values != values.reshape(len(values), -1)[:, 0].reshape(-1, *[1] * (values.ndim - 1))).any()
    ):
        raise UnsupportedLayer(
            f"its {what} differ within a channel, or have the shape {list(values.shape)} on frames {list(x.shape)}",
            job.node.name,
            "give one number, or one for each channel",
        )
    return values.reshape(len(values), -1)[:, 0]


@dataclass(frozen=True)
class Dynamics:
    """A step of a node: membrane *= 1 - leak, += gain * current, a synapse's leak before it.

    leak, synapse  shifts; gain -- float64, [] or for each neuron; rest -- what the leak goes towards, v_leak - v_reset
    """

    leak: tuple[int, ...]
    synapse: tuple[int, ...] | None
    gain: np.ndarray
    rest: np.ndarray


def _dynamics(job: Job, reset: np.ndarray) -> Dynamics:
    second = job.node.kind.startswith("Cuba")
    dt = job.asked.the_dt()
    gain = job.array("r", 1.0) * dt
    leak: tuple[int, ...] = ()
    synapse: tuple[int, ...] | None = None
    rest = np.zeros(())
    if job.node.kind not in ("IF", "I"):
        name = "tau_mem" if second else "tau"
        tau = job.array(name)
        leak = _shifts(job, tau, dt, name, "membrane")
        gain = gain / tau
        rest = job.array("v_leak", 0.0) - reset
    if second:
        tau = job.array("tau_syn")
        synapse = _shifts(job, tau, dt, "tau_syn", "synapse")
        gain = gain * job.array("w_in", 1.0) * dt / tau
    if not np.isfinite(gain).all() or (gain <= 0).any():
        raise BadInput(f"r, or w_in, makes a gain of {gain.min():.6g}", job.node.name, "give it above 0")
    return Dynamics(leak, synapse, rounded(gain), rest)


def _shifts(job: Job, tau: np.ndarray, dt: float, name: str, what: str) -> tuple[int, ...]:
    one = _one(tau, name, job)
    share = float(rounded(dt / one)) if one > 0 else float("inf")
    found = leaks.shifts(share, job.asked.leak_tolerance, job.node.name, f"dt / {name}")
    if abs(leaks.worth(found) - share) > 1e-6:
        job.note(
            f"the {what} keeps {1 - leaks.worth(found):.6g} with each step, {leaks.formula(found)}, not {1 - share:.6g}"
        )
    return found


def _lifted(job: Job, x: Value, dynamics: Dynamics, guard: int) -> tuple[list[nn.Module], int, int]:
    """Where a membrane rests at another v_leak than v_reset: a step that adds what flows besides the currents, for each
    channel or all, on the membrane's grid. (that step, exponent of the currents, guard bits below them)"""
    if not dynamics.rest.any():
        return [], x.exponent, guard
    if dynamics.synapse is not None:
        raise UnsupportedLayer("a v_leak that is not v_reset, behind a synapse", job.node.name, "give both the same")
    grid = x.exponent - guard
    exact = leaks.worth(dynamics.leak) * dynamics.rest / (dynamics.gain * x.scale)
    extra = _by_channel(np.rint(exact * 2.0**-grid) * 2.0**grid, x, "v_leak", job)
    job.note(f"towards v_leak flows a current of {extra.reshape(-1)[0] * x.scale:.6g}")
    each = torch.from_numpy(extra.reshape(-1, *[1] * (len(x.shape) - 1)))
    return [Call(lambda x, c: x + c, each)], grid, 0


@builds("IF", "LIF", "CubaLIF")
def neuron(job: Job, x: Value) -> tuple[nn.Module, Value]:
    """A spiking neuron: its threshold is the file's, less v_reset, by the gain and by what a current is worth."""
    asked = job.asked
    steps, how = asked.the_steps(), asked.the_reset()
    reset = job.array("v_reset", 0.0)
    dynamics = _dynamics(job, reset)
    # a membrane that no leak and no threshold is taken from is on the grid of its currents
    guard = asked.guard if dynamics.leak or dynamics.synapse or how == "subtract" else 0
    grid = x.exponent - guard
    exact = rounded((job.array("v_threshold") - reset) / (dynamics.gain * x.scale))
    exact = _by_channel(exact, x, "v_threshold, v_reset, r or w_in", job)
    threshold = _rounded(how, asked.fire)(exact * 2.0**-grid) * 2.0**grid
    if not (threshold > 0).all():
        raise BadInput(
            "a threshold is not above v_reset, on the membrane's grid", job.node.name, "give more --guard bits"
        )
    if how == "subtract" and (off := np.abs(threshold / exact - 1).max()) > 0:
        job.note(f"the threshold is {threshold.reshape(-1)[0]:.8g} of the currents' units, off by {off:.2g} of itself")
    start = -_one(reset, "v_reset", job) / _one(dynamics.gain, "gain", job) / x.scale if reset.any() else 0.0
    options: dict = {
        "leak": dynamics.leak,
        "threshold": torch.from_numpy(threshold) if threshold.ndim else float(threshold),
        "reset": how,
        "fire": asked.fire,
        "rounding": "half_up",
        "start": start,
        "synapse": dynamics.synapse,
    }
    lifted, exponent, options["guard"] = _lifted(job, x, dynamics, guard)
    made = _recurrent(job, x, steps, exponent, options) if job.recurrent else LIF(steps, exponent, **options)
    return nn.Sequential(*lifted, made) if lifted else made, Value(x.shape)


def _rounded(how: str, fire: str):
    """How a threshold comes to the membrane's grid: where it is only compared with, such that nothing changes."""
    if how == "subtract":
        return np.rint
    return np.floor if fire == ">" else np.ceil


def _recurrent(job: Job, x: Value, steps: int, exponent: int, options: dict) -> nn.Module:
    """A neuron with weights from the spikes of the step before, on the grid of its currents."""
    assert job.recurrent is not None
    node, scale = job.recurrent, x.scale
    weight = node.values.get("weight")
    size = int(np.prod(x.shape))
    if not isinstance(weight, np.ndarray) or weight.shape != (size, size) or len(x.shape) != 1:
        raise UnsupportedLayer(
            f"recurrent weights of {node.name} on frames {list(x.shape)}", job.node.name, "give [neurons, neurons]"
        )
    if np.any(node.values.get("bias", 0.0)):
        raise UnsupportedLayer(
            f"recurrent weights with a bias, {node.name}", job.node.name, "add it to the bias of the layer before"
        )
    if missed := error(weight, scale):
        if missed > 0.5:
            raise UnsupportedLayer(
                f"recurrent weights of {node.name} without others before the neuron",
                job.node.name,
                "put a Linear before",
            )
        job.note(f"recurrent weights are integers times {scale:.6g}; the worst is off by {missed:.2%} of the greatest")
    return RecurrentLIF(torch.from_numpy(np.rint(weight / scale)), steps, exponent, **options)


@builds("LI", "CubaLI", "I")
def integrator(job: Job, x: Value) -> tuple[nn.Module, Value]:
    """A membrane that is read; its gain goes on to who reads it."""
    steps = job.asked.the_steps()
    dynamics = _dynamics(job, np.zeros(()))
    gain = _one(dynamics.gain, "gain", job)
    lifted, exponent, guard = _lifted(job, x, dynamics, job.asked.guard)
    made = LI(steps, exponent, leak=dynamics.leak, guard=guard, rounding="half_up", synapse=dynamics.synapse)
    result = replace(x, exponent=exponent - guard, scale=x.scale * gain)
    return nn.Sequential(*lifted, made) if lifted else made, result
