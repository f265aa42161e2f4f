"""A small training loop for a prepared network: progress, checkpoints, early stop, and the searches that measure."""

import math
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn

from hwgen.compress.modes import PreparedModes
from hwgen.compress.prepared import Prepared
from hwgen.errors import BadInput, HwgenError

CHECKPOINT = "checkpoint.pt"
Batches = Iterable[tuple[Tensor, Tensor]]


class Diverged(HwgenError):
    """The loss became infinite or no number; the network holds the weights of the last good epoch."""


@torch.no_grad()
def accuracy(model: nn.Module, batches: Batches) -> float:
    """Percent of the samples whose greatest output is the label, of several modes (hwgen.compress.modes) on an average;
    the model is left in its mode."""
    training = model.training
    model.eval()
    right = count = 0
    for x, y in batches:
        found = model(x).argmax(1)
        right += int((found == (y if found.ndim == y.ndim else y[..., None])).sum())
        count += found.numel()
    model.train(training)
    return 100 * right / count


def fit(
    prepared: Prepared | PreparedModes,
    train: Batches,
    validation: Batches | None = None,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy,
    folder: str | Path | None = None,
    show: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> list[dict]:
    """Trains as the recipe and its `training` say; the epochs, as dicts of epoch, part, loss, seconds, terms_per_frame
    and, with validation, accuracy and float_accuracy: that of the network before anything was pruned or quantized.

    train, validation  batches (x, y) with a length, as a DataLoader has; shuffling and augmentation draw from torch's
                       global generator, which `training.seed` sets
    folder             for a checkpoint after each epoch; a run that was cut short goes on from there to the same result
    show               called with a line after each epoch

    With `validation` the best epoch of those that are pruned and on the grid is kept, else the last one.
    Raises Diverged for a loss that is not finite, BadInput for a checkpoint of another recipe or for an accuracy that
    cannot be met.
    """
    return _Run(prepared, train, validation, loss, Path(folder) if folder else None, show).run()


class _Run:
    def __init__(self, prepared, train, validation, loss, folder, show):
        self.prepared, self.train, self.validation = prepared, train, validation
        self.loss, self.folder, self.show = loss, folder, show
        self.recipe, self.training = prepared.recipe, prepared.recipe.training
        if self._measures() and validation is None:
            raise BadInput("the recipe measures accuracy", "validation", "give fit() validation batches")
        named = dict(prepared.named_parameters())
        scales = [p for name, p in named.items() if name.endswith("log2_scale") and p.requires_grad]
        others = [p for name, p in named.items() if not name.endswith("log2_scale") and p.requires_grad]
        self.optimizer = torch.optim.Adam([{"params": others}, {"params": scales}], lr=1.0)
        self.epoch = 0
        self.history: list[dict] = []
        self.best: dict | None = None  # accuracy and model of the best epoch, the latest of equals
        self.improved = 0  # the epoch that was the first to be so good
        self.float_accuracy: float | None = None
        self.search = {"round": 0, "shrink": self.training.shrink}

    def _measures(self) -> bool:
        pruning = self.recipe.pruning
        return self.recipe.accuracy_drop is not None or (pruning is not None and pruning.measures)

    def run(self) -> list[dict]:
        torch.manual_seed(self.training.seed)
        self._resume()
        if self.validation is not None and self.float_accuracy is None:
            self.float_accuracy = accuracy(self.prepared, self.validation)
        while self.epoch < self.training.epochs and not self._stale():
            self._train_epoch(self._scheduled)
            self._end_epoch("train")
        self._take_best()
        if self._measures():
            self._search()
        self.prepared.step(1.0)
        self.prepared.eval()
        return self.history

    # one epoch

    def _scheduled(self, part: float) -> float:
        """Steps the recipe; the rate at `part`, 0 to 1, of the epoch at work."""
        done = (self.epoch + part) / self.training.epochs
        self.prepared.step(done)
        turn = self.recipe.quantize_from
        if done < turn:
            return self.training.rate * (1 + math.cos(math.pi * done / turn)) / 2
        return self.training.grid_rate * (1 + math.cos(math.pi * (done - turn) / (1 - turn))) / 2

    def _train_epoch(self, rate_at: Callable[[float], float]) -> None:
        good = self._state()
        started, total, steps = time.monotonic(), 0.0, len(self.train)
        self.prepared.train()
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            for index, (x, y) in enumerate(bar.track(self.train, description=f"epoch {self.epoch + 1}", total=steps)):
                rate = rate_at(index / steps)
                for group, factor in zip(self.optimizer.param_groups, (1.0, self.training.scale_rate), strict=True):
                    group["lr"] = rate * factor
                value = self.prepared.loss(self.loss, self.prepared(x), y) + self.prepared.penalty()
                if not math.isfinite(value.item()):
                    self._diverged(x, index, good)
                self.optimizer.zero_grad()
                value.backward()
                self.optimizer.step()
                total += value.item()
        self.last = {"loss": total / max(steps, 1), "seconds": time.monotonic() - started}

    def _diverged(self, x: Tensor, index: int, good: dict) -> None:
        where = _first_not_finite(self.prepared, x)
        self.prepared.load_state_dict(good)
        raise Diverged(
            f"the loss is not finite in epoch {self.epoch + 1}, batch {index + 1}",
            where,
            "the weights are those of the epoch before; lower the rate, or look at the data",
        )

    def _end_epoch(self, part: str) -> None:
        self.epoch += 1
        record = {"epoch": self.epoch, "part": part, "loss": self.last["loss"], "seconds": self.last["seconds"]}
        record["terms_per_frame"] = self.prepared.terms_per_frame()
        if self.validation is not None:
            record["accuracy"] = accuracy(self.prepared, self.validation)
            record["float_accuracy"] = self.float_accuracy
            ready = self.prepared.done >= max(self.recipe.prune_until, self.recipe.quantize_from)
            if part == "train" and ready:
                best = -1.0 if self.best is None else self.best["accuracy"]
                if record["accuracy"] > best:
                    self.improved = self.epoch
                if record["accuracy"] >= best:
                    self.best = {"accuracy": record["accuracy"], "model": self._state()}
        self.history.append(record)
        measured = (
            f"  accuracy {record['accuracy']:.2f} % (float {self.float_accuracy:.2f} %)" if "accuracy" in record else ""
        )
        self.show(
            f"{part} epoch {self.epoch}  loss {record['loss']:.4f}{measured}  "
            f"terms a frame {record['terms_per_frame']:,}  {record['seconds']:.0f} s"
        )
        self._save()

    def _stale(self) -> bool:
        patience = self.training.patience
        return patience is not None and self.best is not None and self.epoch - self.improved >= patience

    def _state(self) -> dict[str, Tensor]:
        return {key: value.clone() for key, value in self.prepared.state_dict().items()}

    def _take_best(self) -> None:
        if self.best is not None:
            self.prepared.load_state_dict(self.best["model"])

    # the methods that measure

    def _search(self) -> None:
        """Rounds: tighten, train, measure; a round that falls below the goal is undone."""
        pruning = self.recipe.pruning
        drop = self.recipe.accuracy_drop if pruning is None else pruning.accuracy_drop
        rounds = self.training.rounds if pruning is None else pruning.rounds
        goal = self.float_accuracy - drop

        def holds() -> bool:
            return accuracy(self.prepared, self.validation) >= goal

        reached = accuracy(self.prepared, self.validation)
        if reached < goal:
            raise BadInput(
                f"before anything is pruned the accuracy is {reached:.2f} %, below the {goal:.2f} % that are asked for",
                "accuracy_drop",
                "allow a greater drop, wider weights or activations, or more epochs",
            )
        while self.search["round"] < rounds:
            before = self._state()
            tighter = self._fewer_terms() if pruning is None else pruning.tighten(self.prepared, holds)
            if tighter:
                for _ in range(self.training.round_epochs):
                    self._train_epoch(lambda part: self.training.grid_rate / 4)
                    self._end_epoch("search")
            if not tighter or self.history[-1]["accuracy"] < goal:
                self.prepared.load_state_dict(before)
                if not tighter:
                    break
                self.search["shrink"] = math.sqrt(self.search["shrink"])
            self.search["round"] += 1
            self._save()

    def _fewer_terms(self) -> bool:
        self.prepared.limit_terms(max(1, int(self.search["shrink"] * self.prepared.terms_per_frame())))
        return True

    # checkpoints

    def _save(self) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "recipe": self.recipe.to_json(),
            "epoch": self.epoch,
            "model": self.prepared.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "history": self.history,
            "best": self.best,
            "improved": self.improved,
            "float_accuracy": self.float_accuracy,
            "search": self.search,
        }
        part = self.folder / f"{CHECKPOINT}.part"
        torch.save(state, part)
        part.replace(self.folder / CHECKPOINT)

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT if self.folder else None
        if path is None or not path.exists():
            return
        try:
            state = torch.load(path, weights_only=True)
            same = state["recipe"] == self.recipe.to_json()
        except Exception as error:
            raise BadInput(f"it is no checkpoint of fit: {error}"[:300], str(path), "name another folder") from error
        if not same:
            raise BadInput("the checkpoint is of another recipe", str(path), "name another folder, or delete it")
        try:
            self.prepared.load_state_dict(state["model"])
        except RuntimeError as error:
            raise BadInput("the checkpoint is of another network", str(path), "name another folder") from error
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        self.epoch, self.history = state["epoch"], state["history"]
        self.best, self.improved = state["best"], state["improved"]
        self.float_accuracy, self.search = state["float_accuracy"], state["search"]


@torch.no_grad()
def _first_not_finite(prepared: Prepared, x: Tensor) -> str:
    """What first goes wrong for the batch: a weight, the input, or a layer's output."""
    if not bool(torch.isfinite(x).all()):
        return "the input batch"
    for name, layer in prepared.layers.items():
        if not bool(torch.isfinite(layer.original).all()):
            return f"the weights of {name}"
    found = []

    def look(name):
        def hook(module, inputs, output):
            if not found and not bool(torch.isfinite(output).all()):
                found.append(name)

        return hook

    hooks = [layer.module.register_forward_hook(look(name)) for name, layer in prepared.layers.items()]
    prepared(x)
    for hook in hooks:
        hook.remove()
    return f"the output of {found[0]}" if found else "the loss"
