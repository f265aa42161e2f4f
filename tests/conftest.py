"""What all tests share."""

import torch

# pytest runs a process a core; more threads than cores only wait for each other
torch.set_num_threads(1)
