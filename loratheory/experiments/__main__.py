"""Renew stored tables: ``python -m loratheory.experiments [NAME...]`` in the repository."""

import sys
from pathlib import Path

from loratheory.experiments import EXPERIMENTS, record

for name in sys.argv[1:] or EXPERIMENTS:
    record(name, Path("paper/results"))
