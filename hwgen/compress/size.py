"""What a converted network costs: weights, terms, bits, as the hardware will hold them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from hwgen.frontend import import_model
from hwgen.lanes.kinds import lane_kinds
from hwgen.lanes.unit import entries_of
from hwgen.lower import lower
from hwgen.ops.conv import Conv
from hwgen.passes import boxed, run_passes
from hwgen.passes.box_before_conv import of_fewer_terms
from hwgen.qtype import ceil_log2
from hwgen.stream import Order
from hwgen.sums import term_count


@dataclass(frozen=True)
class LayerSize:
    """One layer, or all of them.

    weights, nonzero   counts
    terms              signed powers of two of all weights; a frame takes terms_per_frame of them: terms times pixels,
                       those of box sums in the place of a pool behind it (hwgen/passes/box_before_conv.py) if these
                       are fewer
    value_bits         the non-zero weights alone: each the bits that tell the layer's distinct values apart
    memory_bits        the term ROM: values, places, biases, rounding and the ends of channels
    """

    name: str
    weights: int
    nonzero: int
    terms: int
    terms_per_frame: int
    value_bits: int
    memory_bits: int


def sizes(model: nn.Module, example_inputs: tuple[torch.Tensor, ...]) -> list[LayerSize]:
    """The layers with weights, in order, then their sum, which is called "all".

    model is what `convert` returns, or any module that `hwgen.build` takes; example_inputs one tensor [1, ...].
    """
    kinds = (nn.Conv1d, nn.Conv2d, nn.Linear)
    names = {name for name, module in model.named_modules() if isinstance(module, kinds)}
    rows = []
    graph = run_passes(import_model(model, example_inputs))
    for stage in lower(boxed(graph, of_fewer_terms(graph))):
        if not isinstance(stage.op, Conv) or stage.op.path not in names:
            continue  # no weights, or a pool as a convolution
        integers = stage.op.integers
        pixels = stage.y.shape[1] * stage.y.shape[2]
        distinct = len(np.unique(integers[integers != 0]))
        entries = entries_of(stage, lane_kinds()["lut"], Order(stage.x.shape))
        nonzero = int(np.count_nonzero(integers))
        rows.append(
            LayerSize(
                stage.op.path,
                integers.size,
                nonzero,
                term_count(stage),
                term_count(stage) * pixels,
                nonzero * max(1, ceil_log2(distinct)),
                len(entries.payload) * (4 + entries.payload_bits),
            )
        )
    fields = ("weights", "nonzero", "terms", "terms_per_frame", "value_bits", "memory_bits")
    return [*rows, LayerSize("all", *(sum(getattr(row, field) for row in rows) for field in fields))]
