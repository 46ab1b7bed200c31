"""Plain transformers that read problems, their adapters, and what these solve by every rule.

Bases and adapters are trained once and kept in the cache. The same rules of reuse act here as on
questions about facts: a case is a library of one pair of adapters.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from loratheory.experiments.bench.bases import Bases, Setting, batch, digest, fingerprint, tensor
from loratheory.experiments.bench.library import Acting, Library, Teaching
from loratheory.experiments.bench.rules import Act, rule
from loratheory.experiments.engine import Row
from loratheory.experiments.words._problems import (
    CODE,
    FORMS,
    LENGTH,
    Lesson,
    drawn,
    linked,
    pretraining,
)
from loratheory.experiments.words._settings import Case, Size
from loratheory.shapes import Float
from loratheory.tasks.two_hop import Prompts, sampled, stacked
from loratheory.tasks.word_problems import Problems, stepwise
from loratheory.toy.transformer import (
    ATTENTION,
    MLP,
    Adapt,
    Batch,
    Config,
    Lora,
    Recipe,
    logits,
    lora,
    stored,
    trained_base,
    trained_lora,
)

Accuracies = dict[str, Float[np.ndarray, " E"]]
RULES: Mapping[str, Act] = {
    "base": rule("base"),
    "first alone": rule("hop 1 alone"),
    "second alone": rule("hop 2 alone"),
    "mean": rule("mean"),
    "sum": rule("sum"),
    "ties": rule("ties"),
    "interpolating": rule("interpolating", ridge=0.1),
    "arrow": rule("arrow"),
    "gates": rule("gates"),
    "block gates": rule("block gates, z = 2"),
}
"""Rules of reuse for two adapters, and what one is without the other."""


def base(kind: str, seed: int, size: Size) -> Bases:
    """Return the base of this kind, of `KINDS`, as `pretrained` makes it; the seed draws all."""
    return pretrained(pretraining(kind, seed, size.problems), seed, size)


def pretrained(sets: Sequence[Prompts], seed: int, size: Size) -> Bases:
    """Return the base that learns from these sets in equal shares, from the cache or trained.

    Parameters
    ----------
    sets : sequence of Prompts
        All of one length.
    seed : int
        Draws its first weights and the order of its training.
    size : Size
        Of it.

    Returns
    -------
    Bases
        One model, without worlds, which problems have none of; prompts of random tokens are as
        long as problems. Costs about a minute of one core, once.
    """
    recipe = Recipe(steps=size.steps, rate=size.rate, warmup=min(100, size.steps), decay=0.1)
    config = Config(
        vocabulary=CODE.vocabulary,
        width=size.width,
        depth=size.depth,
        heads=size.heads,
        position="rope",
    )

    def _train() -> dict[str, Tensor]:
        rng = np.random.default_rng([seed, 13])

        def _batch(_: int) -> Batch:
            return batch(stacked([sampled(sets, size.rows, rng=rng)]))

        return trained_base(config, recipe, _batch, [seed])

    parts = {
        "kind": "words",
        "config": config,
        "recipe": recipe,
        "seed": seed,
        "rows": size.rows,
        "data": digest(sets),
    }
    setting = Setting(hops=LENGTH - 1, width=size.width, depth=size.depth, loops=1)
    return Bases(setting, (seed,), (), (), config, stored(parts, _train))


def adapters(bases: Bases, lessons: Sequence[Lesson], size: Size, *, wider: int = 1) -> Lora:
    """Return an adapter of one base for each lesson.

    Parameters
    ----------
    bases : Bases
        One model.
    lessons : sequence of Lesson
        What each is taught.
    size : Size
        Of adapters and of their training.
    wider : int
        Times the rank of an adapter: what learns two lessons may be as large as both.

    Returns
    -------
    Lora
        A replica each, on all linear maps of attention and MLPs; each as if trained alone.
    """
    (seed,) = bases.seeds
    seeds = [
        int(np.random.SeedSequence([seed, 14, k]).generate_state(1)[0]) for k in range(len(lessons))
    ]
    data = [
        lesson.prompts(size.lesson, np.random.default_rng([one, 15]))
        for lesson, one in zip(lessons, seeds, strict=True)
    ]
    rows = batch(stacked(data))
    count = rows.tokens.shape[1]
    start = lora(bases.config, seeds, rank=wider * size.rank, modules=(*ATTENTION, *MLP))
    recipe = Recipe(steps=size.trained, rate=5e-3, schedule="linear")

    def _batch(step: int) -> Batch:
        place = (np.arange(size.shown) + step * size.shown) % count
        return Batch(rows.tokens[:, place], rows.targets[:, place])

    parts = {
        "kind": "words, adapters",
        "base": fingerprint(bases.weights),
        "recipe": recipe,
        "rank": wider * size.rank,
        "shown": size.shown,
        "seeds": seeds,
        "data": digest(data),
    }
    factors = stored(
        parts,
        lambda: trained_lora(bases.config, bases.weights, start, recipe, _batch, seeds).tensors(),
    )
    up, down = ({name: factors[f"{name}.{side}"] for name in start.up} for side in ("up", "down"))
    return Lora(up, down, start.scale)


@dataclass(frozen=True, eq=False)
class Trained:
    """Adapters of one base, a replica each case.

    Attributes
    ----------
    bases : Bases
        One model.
    cases : tuple of Case
        ``E`` of them.
    first, second : Lora
        The adapter of each skill.
    ceilings : mapping of str to Lora
        `composed`, what learned the target, and, where wanted, `joint`, what learned both lessons;
        twice as wide.
    """

    bases: Bases
    cases: tuple[Case, ...]
    first: Lora
    second: Lora
    ceilings: Mapping[str, Lora]

    @property
    def seed(self) -> int:
        """Of the base."""
        return self.bases.seeds[0]

    def acting(self) -> dict[str, Adapt | None]:
        """What each rule adds to the base, for all replicas, then what the ceilings add."""
        count = len(self.cases)
        pair = Library(self.bases, Teaching(sets=count), (), (), ((self.first, self.second),), {})
        return {**{name: Acting(act(pair)) for name, act in RULES.items()}, **self.ceilings}

    def only(self, case: int) -> "Trained":
        """Return one case alone."""
        part = slice(case, case + 1)
        above = {name: adapter.of(part) for name, adapter in self.ceilings.items()}
        one, two = self.first.of(part), self.second.of(part)
        return Trained(self.bases, self.cases[part], one, two, above)

    def targets(self, count: int, *, draw: int = 16) -> list[Problems]:
        """Return so many problems of each case's target; of another draw, others."""
        return [
            drawn([linked(case.pair)], count, np.random.default_rng([self.seed, draw, k]))
            for k, case in enumerate(self.cases)
        ]

    def accuracies(self, asked: Sequence[Problems], adapt: Adapt | None) -> Accuracies:
        """Return the share of each case's problems solved under what is added to the base.

        `stepwise`, the whole solution; `answered`, the answer alone.
        """
        return {
            name: solved(self.bases, padded([form(CODE, one) for one in asked]), adapt)
            for name, (form, _) in FORMS.items()
        }

    def compared(
        self,
        head: Mapping[str, Any],
        measured: Callable[[Adapt | None], Accuracies],
        beside: Callable[[Case], Mapping[str, Any]],
    ) -> list[Row]:
        """Return one row for each rule and case.

        Parameters
        ----------
        head : mapping
            The first columns, alike in all rows.
        measured : callable
            From what a rule adds to the base to numbers, case by case.
        beside : callable
            Columns of a case beside its skills.
        """
        table: list[Row] = []
        for name, adapt in self.acting().items():
            columns = measured(adapt)
            for e, case in enumerate(self.cases):
                numbers = {which: round(float(x[e]), 4) for which, x in columns.items()}
                pair = {"first": case.pair[0], "second": case.pair[1]}
                table.append({**head, "rule": name, **pair, **beside(case), **numbers})
        return table


def trained(
    bases: Bases, cases: Sequence[Case], size: Size, ceilings: Sequence[str] = ("composed",)
) -> Trained:
    """Return the adapters of these cases, from the cache or trained; equal lessons are one.

    Parameters
    ----------
    bases : Bases
        One model.
    cases : sequence of Case
        What is shared, and what is asked.
    size : Size
        Of the adapters.
    ceilings : sequence of str
        Of ``joint`` and ``composed``.
    """

    def _each(lessons: Sequence[Lesson], wider: int) -> Lora:
        different = list(dict.fromkeys(lessons))
        made = adapters(bases, different, size, wider=wider)
        return picked(made, [different.index(lesson) for lesson in lessons])

    skills = _each([case.lessons[k] for k in (0, 1) for case in cases], 1)
    above = _each([getattr(case, name) for name in ceilings for case in cases], 2)
    count = len(cases)

    def _part(adapter: Lora, place: int) -> Lora:
        return adapter.of(slice(place * count, (place + 1) * count))

    parts = {name: _part(above, place) for place, name in enumerate(ceilings)}
    return Trained(bases, tuple(cases), _part(skills, 0), _part(skills, 1), parts)


def picked(adapter: Lora, replicas: Sequence[int]) -> Lora:
    """These replicas of an adapter, in this order, repeated where asked."""
    index = torch.tensor(replicas)
    return adapter.map(lambda x: x[index])


def solved(
    bases: Bases, prompts: Sequence[Prompts], adapt: Adapt | None
) -> Float[np.ndarray, " E"]:
    """Return the share of prompts in which each token due is the likeliest, one set a replica.

    A solution that greedy decoding writes by itself is right as a whole iff each of its tokens is
    the likeliest after the right ones: one pass tells.
    """
    return (share_right(bases, prompts, adapt) == 1).mean(axis=1)


def share_right(
    bases: Bases, prompts: Sequence[Prompts], adapt: Adapt | None
) -> Float[np.ndarray, "E B"]:
    """Return which share of a prompt's tokens is right, one by one after the right ones."""
    rows = stacked(list(prompts))
    with torch.inference_mode():
        likeliest = logits(bases.config, bases.weights, tensor(rows.tokens), adapt).argmax(-1)
    due = rows.targets >= 0
    right = (likeliest.numpy() == rows.targets) & due
    return right.sum(axis=2) / due.sum(axis=2)


def padded(prompts: Sequence[Prompts]) -> list[Prompts]:
    """The prompts at the length of the longest."""
    length = max(one.tokens.shape[-1] for one in prompts)
    return [one.padded(length) for one in prompts]


def solutions(bases: Bases, problems: Problems, adapt: Adapt | None = None) -> list[list[str]]:
    """Return each question, its solution, and what the model writes by itself, in signs.

    What is written is as long as the solution, the likeliest token each time.

    Parameters
    ----------
    bases : Bases
        One model.
    problems : Problems
        Modulo the prime of its tokens. Costs a pass for each token of the longest solution.
    adapt : callable, optional
        What is added to it; of one replica.
    """
    rows = stepwise(CODE, problems)
    tokens, due = rows.tokens.copy(), (rows.targets >= 0).sum(axis=1)
    tokens[np.arange(tokens.shape[1]) > rows.asked[:, None]] = 0
    each = np.arange(len(tokens))
    written = np.full((len(tokens), int(due.max())), -1)
    for step in range(written.shape[1]):
        with torch.inference_mode():
            scores = logits(bases.config, bases.weights, tensor(tokens[None]), adapt)
        place = np.minimum(rows.asked + step, tokens.shape[1] - 1)
        likeliest = scores[0].argmax(-1).numpy()[each, place]
        written[:, step] = np.where(step < due, likeliest, -1)
        after = place + 1 < tokens.shape[1]
        tokens[each[after], place[after] + 1] = np.maximum(written[after, step], 0)
    columns = (rows.tokens, rows.asked.tolist(), rows.targets, written)
    return [
        [CODE.written(row[: end + 1]), CODE.written(target), CODE.written(words)]
        for row, end, target, words in zip(*columns, strict=True)
    ]
