"""Spiking neurons in integers: leaky integrate-and-fire, the integrator without spikes, and the borders of time.

A time step is a frame: `steps` frames that follow each other in the batch are one sample. Each module is one custom
operator (`hwgen::lif`, `hwgen::li`, `hwgen::recurrent_lif`, `hwgen::steps_in`, `hwgen::steps_out`), so that it stays
one node through `torch.export`. `integrate` is the definition of the neurons, which the golden model computes on
integers too.
"""

from hwgen.nn_spiking.neurons import LI, LIF
from hwgen.nn_spiking.recurrent import RecurrentLIF
from hwgen.nn_spiking.steps import StepsIn, StepsOut

__all__ = ["LI", "LIF", "RecurrentLIF", "StepsIn", "StepsOut"]
