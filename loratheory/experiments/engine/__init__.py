"""Sweeps: frozen configs in, a table and its provenance out, whatever is killed on the way."""

from loratheory.experiments.engine._executors import cluster as cluster
from loratheory.experiments.engine._executors import processes as processes
from loratheory.experiments.engine._experiment import Experiment as Experiment
from loratheory.experiments.engine._experiment import ExperimentError as ExperimentError
from loratheory.experiments.engine._experiment import Plan as Plan
from loratheory.experiments.engine._experiment import Row as Row
from loratheory.experiments.engine._experiment import plain as plain
from loratheory.experiments.engine._folder import planned as planned
from loratheory.experiments.engine._folder import prepared as prepared
from loratheory.experiments.engine._folder import stored_cells as stored_cells
from loratheory.experiments.engine._folder import stored_provenance as stored_provenance
from loratheory.experiments.engine._intervals import bootstrap_mean as bootstrap_mean
from loratheory.experiments.engine._intervals import wilson as wilson
from loratheory.experiments.engine._replay import Replay as Replay
from loratheory.experiments.engine._replay import replayed as replayed
from loratheory.experiments.engine._sweep import SweepError as SweepError
from loratheory.experiments.engine._sweep import swept as swept
from loratheory.experiments.engine._table import TableError as TableError
from loratheory.experiments.engine._table import csv_text as csv_text
from loratheory.experiments.engine._table import home as home
from loratheory.experiments.engine._table import published as published
from loratheory.experiments.engine._table import table as table
from loratheory.experiments.engine._table import unpacked as unpacked
