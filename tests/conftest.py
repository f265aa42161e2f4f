"""What all tests share."""

import os
import tempfile

import torch

# pytest runs a process a core; more threads than cores only wait for each other
torch.set_num_threads(1)

# counts of synthesis are kept, but not among the user's
_cache = tempfile.TemporaryDirectory()
os.environ["HWGEN_CACHE"] = _cache.name
