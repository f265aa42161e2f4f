"""scale_steps counts the thresholds that a number reaches, with its last phase, whatever came before."""

from parts.paced import every_number_gets_its_level
from parts.scales import prepare, steps

__all__ = ["every_number_gets_its_level", "prepare"]

CONFIGS = [
    {"N": 2, **steps(9, 4, 4, 0)},
    {"N": 1, **steps(12, 3, 4, -5, depth=9)},
    {"N": 3, **steps(6, 1, 2, -1, depth=1)},
    {"N": 1, **steps(5, 6, 5, 3, depth=2)},
]
