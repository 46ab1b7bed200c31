"""Studies: each module declares a question, a prediction and the runs that test it.

`experiment` finds a study by name; `planned`, `prepared` and `swept` run it into a table with its
provenance; `published` and `table` read the project's own tables.
"""

import difflib
from importlib import import_module

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

NAMES = (
    "merge_floor",
    "two_read_region",
    "window",
    "expressive_power",
    "construction_digits",
    "training_gap",
    "two_hop_coverage",
    "merge_coefficient",
    "number_of_hops",
    "number_of_stand_ins",
    "edit_strength",
    "interference",
    "placement",
    "familiarity",
    "routers",
    "capacity",
    "depth",
    "plain_transformer",
    "untied_transformer",
    "gating",
    "joint_and_bridge",
    "template_overlap",
    "skill_coverage",
    "shallow_matching",
    "skill_stand_ins",
    "failing_step",
    "label_free_prediction",
    "real_two_hop",
    "real_pairs",
    "real_crossings",
    "real_three_hops",
    "real_libraries",
    "real_portable",
    "real_stand_ins",
    "real_order",
    "real_placement",
    "real_top_layers",
    "real_rehearsal",
    "real_window",
    "real_library",
)
"""Names of the package's studies; each is a module of this name that defines ``EXPERIMENT``."""


def experiment(name: str) -> Experiment:
    """Import the module of an experiment and return the experiment.

    The name is one of `NAMES`, with hyphens or underscores, or ``module:attribute`` for an
    experiment of your own. Raises `ExperimentError` if there is none, with similar names.

    Examples
    --------
    >>> experiment("window").paragraph("Question")
    'At which merge coefficient is each fact recalled, and at which their composition?'
    """
    module, colon, attribute = name.partition(":")
    if colon:
        return _elsewhere(name, module, attribute)
    module = name.replace("-", "_")
    if module not in NAMES:
        near = difflib.get_close_matches(module, NAMES, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else f"choose {', '.join(NAMES)} or all"
        message = f"there is no experiment {name!r}; {hint}"
        raise ExperimentError(message)
    return import_module(f"{__name__}.{module}").EXPERIMENT


def _elsewhere(name: str, module: str, attribute: str) -> Experiment:
    try:
        own = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        message = f"there is no experiment {name}: {error}; write importable.module:ATTRIBUTE"
        raise ExperimentError(message) from None
    if not isinstance(own, Experiment):
        message = f"{name} is a {type(own).__name__}: name a loratheory.experiments.Experiment"
        raise ExperimentError(message)
    return own
