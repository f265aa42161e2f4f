"""What flipped bits do to a network: single-event upsets in the running RTL, drawn at random."""

from hwgen.faults.campaign import Campaign, faults
from hwgen.faults.sites import KINDS

__all__ = ["KINDS", "Campaign", "faults"]
