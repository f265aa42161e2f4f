"""The order of activations on a stream."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Order:
    """A frame of `shape` (channels, rows, columns): for each row, each s < stripe, each channel, each lane: the pixel
    in column lane * stripe + s, if there is one. One lane is raster order.

    A beat carries `side` activations that follow each other, the first in its lowest bits: one; or with several lanes
    all lanes of a channel, where a lane without a pixel carries anything; or with one lane all channels of one or more
    pixels, or of a row so many that whole beats are a row.

    channels -- which channel comes at each place; empty: in their own order
    """

    shape: tuple[int, int, int]
    lanes: int = 1
    side: int = 1
    channels: tuple[int, ...] = ()

    @property
    def stripe(self) -> int:
        """Columns in a lane's stripe."""
        return -(-self.shape[2] // self.lanes)

    @property
    def beats(self) -> int:
        """Beats in a frame."""
        channels, rows, columns = self.shape
        together = columns if self.side == 1 or self.lanes == 1 else self.stripe * self.lanes
        return channels * rows * together // self.side

    @property
    def pixels(self) -> int:
        """Whole pixels in a beat; 0 where it has some activations of a pixel only, or several lanes."""
        return self.side // self.shape[0] if self.lanes == 1 else 0

    def by_pixels(self, pixels: int) -> "Order":
        """The same frame in raster order, so many pixels a beat."""
        return Order(self.shape, 1, pixels * self.shape[0], self.channels)

    def by_lanes(self, lanes: int, channels: tuple[int, ...] = ()) -> "Order":
        """The same frame on so many lanes, all of them side by side."""
        return Order(self.shape, lanes, lanes, channels)

    @property
    def serial(self) -> "Order":
        """The same frame, an activation a beat."""
        return Order(self.shape, self.lanes, 1, self.channels)

    @property
    def places(self) -> np.ndarray:
        """At which place each channel comes."""
        return np.argsort(self.channels) if self.channels else np.arange(self.shape[0])

    def columns(self) -> tuple[np.ndarray, np.ndarray]:
        """The columns of a row in the order they first arrive, an activation a beat, and a flag at the last of each
        group that comes once per channel."""
        grid = np.arange(self.stripe)[:, None] + np.arange(self.lanes)[None, :] * self.stripe
        inside = grid < self.shape[2]
        last = inside & ~np.pad(inside, ((0, 0), (0, 1)))[:, 1:]
        return grid[inside], last[inside]

    def indices(self) -> np.ndarray:
        """The index of each activation of a frame, as they come, in the flattened (channels, rows, columns); -1 for a
        lane without a pixel."""
        channels, rows, columns = self.shape
        order = np.array(self.channels) if self.channels else np.arange(channels)
        s, channel, lane = np.meshgrid(np.arange(self.stripe), order, np.arange(self.lanes), indexing="ij")
        column = lane * self.stripe + s
        inside = column < columns
        row = channel * rows * columns + column
        first = np.arange(rows)[:, None] * columns
        if self.side == 1 or self.lanes == 1:
            return (row[inside][None, :] + first).reshape(-1)
        return np.where(inside.reshape(-1), row.reshape(-1) + first, -1).reshape(-1)

    def flatten(self, frames: torch.Tensor) -> np.ndarray:
        """[N, channels, rows, columns] -> int64 [N, activations], as they come; zero for a lane without a pixel."""
        indices = self.indices()
        return np.where(indices < 0, 0, frames.reshape(len(frames), -1).numpy()[:, indices])

    def unflatten(self, activations: np.ndarray) -> torch.Tensor:
        """The reverse of flatten."""
        indices = self.indices()
        channels, rows, columns = self.shape
        frames = np.empty((len(activations), channels * rows * columns), activations.dtype)
        frames[:, indices[indices >= 0]] = activations[:, indices >= 0]
        return torch.from_numpy(frames).reshape(len(activations), *self.shape)
