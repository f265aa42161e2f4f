"""Icarus Verilog: starts at once and runs slowly."""

import subprocess
from typing import ClassVar

from hwgen.simulators.simulator import Simulator


class Icarus(Simulator):
    name = "icarus"
    programs: ClassVar = {"iverilog": "iverilog", "vvp": "iverilog"}

    def environment(self, environ, build_dir):
        # the runner asks for FST, whatever the name of the file; what comes last counts
        return environ | {"SIM_CMD_SUFFIX": "-vcd"}

    def version(self):
        return subprocess.run(["iverilog", "-V"], capture_output=True, text=True, check=False).stdout.partition("\n")[0]

    def prepare(self, sources, toplevel, build_dir, environ, public):
        return {"sources": sources, "build_args": ["-Wall", "-Wno-timescale"]}

    def run_arguments(self, waves):
        return {"test_args": [], "plusargs": [f"+dumpfile_path={waves}"] if waves else []}


SIMULATOR = Icarus()
