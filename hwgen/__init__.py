"""Pruned, power-of-two and mixed-precision PyTorch networks as verified, readable Verilog.

build, load_words, simulate, verify and report are the command line's verbs as functions; see hwgen/flow.py.
"""

from hwgen.folder import uninterrupted

# torch and numpy catch errors while they are imported: a Ctrl-C in there would leave them half done
with uninterrupted():
    from hwgen.config import BuildConfig
    from hwgen.errors import HwgenError
    from hwgen.flow import build
    from hwgen.report import report
    from hwgen.simulate import simulate
    from hwgen.verify import verify
    from hwgen.weights import load_words

__all__ = ["BuildConfig", "HwgenError", "build", "load_words", "report", "simulate", "verify"]
