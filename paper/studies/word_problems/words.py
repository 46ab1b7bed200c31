"""Train standard transformers on word problems and adapters on them, and evaluate methods.

Models and adapters are trained once and kept in the cache. The methods are those of `library`,
applied to one pair of adapters per case.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from loratheory.shapes import Bool
from loratheory.tasks.prompts import Prompts, stacked
from loratheory.tasks.word_problems import Problems
from loratheory.toy import transformer as toy
from paper.studies._shared.library import Accuracies, Library, rule
from paper.studies._shared.models import Models, batch, batches, digest, fingerprint, fitted
from paper.studies._shared.run import Row
from paper.studies.word_problems import problems

RULES = {
    "base": rule("base"),
    "first alone": rule("hop 1 alone"),
    "second alone": rule("hop 2 alone"),
    **{name: rule(name) for name in ("mean", "sum", "ties")},
    "interpolating": rule("interpolating", ridge=0.1),
    "arrow": rule("arrow"),
    "per-matrix gating": rule("per-matrix gating"),
    "per-block gating": rule("per-block gating, z = 2"),
}
"""The methods to compare; the first three are controls that lack an adapter."""


def pretrained(sets: Sequence[Prompts], seed: int, size: problems.Size) -> Models:
    """Return one base trained on equal shares of these sets, from the cache or trained.

    The seed draws the initial weights and the order of training. The cost is about a minute of one
    core, once.
    """
    recipe = toy.Recipe(steps=size.steps, rate=size.rate, warmup=min(100, size.steps), decay=0.1)
    width, depth = size.width, size.depth
    config = toy.Config(
        vocabulary=problems.CODE.vocabulary,
        width=width,
        heads=size.heads,
        depth=depth,
        position="rope",
    )
    parts = {"kind": "words", "config": config, "recipe": recipe, "seed": seed}
    parts |= {"rows": size.rows, "data": digest(sets)}
    drawn_rows = batches(sets, size.rows, [seed, 13])
    weights = toy.stored(parts, lambda: toy.trained_base(config, recipe, drawn_rows, [seed]))
    return Models((seed,), config, weights, problems.LENGTH)


def adapters(
    bases: Models, sets: Sequence[problems.TrainingSet], size: problems.Size, *, wider: int = 1
) -> toy.Lora:
    """Train an adapter for each training set, independently, on a replica of the base each.

    They adapt all linear maps of attention and MLPs. Their rank is `wider` times the rank of
    `size`, so that an adapter of two training sets can be as large as two adapters.
    """
    (seed,) = bases.seeds
    seeds, data = [], []
    for number, training_set in enumerate(sets):
        mine = int(np.random.SeedSequence([seed, 14, number]).generate_state(1)[0])
        seeds.append(mine)
        data.append(training_set.prompts(size.lesson, np.random.default_rng([mine, 15])))
    rows, rank = batch(stacked(data)), wider * size.rank
    start = toy.lora(bases.config, seeds, rank=rank, modules=(*toy.ATTENTION, *toy.MLP))
    recipe = toy.Recipe(steps=size.trained, rate=5e-3, schedule="linear")

    def _batch(step: int) -> toy.Batch:
        places = (np.arange(size.shown) + step * size.shown) % rows.tokens.shape[1]
        return toy.Batch(rows.tokens[:, places], rows.targets[:, places])

    parts: dict[str, Any] = {"kind": "words, adapters", "base": fingerprint(bases.weights)}
    parts |= {"recipe": recipe, "rank": rank, "shown": size.shown, "seeds": seeds}
    parts["data"] = digest(data)
    return fitted(parts, bases.config, bases.weights, start, recipe, _batch, seeds)


@dataclass(frozen=True, eq=False)
class Trained:
    """Adapters for the `first` and `second` skill of ``E`` cases, each case a replica of one base.

    The `ceilings` are single adapters of twice the rank, to compare with: `composed` is trained on
    the target itself and `joint`, if it is given, on both training sets.
    """

    bases: Models
    cases: tuple[problems.Case, ...]
    first: toy.Lora
    second: toy.Lora
    ceilings: Mapping[str, toy.Lora]

    @property
    def seed(self) -> int:
        """Seed of the base."""
        return self.bases.seeds[0]

    def activate(self) -> dict[str, toy.Adapt | None]:
        """Return the active adapters of each rule, then of each ceiling, by name."""
        pair = Library(self.bases, len(self.cases), ((self.first, self.second),))
        return {**{name: method(pair) for name, method in RULES.items()}, **self.ceilings}

    def targets(self, count: int) -> list[Problems]:
        """Return `count` problems of each case's target."""
        found = []
        for k, case in enumerate(self.cases):
            rng = np.random.default_rng([self.seed, 16, k])
            found.append(problems.drawn([case.pair], count, rng))
        return found

    def right(
        self, targets: Sequence[Problems], adapt: toy.Adapt | None, form: str = "stepwise"
    ) -> Bool[np.ndarray, "E B"]:
        """Return the mask of problems, one set per replica, that `adapt` on the base solves.

        A problem in one of `FORMS` counts as solved if its whole solution is right. One pass is
        enough: greedy decoding writes the right solution if and only if each of its tokens is the
        most likely token after the previous right tokens.
        """
        rows = stacked(
            problems.padded([problems.FORMS[form][0](problems.CODE, one) for one in targets])
        )
        best = likeliest(self.bases, rows.tokens, adapt)
        return ((best == rows.targets) | (rows.targets < 0)).all(axis=2)

    def rows(
        self, head: Row, columns: Accuracies, more_columns: Callable[[problems.Case], Row]
    ) -> list[Row]:
        """Return a row per case: `head`, ``more_columns(case)`` and the rounded `columns`."""
        table = []
        for e, case in enumerate(self.cases):
            numbers = {name: round(float(x[e]), 4) for name, x in columns.items()}
            table.append({**head, **more_columns(case), **numbers})
        return table


def trained(
    sets: Sequence[Prompts],
    config: problems.Skilled,
    cases: Sequence[problems.Case],
    ceilings: Sequence[str] = ("composed",),
) -> Trained:
    """Train the base, the adapters and the ceilings; equal training sets are trained only once."""
    bases, size = pretrained(sets, config.seed, config.size), config.size

    def _train(wanted: Sequence[problems.TrainingSet], wider: int = 1) -> toy.Lora:
        """Return an adapter for each training set, one replica for each."""
        # Cases share training sets, and each set is trained once.
        different = list(dict.fromkeys(wanted))
        adapters_of_sets = adapters(bases, different, size, wider=wider)
        return adapters_of_sets.of(torch.tensor(list(map(different.index, wanted))))

    training_sets = [case.training_sets for case in cases]
    # The training sets of both skills are trained together, because many cases share them.
    both = _train([first for first, _ in training_sets] + [second for _, second in training_sets])
    first, second = both.of(slice(0, len(cases))), both.of(slice(len(cases), None))
    wanted = [getattr(case, name) for name in ceilings for case in cases]
    above, parts = _train(wanted, 2), dict[str, toy.Lora]()
    for k, name in enumerate(ceilings):
        parts[name] = above.of(slice(k * len(cases), (k + 1) * len(cases)))
    return Trained(bases, tuple(cases), first, second, parts)


def likeliest(bases: Models, tokens: np.ndarray, adapt: toy.Adapt | None) -> np.ndarray:
    """Return the most likely token after each token, with `adapt` on the base."""
    with torch.inference_mode():
        scores = toy.logits(bases.config, bases.weights, torch.tensor(tokens), adapt)
    return np.asarray(scores.argmax(-1))
