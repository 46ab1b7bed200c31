"""Bases and adapters for word problems that train in no time and know nothing."""

import torch

from paper.studies._shared.problems import Size

torch.set_num_threads(1)  # products this small are slower on two
TINY = Size(width=16, heads=2, steps=2, trained=2, problems=30, lesson=48, asked=8)
