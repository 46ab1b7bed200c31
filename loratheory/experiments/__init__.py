"""Sweeps: frozen configs in, a table and its provenance out, whatever is killed on the way."""

from loratheory.experiments._executors import cluster as cluster
from loratheory.experiments._executors import processes as processes
from loratheory.experiments._experiment import Experiment as Experiment
from loratheory.experiments._experiment import ExperimentError as ExperimentError
from loratheory.experiments._experiment import Row as Row
from loratheory.experiments._index import NAMES as NAMES
from loratheory.experiments._index import experiment as experiment
from loratheory.experiments._plan import Plan as Plan
from loratheory.experiments._published import home as home
from loratheory.experiments._published import published as published
from loratheory.experiments._replay import Replay as Replay
from loratheory.experiments._replay import replayed as replayed
from loratheory.experiments._small import Small as Small
from loratheory.experiments._store import planned as planned
from loratheory.experiments._store import prepared as prepared
from loratheory.experiments._store import stored_cells as stored_cells
from loratheory.experiments._sweep import SweepError as SweepError
from loratheory.experiments._sweep import swept as swept
from loratheory.experiments._table import TableError as TableError
from loratheory.experiments._table import csv_text as csv_text
from loratheory.experiments._table import table as table
