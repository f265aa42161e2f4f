"""Every module of rtl/ has a bench, and every bench passes on both simulators."""

import json
import re
from importlib import import_module
from pathlib import Path

import pytest

from hwgen.share import share
from hwgen.simulators import SIMULATORS, run_cocotb
from hwgen.simulators.simulator import literal
from tests.sources import sources_of

MODULES = sorted(path.stem for path in share("rtl").glob("*.v"))
BENCHES = {name: import_module(f"bench_{name}") for name in MODULES if (share("sim") / f"bench_{name}.py").is_file()}


def with_open_ports(module: str, text: str = "") -> str:
    """A module of the same parameters, MODULE_ports, that holds `module` and has a variable or wire for each port; text
    -- of another module of that name than rtl/ has."""
    source = re.sub("//.*", "", text or (share("rtl") / f"{module}.v").read_text())
    header = re.search(rf"^module {module} (?:#\((.*?)^\) )?\((.*?)^\);", source, re.DOTALL | re.MULTILINE)
    parameters, ports = header[1] or "", header[2]
    ports = re.sub(r"\binput\s+(wire\b)?", "reg ", re.sub(r"\boutput\s+(wire|reg)\b", "wire", ports)).replace(",", ";")
    names = re.findall(r"(\w+)\s*(?:;|\Z)", ports)
    pins = ", ".join(f".{name}({name})" for name in names)
    values = ", ".join(f".{name}({name})" for name in re.findall(r"(\w+)\s*=(?!=)", parameters))
    # cocotb's clocks start high: that is no edge, no more than at time 0
    ports = re.sub(r"\bclk\b", "clk = 1'b1", ports.rstrip())
    head = f"module {module}_ports #({parameters});" if parameters else f"module {module}_ports;"
    return f"{head}\n{ports};\n    {module} {f'#({values}) ' if values else ''}dut ({pins});\nendmodule\n"


def side_by_side(modules: list[str], configs: list[dict], bench, folder: Path) -> str:
    """A top module with an instance for each config, of the module at the same place in `modules`: compiling is what
    takes the time. The files of config N are in folder/N."""
    lines = []
    for number, (module, config) in enumerate(zip(modules, configs, strict=True)):
        own = folder / str(number)
        own.mkdir()
        if hasattr(bench, "prepare"):
            bench.prepare(own, config)
        values = {k: f"../{number}/{v}" if isinstance(v, str) and (own / v).is_file() else v for k, v in config.items()}
        parameters = ", ".join(f".{name}({literal(value)})" for name, value in values.items())
        lines.append(f"    {module} {f'#({parameters}) ' if parameters else ''}config_{number} ();\n")
    return f"module configs;\n{''.join(lines)}endmodule\n"


def bench_environment(bench, configs: list[dict], folder: Path) -> dict[str, str]:
    """What parts/configs.py reads of instances that are side by side."""
    own = [(str(folder / str(number)), config) for number, config in enumerate(configs)]
    return {"BENCH": bench.__name__, "BENCH_CONFIGS": json.dumps(own)}


@pytest.mark.parametrize("module", MODULES)
def test_module_has_a_bench(module):
    assert module in BENCHES, f"rtl/{module}.v needs sim/bench_{module}.py"


@pytest.mark.sim
@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("module", BENCHES)
def test_bench(module, simulator, tmp_path):
    """A bench may hold prepare(folder, config), which writes the files that its ROMs read; ONLY: those of its CONFIGS
    that one simulator has for itself; INTERNALS = True: it looks behind the ports."""
    bench = BENCHES[module]
    others = [config for name, own in getattr(bench, "ONLY", {}).items() if name != simulator for config in own]
    configs = [config for config in bench.CONFIGS if config not in others]
    top = side_by_side([f"{module}_ports"] * len(configs), configs, bench, tmp_path)
    (tmp_path / "configs.v").write_text(with_open_ports(module) + top)
    sources = [*sources_of(module), tmp_path / "configs.v"]
    if simulator == "verilator":
        (tmp_path / "ports.vlt").write_text(f'`verilator_config\npublic_flat_rw -module "{module}_ports" -var "*"\n')
        sources.insert(0, tmp_path / "ports.vlt")
    run_cocotb(
        simulator=simulator,
        sources=sources,
        toplevel="configs",
        module="parts.configs",
        build_dir=tmp_path / "build",
        environment=bench_environment(bench, configs, tmp_path),
        internals=getattr(bench, "INTERNALS", False),
        cwd=tmp_path / "0",
        timeout=600,
    )
