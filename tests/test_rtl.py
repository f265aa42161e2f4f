"""Every module of rtl/ has a bench, and every bench passes on both simulators."""

import json
from importlib import import_module

import pytest

from hwgen.share import share
from hwgen.simulators import SIMULATORS, run_cocotb

SOURCES = sorted(share("rtl").glob("*.v"))
MODULES = [path.stem for path in SOURCES]
BENCHES = {name: import_module(f"bench_{name}") for name in MODULES if (share("sim") / f"bench_{name}.py").is_file()}


def cases():
    """One case per module, configuration and simulator, named after all three.

    ON_VERILATOR of a bench: only so many of its configurations, the first, run there too: each compiles for long.
    """
    for module, bench in BENCHES.items():
        for number, config in enumerate(bench.CONFIGS):
            few = number >= getattr(bench, "ON_VERILATOR", len(bench.CONFIGS))
            for simulator in ("icarus",) if few else SIMULATORS:
                values = ",".join(f"{name}={str(value)[:24]}" for name, value in config.items()) or "default"
                yield pytest.param(module, config, simulator, id=f"{module}-{values}-{simulator}")


@pytest.mark.parametrize("module", MODULES)
def test_module_has_a_bench(module):
    assert module in BENCHES, f"rtl/{module}.v needs sim/bench_{module}.py"


@pytest.mark.sim
@pytest.mark.parametrize(("module", "config", "simulator"), list(cases()))
def test_bench(module, config, simulator, tmp_path):
    """A bench may hold prepare(folder, config), which writes the files that its ROMs read, and INTERNALS = True."""
    bench = BENCHES[module]
    if hasattr(bench, "prepare"):
        bench.prepare(tmp_path, config)
    run_cocotb(
        simulator=simulator,
        sources=SOURCES,
        toplevel=module,
        module=bench.__name__,
        build_dir=tmp_path / "build",
        parameters=config,
        environment={"BENCH_CONFIG": json.dumps(config)},
        internals=getattr(bench, "INTERNALS", False),
        cwd=tmp_path,
        timeout=600,
    )
