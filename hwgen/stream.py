"""The order of activations on a stream."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Order:
    """A frame of `shape` (channels, rows, columns), one activation a beat: for each row, each s < stripe, each channel,
    each lane: the pixel in column lane * stripe + s, if there is one. One lane is raster order."""

    shape: tuple[int, int, int]
    lanes: int = 1

    @property
    def stripe(self) -> int:
        """Columns in a lane's stripe."""
        return -(-self.shape[2] // self.lanes)

    @property
    def beats(self) -> int:
        """Beats in a frame."""
        channels, rows, columns = self.shape
        return channels * rows * columns

    def columns(self) -> tuple[np.ndarray, np.ndarray]:
        """The columns of a row in the order they first arrive, and a flag at the last of each group that comes once per
        channel."""
        grid = np.arange(self.stripe)[:, None] + np.arange(self.lanes)[None, :] * self.stripe
        inside = grid < self.shape[2]
        last = inside & ~np.pad(inside, ((0, 0), (0, 1)))[:, 1:]
        return grid[inside], last[inside]

    def indices(self) -> np.ndarray:
        """For each beat of a frame, the index of its activation in the flattened (channels, rows, columns)."""
        channels, rows, columns = self.shape
        s, channel, lane = np.meshgrid(
            np.arange(self.stripe), np.arange(channels), np.arange(self.lanes), indexing="ij"
        )
        column = lane * self.stripe + s
        inside = column < columns
        row = (channel * rows * columns + column)[inside]
        return (row[None, :] + np.arange(rows)[:, None] * columns).reshape(-1)

    def to_beats(self, frames: torch.Tensor) -> np.ndarray:
        """[N, channels, rows, columns] -> int64 [N, beats]."""
        return frames.reshape(len(frames), -1).numpy()[:, self.indices()]

    def from_beats(self, beats: np.ndarray) -> torch.Tensor:
        """[N, beats] -> int64 [N, channels, rows, columns]."""
        frames = np.empty_like(beats)
        frames[:, self.indices()] = beats
        return torch.from_numpy(frames).reshape(len(beats), *self.shape)
