"""The Python driver on a board: drive.py KIT X.npz Y.npz uio|BITFILE [recover] [WEIGHTS.bin] [mode=N] [batch=N] runs
all arrays of X, in their order."""

import sys

import numpy as np

kit, given, out, platform, *more = sys.argv[1:]
recover, weights = "recover" in more, [each for each in more if each.endswith(".bin")]
sys.path.insert(0, f"{kit}/python")

from hwgen_driver import HwgenError, Network, Pynq, Uio  # noqa: E402

x = [*np.load(given).values()]
numbers = {name: int(value) for name, _, value in (each.partition("=") for each in more) if value}
options = {"batch": 8, "timeout": 0.02} if recover else {}
options |= {"slots": 4, "batch": numbers["batch"]} if "batch" in numbers else {}
try:
    net = Network(Uio() if platform == "uio" else Pynq(platform), **options)
except HwgenError as error:
    sys.exit(f"{type(error).__name__}: {error}")
with net:
    for path in weights:
        net.load(path)
    net.set_mode(numbers.get("mode", 0))
    if recover:
        try:
            net.run(*x)
        except HwgenError as error:
            print(f"{type(error).__name__}: {error}")
            net.reset()
    y = net.run(*x)
    print(net.counters()["cycles"])
    for frames in (1, 2, 1):  # the rings go on
        again = net.run(*(each[:frames] for each in x))
        for one, other in zip(
            again if len(net.outputs) > 1 else [again], y if len(net.outputs) > 1 else [y], strict=True
        ):
            assert np.array_equal(one, other[: len(one)])
np.savez(out, *(y if isinstance(y, tuple) else (y,)))
