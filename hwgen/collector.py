"""Python's cyclic garbage collector, and where it is not worth its time."""

import gc
from contextlib import contextmanager


@contextmanager
def no_collector():
    """Without it: a full collection visits each of torch's objects, which takes longer than a small network does, and
    what is made of a graph leaves hardly a cycle behind."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
