"""Synthetic respiration: records of a chest belt as a formula makes them, of five patterns. No person breathed them."""

import numpy as np

RATE, LENGTH = 8, 256  # samples a second, and of a record: 32 s
CLASSES = ("eupnoea", "bradypnoea", "tachypnoea", "apnoea", "Cheyne-Stokes")
BREATHS = ((0.2, 0.33), (0.08, 0.18), (0.36, 0.6), (0.2, 0.33), (0.25, 0.45))  # a second, least and greatest


def records(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Records [count, 1, 256] float32, each from 0 to 1 in steps of 1/256, and classes [count] int64.

    A breath is a sine whose rate wanders; in apnoea it all but stops for 7 to 14 s, in Cheyne-Stokes breathing it
    swells and fades every 14 to 24 s. A slow drift of the belt and white noise are added.
    """
    rng = np.random.default_rng(seed)
    seconds = np.arange(LENGTH) / RATE
    x, y = np.empty((count, 1, LENGTH), np.float32), rng.integers(0, len(CLASSES), count)
    for record, kind in zip(x, y, strict=True):
        wander = 1 + 0.08 * rng.standard_normal(LENGTH).cumsum() / np.sqrt(LENGTH)
        phase = 2 * np.pi * np.cumsum(rng.uniform(*BREATHS[kind]) * wander) / RATE + rng.uniform(0, 2 * np.pi)
        depth = np.ones(LENGTH)
        if CLASSES[kind] == "apnoea":
            start = rng.integers(0, LENGTH - 80)
            depth[start : start + rng.integers(56, 110)] = 0.05
        if CLASSES[kind] == "Cheyne-Stokes":
            depth = np.abs(np.sin(np.pi * seconds / rng.uniform(14, 24) + rng.uniform(0, np.pi))) ** 1.3
        drift = 0.25 * np.sin(2 * np.pi * rng.uniform(0.01, 0.05) * seconds)
        record[0] = depth * np.sin(phase) + drift + 0.18 * rng.standard_normal(LENGTH)
    low, high = x.min(2, keepdims=True), x.max(2, keepdims=True)
    return np.floor((x - low) / (high - low) * 255 + 0.5).astype(np.float32) / 256, y
