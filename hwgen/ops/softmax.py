"""Softmax: not built; behind the last layer it is the host's."""

from hwgen.errors import UnsupportedLayer
from hwgen.ops import imports


@imports("aten.softmax.int", "aten.log_softmax.int", "aten._softmax.default", "aten._log_softmax.default")
def softmax(importer, x, *_, **__):
    raise UnsupportedLayer(
        "softmax is not built",
        importer.path,
        "return the scores before it and leave it to the host: the greatest score is the greatest probability"
        if importer.is_last()
        else "replace the layer",
    )
