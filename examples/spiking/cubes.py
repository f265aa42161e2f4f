"""Synthetic hyperspectral patches: smooth spectra in blobs, with noise, as a formula makes them. No sensor saw them."""

import numpy as np

CLASSES, BANDS, SIDE = 9, 20, 11
SPECTRA = 2026  # the seed of the spectra, which all data sets share


def spectra() -> np.ndarray:
    """The reflectance of each class [9, 20]: one curve that all have, and three bumps of each one's own."""
    rng = np.random.default_rng(SPECTRA)
    bands = np.arange(BANDS)

    def bumps(count: int) -> np.ndarray:
        middle, width = rng.uniform(0, BANDS, (2, count, 1)) * [[[1]], [[0.2]]] + [[[0]], [[2]]]
        return (rng.uniform(-1, 1, (count, 1)) * np.exp(-(((bands - middle) / width) ** 2))).sum(0)

    common = bumps(4)
    return 0.5 + 0.25 * common + 0.12 * np.stack([bumps(3) for _ in range(CLASSES)])


def patches(count: int, seed: int, noise: float = 0.08) -> tuple[np.ndarray, np.ndarray]:
    """Patches [count, 1, 20, 11, 11] float32 (band, row, column) from 0 to 255/256 in steps of 1/256, and the classes
    of their middle pixels [count] int64.

    A patch holds two classes: a field of smooth noise, positive in the middle, says which pixel is of which. Each
    patch has its own brightness and tilt of the light, each number its own noise.
    """
    rng = np.random.default_rng(seed)
    curves = spectra()
    y, other = rng.integers(0, CLASSES, (2, count))
    field = rng.standard_normal((count, SIDE, SIDE))
    for axis in (1, 2):
        field = sum(np.roll(field, shift, axis) for shift in range(-2, 3)) / 5
    mine = field * np.sign(field[:, SIDE // 2, SIDE // 2])[:, None, None] > -0.05
    mixed = np.where(mine[:, None], curves[y][:, :, None, None], curves[other][:, :, None, None])
    light = rng.uniform(0.75, 1.25, (count, 1)) * (1 + rng.uniform(-0.15, 0.15, (count, 1)) * np.linspace(-1, 1, BANDS))
    x = mixed * light[:, :, None, None] + noise * rng.standard_normal(mixed.shape)
    return (np.floor(np.clip(x, 0, 1) * 255 + 0.5) / 256).astype(np.float32)[:, None], y
