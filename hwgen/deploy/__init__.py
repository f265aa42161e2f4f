"""`hwgen deploy`: from a build to a folder that holds all that a board needs."""

from hwgen.deploy.kit import deploy

__all__ = ["deploy"]
