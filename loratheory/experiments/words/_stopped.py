"""What was trained on the task itself, but only until it solves about as much as a merge does."""

from dataclasses import replace

import numpy as np
import torch

from loratheory.experiments.words._bases import adapters
from loratheory.experiments.words._problems import CODE, FORMS
from loratheory.experiments.words._reuse import padded, picked, solved
from loratheory.experiments.words._size import Size
from loratheory.experiments.words._taught import Taught
from loratheory.toy.transformer import Adapt, Lora

STEPS = (6, 9, 12, 15, 18, 21, 24, 30, 40)
"""Of training, of which the one is taken that comes nearest."""


def stopped(here: Taught, like: Adapt | None, size: Size) -> tuple[Lora, tuple[int, ...]]:
    """Return, for each case, an adapter trained on its target for fewer steps, and for how many.

    Parameters
    ----------
    here : Taught
        Its cases.
    like : callable or None
        What is to be matched, such as a merge.
    size : Size
        Of the base and of what was trained on the target for all its steps.

    Returns
    -------
    Lora
        A replica each case. Of `STEPS` that after which the share of problems solved is nearest to
        what `like` solves; of problems drawn for this choice alone.
    tuple of int
        How many steps each had.
    """
    form, lessons = FORMS["stepwise"][0], [case.composed for case in here.cases]
    different = list(dict.fromkeys(lessons))
    others = padded([form(CODE, one) for one in here.asked(size.asked, draw=21)])
    aim = solved(here.known, others, like)
    each = []
    for steps in STEPS:
        one = adapters(here.known, different, replace(size, taught=steps), wider=2)
        each.append(picked(one, [different.index(lesson) for lesson in lessons]))
    off = np.abs([solved(here.known, others, one) - aim for one in each])
    best: list[int] = off.argmin(axis=0).tolist()

    def _whole(side: str) -> dict[str, torch.Tensor]:
        return {n: torch.cat([getattr(one, side)[n] for one in each]) for n in each[0].up}

    whole = Lora(_whole("up"), _whole("down"), each[0].scale)
    found = picked(whole, [k * len(lessons) + e for e, k in enumerate(best)])
    return found, tuple(STEPS[k] for k in best)
