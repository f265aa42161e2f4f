"""Normalizations that need what a frame holds: not built as floats; hwgen.nn has integer ones."""

from hwgen.errors import UnsupportedLayer
from hwgen.ops import imports


@imports("aten.layer_norm.default", "aten.native_layer_norm.default", "aten.rms_norm.default")
def layer_norm(importer, x, *_, **__):
    raise UnsupportedLayer(
        "a layer norm in floats", importer.path, "use hwgen.nn.LayerNorm, or let hwgen compress put it there"
    )


@imports("aten.group_norm.default", "aten.native_group_norm.default", "aten.instance_norm.default")
def group_norm(importer, x, *_, **__):
    raise UnsupportedLayer(
        "a group or instance norm", importer.path, "use a batch norm, or hwgen.nn.LayerNorm over the channels"
    )


@imports("aten.lstm.input", "aten.gru.input", "aten.rnn_tanh.input", "aten.rnn_relu.input", tensors=None)
def recurrent(importer, x, *_, **__):
    raise UnsupportedLayer(
        "a recurrent layer in floats",
        importer.path,
        "use hwgen.nn.LSTM, GRU or RNN, or let hwgen compress put it there",
    )
