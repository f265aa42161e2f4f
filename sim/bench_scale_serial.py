"""scale_serial gives each number's product with the last phase, by the numbers of its channel, whatever came before."""

from parts.paced import every_number_gets_its_level, reset_in_mid_number_leaves_nothing_behind
from parts.scales import alone, prepare, serial

__all__ = ["every_number_gets_its_level", "prepare", "reset_in_mid_number_leaves_nothing_behind"]

CONFIGS = [
    {"N": 2, **alone(serial(12, 6, 0, 13, 4, 0, 15))},
    {"N": 1, **alone(serial(9, 7, 0, 15, 8, -128, 127, depth=9))},
    # half even: ties of one remainder, of some, of all
    {"N": 3, **alone(serial(8, 4, 5, 4, 5, -8, 7))},
    {"N": 1, **alone(serial(6, 1, 1, 0, 5, -16, 15, depth=1))},
    {"N": 1, **alone(serial(20, 12, 24, 32, 8, 0, 255, depth=2))},
    {"N": 1, **alone(serial(1, 3, 3, 2, 8, 0, 0, "NO_LOW", "NO_HIGH"))},
]
