"""A cocotb test module that runs a bench on each of its configurations, which are side by side in one simulation.

BENCH names the bench, BENCH_CONFIGS lists [folder, config] in JSON; instance config_N of the top module is built with
the parameters of the Nth. Each test sees its own instance as `dut`, its own config, and that folder as the working
directory. With BENCH_ONE_FAILURE an instance that failed a test is not tested further.
"""

import json
import os
import sys
from copy import copy
from importlib import import_module

from cocotb.regression import Test, TestGenerator

_failed: set[int] = set()  # instances that are being tested, or that did not get through it


class _Instance:
    """One instance as a bench sees it: its ports, and behind them, by any other name, the signals of the module."""

    def __init__(self, ports):
        self._ports = ports

    def __dir__(self):
        return dir(self._ports)

    def __getattr__(self, name):
        found = getattr(self._ports if hasattr(self._ports, name) else self._ports.dut, name)
        self.__dict__[name] = found  # the next time it is there at once
        return found


def _on(number: int, folder: str, config: str, test: Test) -> Test:
    """The same test, on one of the instances."""
    body = test.func

    async def run(dut, *args, **kwargs):
        if number in _failed and os.environ.get("BENCH_ONE_FAILURE"):
            return
        os.environ["BENCH_CONFIG"] = config
        os.chdir(folder)
        _failed.add(number)
        await body(_Instance(getattr(dut, f"config_{number}")), *args, **kwargs)
        _failed.discard(number)

    test = copy(test)
    test.func, test.name = run, f"{test.name} on config_{number} {config}"
    return test


def _tests(number: int, folder: str, config: str) -> list[Test]:
    # a bench may look at its config while it is imported: each has a module of its own
    os.environ["BENCH_CONFIG"] = config
    sys.modules.pop(os.environ["BENCH"], None)
    tests = []
    for found in vars(import_module(os.environ["BENCH"])).values():
        if isinstance(found, TestGenerator):
            tests += found.generate_tests()
        elif isinstance(found, Test):
            tests.append(found)
    return [_on(number, folder, config, test) for test in tests]


def _all() -> dict[str, Test]:
    cases = enumerate(json.loads(os.environ["BENCH_CONFIGS"]))
    tests = [_tests(number, folder, json.dumps(config)) for number, (folder, config) in cases]
    return {test.name: test for some in tests for test in some}


globals().update(_all())  # cocotb runs every Test among a module's names
