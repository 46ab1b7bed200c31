"""Measure and predict the accuracies of a merge as a function of its coefficient."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from loratheory.shapes import Bool, Shaped
from loratheory.toy.transformer import Adapt
from paper.studies._shared.answers import accuracies, accuracy, answer_margins
from paper.studies._shared.library import add
from paper.studies._shared.run import Row
from paper.studies._shared.theory import Placing, margins, own_loop, pattern
from paper.studies._shared.training import EditLibrary

Found = dict[str, Shaped[np.ndarray, " E *n"]]
"""Accuracies of each replica, or right answers of its questions."""


def switched(library: EditLibrary, grid: Sequence[float]) -> dict[float, Found]:
    """Return the accuracies on the first pair under each coefficient in `grid`, and predictions.

    The measured columns are those of `accuracies` and: ``oracle_placement``, two-hop questions with
    each adapter active only in the loop of its hop, so that it cannot disturb another hop;
    ``two_step``, two-step prompting; ``facts``, all single facts; and ``held_out``, the base on
    unedited questions.

    Each prediction has a column ``…_right``, the share of questions that it predicts correctly. For
    ``two_hop``, ``predicted`` uses the margins of single facts, and ``curved`` the margins of facts
    within questions at the same coefficient. For ``oracle_placement`` there are ``oracle_curved``
    and ``oracle_decided``, which assumes that bridges are decided between reads. For ``two_step``
    there is ``each_hop``, and for ``facts`` there is ``predicted_facts``. In one pass, questions
    whose bridges the base does not read are predicted to fail. The cost is about twenty passes per
    coefficient.
    """
    bases, trials, each = library.bases, library.trials[0], library.adapters
    prompts = library.questions()
    alone, inside = margins(library), margins(library, inside=True)
    own, kind = margins(library, inside=True, where=own_loop), pattern(library)
    bridged = inside.held[1:].all(axis=0)
    held_out = accuracy(bases, [one.other_questions for one in trials])
    apart = [own_loop(x, hop) for hop, x in enumerate(each)]

    def _right(adapt: Adapt, passes: str = "") -> Bool[np.ndarray, "E n"]:
        return answer_margins(bases, prompts, adapt, passes) > 0

    def _curved(c: float, place: Placing) -> Bool[np.ndarray, "E n"]:
        at = margins(library, inside=True, where=lambda x, hop: add([place(x, hop)], [c]))
        return at.composes(1.0, kind) & bridged

    table = {}
    for c in grid:
        merged = add(each, [c] * len(each))
        single = [answer_margins(bases, library.facts(hop), merged) for hop in range(len(each))]
        right, facts = _right(merged), _by_replica(np.stack(single) > 0)
        truth, in_turn = (_right(add(apart, [c] * len(each))), _right(merged, "two-step prompting"))
        found: Found = accuracies(library, [merged] * len(library.trials))
        found |= {"oracle_placement": truth, "two_step": in_turn, "facts": facts}
        guesses = {
            "predicted": (alone.composes(c, kind) & bridged, right),
            "curved": (_curved(c, lambda x, _: x), right),
            "oracle_curved": (_curved(c, own_loop), truth),
            "oracle_decided": (own.decided(c) & bridged, truth),
            "each_hop": (alone.decided(c), in_turn),
            "predicted_facts": (_by_replica(alone.survives(c)), facts),
        }
        found |= {name: guess for name, (guess, _) in guesses.items()}
        found |= {f"{name}_right": guess == fact for name, (guess, fact) in guesses.items()}
        found["held_out"] = held_out
        table[round(c, 9)] = found
    return table


def _by_replica(found: Shaped[np.ndarray, "hops E n"]) -> Shaped[np.ndarray, "E hops_n"]:
    """Reshape an array so that all facts of a replica are in one row."""
    return np.moveaxis(found, 0, 1).reshape(found.shape[1], -1)


def by_coefficient(
    library: EditLibrary, grid: Sequence[float], head: Mapping[str, Any], names: Mapping[str, str]
) -> list[Row]:
    """Return a row per coefficient and base: means of `switched` over its sets, to three decimals.

    `names` maps columns to their names in the table; a column with an empty name is left out.
    """
    seeds, rows = library.bases.seeds, list[Row]()
    for c, columns in switched(library, grid).items():
        table = pd.DataFrame({"seed": seeds, "coefficient": c})
        for name, x in columns.items():
            table[names.get(name, name)] = x.reshape(len(seeds), -1).mean(axis=1).round(3) + 0.0
        kept = table.drop(columns="", errors="ignore")
        rows += [{**head, **row} for row in kept.to_dict("records")]
    return rows
