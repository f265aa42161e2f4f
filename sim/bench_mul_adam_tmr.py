"""mul_adam_tmr multiplies as mul_adam does."""

from bench_mul_adam import products_are_those_of_logarithms

__all__ = ["products_are_those_of_logarithms"]

CONFIGS = [{"T": 5}]
