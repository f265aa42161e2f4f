"""The order of activations on a stream."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Order:
    """A frame of `shape` (channels, rows, columns): for each row, each s < stripe, each channel, each lane: the pixel in
    column lane * stripe + s, if there is one. One lane is raster order. A beat carries `side` activations that follow
    each other, the first in its lowest bits: one, or with one lane all channels of one or more pixels."""

    shape: tuple[int, int, int]
    lanes: int = 1
    side: int = 1

    @property
    def stripe(self) -> int:
        """Columns in a lane's stripe."""
        return -(-self.shape[2] // self.lanes)

    @property
    def beats(self) -> int:
        """Beats in a frame."""
        channels, rows, columns = self.shape
        return channels * rows * columns // self.side

    @property
    def pixels(self) -> int:
        """Whole pixels in a beat; 0 where it is one activation of several channels."""
        return self.side // self.shape[0]

    def by_pixels(self, pixels: int) -> "Order":
        """The same frame in raster order, so many pixels a beat."""
        return Order(self.shape, side=pixels * self.shape[0])

    @property
    def serial(self) -> "Order":
        """The same frame, an activation a beat in raster order."""
        return Order(self.shape)

    def columns(self) -> tuple[np.ndarray, np.ndarray]:
        """The columns of a row in the order they first arrive, and a flag at the last of each group that comes once per
        channel."""
        grid = np.arange(self.stripe)[:, None] + np.arange(self.lanes)[None, :] * self.stripe
        inside = grid < self.shape[2]
        last = inside & ~np.pad(inside, ((0, 0), (0, 1)))[:, 1:]
        return grid[inside], last[inside]

    def indices(self) -> np.ndarray:
        """The index of each activation of a frame, as they come, in the flattened (channels, rows, columns)."""
        channels, rows, columns = self.shape
        s, channel, lane = np.meshgrid(
            np.arange(self.stripe), np.arange(channels), np.arange(self.lanes), indexing="ij"
        )
        column = lane * self.stripe + s
        inside = column < columns
        row = (channel * rows * columns + column)[inside]
        return (row[None, :] + np.arange(rows)[:, None] * columns).reshape(-1)

    def flatten(self, frames: torch.Tensor) -> np.ndarray:
        """[N, channels, rows, columns] -> int64 [N, activations], as they come."""
        return frames.reshape(len(frames), -1).numpy()[:, self.indices()]

    def unflatten(self, activations: np.ndarray) -> torch.Tensor:
        """The reverse of flatten."""
        frames = np.empty_like(activations)
        frames[:, self.indices()] = activations
        return torch.from_numpy(frames).reshape(len(activations), *self.shape)
