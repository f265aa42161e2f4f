"""The version of hwgen, as pyproject.toml has it."""

from importlib.metadata import version

VERSION = version("hwgen")
