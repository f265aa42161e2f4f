"""`hwgen deploy`: from a build to a folder that holds all that a board needs."""

from hwgen.deploy.kit import deploy, is_kit, read_kit
from hwgen.deploy.reports import report_kit

__all__ = ["deploy", "is_kit", "read_kit", "report_kit"]
