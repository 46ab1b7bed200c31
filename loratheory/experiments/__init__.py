"""Studies: each a declaration of what is asked, foreseen and run; their tables and provenance."""

from loratheory.experiments._index import NAMES as NAMES
from loratheory.experiments._index import experiment as experiment
from loratheory.experiments.bench import Small as Small
from loratheory.experiments.engine import Experiment as Experiment
from loratheory.experiments.engine import ExperimentError as ExperimentError
from loratheory.experiments.engine import Plan as Plan
from loratheory.experiments.engine import Replay as Replay
from loratheory.experiments.engine import Row as Row
from loratheory.experiments.engine import SweepError as SweepError
from loratheory.experiments.engine import TableError as TableError
from loratheory.experiments.engine import cluster as cluster
from loratheory.experiments.engine import csv_text as csv_text
from loratheory.experiments.engine import finding as finding
from loratheory.experiments.engine import home as home
from loratheory.experiments.engine import planned as planned
from loratheory.experiments.engine import prepared as prepared
from loratheory.experiments.engine import processes as processes
from loratheory.experiments.engine import published as published
from loratheory.experiments.engine import replayed as replayed
from loratheory.experiments.engine import stored_cells as stored_cells
from loratheory.experiments.engine import study as study
from loratheory.experiments.engine import swept as swept
from loratheory.experiments.engine import table as table
