"""The simulators, one file each: cocotb test modules run on any, and an emitted network too; Verilator also lints."""

from hwgen.simulators.cocotb import Seconds, check_simulator, run_cocotb
from hwgen.simulators.simulator import simulator_of, simulators
from hwgen.simulators.verilator import lint, verilator_root

SIMULATORS = tuple(simulators())  # as --simulator spells them

__all__ = ["SIMULATORS", "Seconds", "check_simulator", "lint", "run_cocotb", "simulator_of", "verilator_root"]
