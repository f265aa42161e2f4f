"""Softmax as the last layer: the host's. Inside a network it is hwgen.nn.Softmax."""

from hwgen.errors import UnsupportedLayer
from hwgen.ops import imports


def _softmax(importer, x, dim, name):
    if not importer.is_last():
        raise UnsupportedLayer(
            f"a {name} inside the network", importer.path, "use hwgen.nn.Softmax, or let hwgen compress put it there"
        )
    return importer.left_to_host(x, name, dim)


@imports("aten.softmax.int", "aten._softmax.default")
def softmax(importer, x, dim, kind=None):
    return _softmax(importer, x, dim, "softmax")


@imports("aten.log_softmax.int", "aten._log_softmax.default")
def log_softmax(importer, x, dim, kind=None):
    return _softmax(importer, x, dim, "log_softmax")
