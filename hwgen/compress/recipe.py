"""What a user chooses about compression: frozen dataclasses that read and write JSON."""

import difflib
import fnmatch
import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, get_args, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from hwgen.compress.formats import STRICT, Format, PowerOfTwo, Uniform
from hwgen.compress.methods import Fraction, Pruning
from hwgen.errors import BadInput


@dataclass(frozen=True, config=STRICT)
class Epitome:
    """Outputs that share weights: those of output o + r * outputs / times are those of o, turned by r * step input
    channels (hwgen/lanes/epitome.py). The list of the layer is then `times` times shorter.

    times   divides the layer's outputs
    step    below its input channels
    """

    times: Annotated[int, Field(ge=2)]
    step: Annotated[int, Field(ge=1)] = 1


@dataclass(frozen=True, config=STRICT)
class Override:
    """Other choices for the layers whose name matches `pattern`: fnmatch on the layers' names ("features.*").

    A slice behind it, "conv2[0:8]" or "conv2[3]", means those output channels only, and may change `weights` alone.
    None leaves the recipe's choice. `prune` False keeps all weights of the layer.
    """

    pattern: str
    weights: Format | None = None
    granularity: Literal["layer", "channel"] | None = None
    scale: Literal["max", "mse", "learned"] | None = None
    zeros: Fraction | None = None
    prune: bool | None = None
    input_bits: Annotated[int, Field(ge=1, le=8)] | None = None
    epitome: Epitome | None = None

    def split(self) -> tuple[str, slice | None]:
        """The pattern of names, and the channels or None."""
        found = re.fullmatch(r"(.+)\[(\d+)(?::(\d+))?\]", self.pattern)
        if not found:
            return self.pattern, None
        first = int(found[2])
        return found[1], slice(first, first + 1 if found[3] is None else int(found[3]))

    def __post_init__(self):
        others = (self.granularity, self.scale, self.zeros, self.prune, self.input_bits, self.epitome)
        if self.split()[1] is not None and (self.weights is None or any(other is not None for other in others)):
            raise BadInput("channels take another format, and nothing else", self.pattern, "give `weights` alone")


@dataclass(frozen=True, config=STRICT)
class Decomposition:
    """The convolutions whose name matches `pattern` become two layers each, NAME.basis and NAME.coefficients, with
    kernels that are sums of a few (docs/escalate.md); overrides may name these.

    kernels  of the basis, at most as many as a window has taps, or the convolution kernels
    first    of both
    bits     of the activations between, with their sign
    """

    pattern: str
    kernels: Annotated[int, Field(ge=1)]
    first: Literal["basis", "coefficients"] = "basis"
    bits: Annotated[int, Field(ge=1, le=8)] = 8


@dataclass(frozen=True, config=STRICT)
class Training:
    """What `fit` does: Adam with a cosine rate, once for the part before `quantize_from`, once for the rest.

    seed      of torch's generator: batches, augmentation
    patience  epochs on the grid without a better validation result before training ends; None: never
    scale_rate  the rate of learned scales, as a factor
    rounds, round_epochs, shrink   of the search that `Recipe.accuracy_drop` asks for: each round trains under `shrink`
              times the last budget; a round that fails is undone, and later steps are half as long
    """

    epochs: Annotated[int, Field(ge=1)] = 20
    rate: Annotated[float, Field(gt=0)] = 1e-3
    grid_rate: Annotated[float, Field(gt=0)] = 1e-3
    scale_rate: Annotated[float, Field(ge=0)] = 1.0
    patience: Annotated[int, Field(ge=1)] | None = None
    seed: int = 0
    rounds: Annotated[int, Field(ge=1, le=1000)] = 12
    round_epochs: Annotated[int, Field(ge=1)] = 1
    shrink: Annotated[float, Field(gt=0, lt=1)] = 0.7


@dataclass(frozen=True, config=STRICT)
class Split:
    """Output channels of some layers have one of two formats, found by a search before the training proper
    (hwgen/compress/channels.py): for layers on two kinds of lanes.

    layers    patterns of names
    first     for lanes that add a term a cycle
    second    for lanes that multiply, a weight a cycle
    accumulators   of the second kind for one of the first
    strength  of the cycles in the loss: so much is added where one kind of lanes has all channels
    """

    layers: tuple[str, ...]
    first: Format = PowerOfTwo()
    second: Format = Uniform()
    accumulators: Annotated[float, Field(gt=0)] = 1.0
    strength: Annotated[float, Field(ge=0)] = 1.0


@dataclass(frozen=True, config=STRICT)
class Recipe:
    """How a network is compressed.

    weights       their format
    granularity   one power-of-two scale per layer, or per output channel
    scale         by the greatest weight ("max"), least squared error ("mse"), or from there on "learned"
    gradient      straight through everywhere ("identity"), or within the greatest level ("clip", and learned scales)
    activation_bits, input_bits   of the layers' and of the network's inputs, 1 to 8
    bias_bits     of the biases, signed
    pruning       which weights go, and when
    terms_per_frame   or: at most so many terms, each counted once for every pixel that it makes, given where they lower
                  the loss most. A weight may have none, one, two ... A further term's gain is its share of the loss to
                  first order: Fisher information times the squared error that it takes away. With per-channel scales
                  each output channel so gets a width of its own
    accuracy_drop or: the least such budget that `fit` finds within so many points of the float network's accuracy
    prune_until, quantize_from    parts of the training, 0 to 1: the ramp's end; when weights and activations are put
                  on their grids
    break_even    a layer whose fraction of zeros would not make hwgen's engine as fast as a dense one of its size
                  (hwgen.compress.price) is not pruned
    split         layers whose output channels are each given one of two formats first
    reorder_pools  average pools go before the activations that they read of convolutions: another network, whose
                  convolutions hwgen computes for fewer pixels, by the area of a pool's stride (docs/mlcnn.md)
    decompose     convolutions that become two layers each; the last that matches wins
    overrides     for some layers or channels; the last that matches wins
    """

    weights: Format = PowerOfTwo()
    granularity: Literal["layer", "channel"] = "layer"
    scale: Literal["max", "mse", "learned"] = "mse"
    gradient: Literal["identity", "clip"] = "identity"
    activation_bits: Annotated[int, Field(ge=1, le=8)] = 4
    input_bits: Annotated[int, Field(ge=1, le=8)] = 8
    bias_bits: Annotated[int, Field(ge=2, le=16)] = 8
    pruning: Pruning | None = None
    terms_per_frame: Annotated[int, Field(ge=1)] | None = None
    accuracy_drop: Annotated[float, Field(ge=0, le=100)] | None = None
    prune_until: Annotated[float, Field(ge=0, le=1)] = 0.4
    quantize_from: Annotated[float, Field(ge=0, lt=1)] = 0.5
    break_even: bool = True
    split: Split | None = None
    reorder_pools: bool = False
    decompose: tuple[Decomposition, ...] = ()
    overrides: tuple[Override, ...] = ()
    training: Training = Training()

    def __post_init__(self):
        goals = [self.pruning, self.terms_per_frame, self.accuracy_drop]
        if sum(goal is not None for goal in goals) > 1:
            raise BadInput("it has more than one goal", "Recipe", "give pruning, terms_per_frame or accuracy_drop")
        formats = [self.weights, *(o.weights for o in self.overrides if o.weights is not None)]
        if any(goal is not None for goal in goals):
            for own in formats:
                if not own.has_zero:
                    raise BadInput(
                        f"{own.kind} weights have no zero, so they cannot be pruned", "Recipe", "use Ternary()"
                    )

    def to_json(self) -> str:
        return _RECIPE.dump_json(self, indent=2, exclude_none=True).decode() + "\n"

    @staticmethod
    def from_json(text: str, at: str = "recipe") -> "Recipe":
        """Reads what `to_json` writes; fields left out take their defaults. Raises BadInput that names the field."""
        try:
            return _RECIPE.validate_json(text)
        except ValidationError as error:
            wrong = error.errors()
            # a field that is missing may be there under a name that is not: that name is told
            first = next((one for one in wrong if one["type"] == _NO_FIELD), wrong[0])
            field = ".".join(str(part) for part in first["loc"]) or "the file"
            if first["type"] == _NO_FIELD:
                what, hint = f"there is no field {field} (here {first['input']!r})", _fields_beside(first["loc"])
            else:
                what, hint = f"{field}: {first['msg']}, not {first['input']!r}", "see hwgen.compress.Recipe"
            raise BadInput(what[:300], at, hint) from None

    @staticmethod
    def load(path: Path) -> "Recipe":
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(
                f"it cannot be read: {error}", str(path), "name a recipe as Recipe.to_json writes it"
            ) from error
        return Recipe.from_json(text, str(path))


_RECIPE = TypeAdapter(Recipe)
_NO_FIELD = "unexpected_keyword_argument"  # as pydantic has it


def _fields_beside(place: tuple[str | int, ...]) -> str:
    """Which fields there are where a recipe has one too many, those like it first.

    place  the names on the way to it, as pydantic gives them: fields, numbers in a tuple, and the `kind` of a choice
    """
    *way, wrong = map(str, place)
    classes: list[type] = [Recipe]
    for part in way:
        named = [own for own in classes if part in _fields(own)]
        if named:
            classes = _dataclasses(get_type_hints(named[0], include_extras=True)[part])
        elif not part.isdecimal():
            classes = [own for own in classes if getattr(own, "kind", None) == part]
    names = list(_fields(classes[0]))
    like = difflib.get_close_matches(str(wrong), names, n=3, cutoff=0.5)
    there = ", ".join([*like, *(name for name in names if name not in like)])
    return f"the fields of {classes[0].__name__} are {there}"


def _fields(own: type) -> list[str]:
    return [field.name for field in fields(own)]


def _dataclasses(hint) -> list[type]:
    """The dataclasses that a type hint speaks of."""
    return (
        [hint]
        if isinstance(hint, type) and is_dataclass(hint)
        else [own for part in get_args(hint) for own in _dataclasses(part)]
    )


@dataclass(frozen=True)
class LayerRecipe:
    """What a recipe says of one layer; formats by output channel."""

    formats: tuple[Format, ...]
    granularity: str
    scale: str
    zeros: float | None
    prune: bool
    input_bits: int | None
    epitome: Epitome | None = None


def layer_recipes(recipe: Recipe, channels: dict[str, int]) -> dict[str, LayerRecipe]:
    """The recipe of every layer; `channels` holds the output channels by the layer's name.

    Raises BadInput for an override that matches no layer, channels that a layer does not have, or zeros where no method
    prunes a fraction.
    """
    fractions = recipe.pruning is not None and recipe.pruning.fractions
    result = {
        name: LayerRecipe((recipe.weights,) * count, recipe.granularity, recipe.scale, None, True, None)
        for name, count in channels.items()
    }
    for override in recipe.overrides:
        pattern, part = override.split()
        names = fnmatch.filter(channels, pattern)
        if not names:
            raise BadInput(
                f"the pattern {override.pattern!r} matches no layer",
                "overrides",
                f"the layers are {', '.join(channels)}",
            )
        if override.zeros is not None and not fractions:
            raise BadInput(
                f"{override.pattern}: zeros = {override.zeros}, but no method prunes a fraction",
                "overrides",
                "give pruning=Magnitude(...), ADMM(...) or FilterSimilarity(...)",
            )
        for name in names:
            own = result[name]
            formats = list(own.formats)
            if override.weights is not None:
                whole = part or slice(0, channels[name])
                if whole.stop > channels[name] or whole.start >= whole.stop:
                    raise BadInput(
                        f"{override.pattern}: {name} has {channels[name]} channels", "overrides", "name fewer"
                    )
                formats[whole] = [override.weights] * (whole.stop - whole.start)
            given = {
                key: getattr(override, key)
                for key in ("granularity", "scale", "zeros", "prune", "input_bits", "epitome")
                if getattr(override, key) is not None
            }
            result[name] = replace(own, formats=tuple(formats), **given)
    return result
