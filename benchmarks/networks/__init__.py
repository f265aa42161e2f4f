"""Networks of real size, from the literature, pruned and quantized: docs/networks.md."""

from benchmarks.networks.variants import VARIANTS, Variant, frames, network

__all__ = ["VARIANTS", "Variant", "frames", "network"]
