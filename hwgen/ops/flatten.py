"""Flatten: (channels, rows, columns) to one column of features, in torch's order; and calls that do nothing."""

from math import prod

from hwgen.errors import UnsupportedLayer
from hwgen.ops import imports


@imports("aten.flatten.using_ints", shares=True, picks=True)
def flatten(importer, x, start=0, end=-1):
    rank = len(importer.shape(x)) + 1
    if start % rank != 1 or end % rank != rank - 1:
        raise UnsupportedLayer(
            f"flatten from dimension {start} to {end}",
            importer.path,
            "flatten all but the batch: start_dim=1",
        )
    return importer.flatten(x)


@imports("aten.sym_size.int")
def size(importer, x, dim):
    """The batch where it is dynamic: whatever is left when the features are known."""
    if dim != 0:
        raise UnsupportedLayer(f"a dynamic size in dimension {dim}", importer.path, "export it with a static shape")
    return -1


@imports("aten.view.default", "aten.reshape.default", "aten._unsafe_view.default", shares=True, picks=True)
def view(importer, x, shape):
    features = prod(importer.shape(x))
    if len(shape) != 2 or shape[1] not in (-1, features):
        raise UnsupportedLayer(
            f"a view of shape {list(shape)}", importer.path, "only flattening all but the batch is built"
        )
    return importer.flatten(x)


@imports("aten.clone.default", picks=True)
@imports("aten.alias.default", "aten.detach.default", "aten.contiguous.default", shares=True, picks=True)
def nothing(importer, x, memory_format=None):
    return x


@imports("aten.dropout.default", "aten.feature_dropout.default", shares=True, picks=True)
def dropout(importer, x, probability, training):
    if training:
        raise UnsupportedLayer(
            "dropout in training mode",
            importer.path,
            "call module.eval() before the export"
            if importer.module().startswith("torch.nn.modules.dropout")
            else "module.eval() does not reach a functional dropout: say F.dropout(x, p, training=self.training)",
        )
    return x


@imports("aten._assert_tensor_metadata.default")
def assertion(importer, x, *_, **__):
    """torch.export notes a tensor's type before it is converted; the conversion itself is looked at."""
