"""The experiments by name."""

import difflib
from importlib import import_module

from loratheory.experiments.engine import Experiment, ExperimentError

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
    "edit_strength",
    "interference",
    "placement",
    "familiarity",
    "routers",
    "capacity",
    "depth",
    "plain_transformer",
    "gating",
    "joint_and_bridge",
    "template_overlap",
    "skill_composition",
    "skill_coverage",
    "shallow_matching",
    "failing_step",
    "label_free_prediction",
    "real_two_hop",
    "real_pairs",
    "real_libraries",
    "real_words",
)
"""The package's experiments, each a module of that name with an ``EXPERIMENT``."""


def experiment(name: str) -> Experiment:
    """Return the experiment of that name, whose module is imported by this.

    One of `NAMES`, hyphens welcome, or ``module:attribute`` for an experiment of your own.
    ExperimentError if there is none; the message names the nearest.
    """
    place, colon, attribute = name.partition(":")
    if colon:
        return _elsewhere(name, place, attribute)
    known = name.replace("-", "_")
    if known not in NAMES:
        near = difflib.get_close_matches(known, NAMES, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else f"choose {', '.join(NAMES)} or all"
        message = f"there is no experiment {name!r}; {hint}"
        raise ExperimentError(message)
    found: Experiment = import_module(f"loratheory.experiments.{known}").EXPERIMENT
    return found


def _elsewhere(name: str, place: str, attribute: str) -> Experiment:
    try:
        found = getattr(import_module(place), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        message = f"there is no experiment {name}: {error}; write importable.module:ATTRIBUTE"
        raise ExperimentError(message) from None
    if not isinstance(found, Experiment):
        message = f"{name} is a {type(found).__name__}: name a loratheory.experiments.Experiment"
        raise ExperimentError(message)
    return found
