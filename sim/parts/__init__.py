"""What the benches share."""

import json
import os


def config() -> dict:
    """The parameters that this run of a bench was built with: one entry of its CONFIGS."""
    return json.loads(os.environ["BENCH_CONFIG"])
