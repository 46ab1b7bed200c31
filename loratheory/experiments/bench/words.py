"""Plain transformers that read word problems, their adapters, and what these solve by every rule.

Bases and adapters are trained once and kept in the cache. The rules of reuse are those of questions
about facts: a case is a library of one pair of adapters. `proxies` says without a label how two
adapters compose: likeness of weights, answers, behaviour.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from loratheory.adapters import Adapter, read_likeness, response_likeness, write_likeness
from loratheory.experiments.bench.bases import (
    Bases,
    Setting,
    batch,
    batches,
    digest,
    fingerprint,
    tensor,
)
from loratheory.experiments.bench.library import Acting, Library, Teaching
from loratheory.experiments.bench.problems import (
    CODE,
    FORMS,
    LENGTH,
    Case,
    Lesson,
    Size,
    drawn,
    linked,
    pretraining,
)
from loratheory.experiments.bench.rules import Act, rule
from loratheory.experiments.bench.training import fitted
from loratheory.experiments.engine import Row
from loratheory.shapes import Bool, Float
from loratheory.tasks.two_hop import Prompts, stacked
from loratheory.tasks.word_problems import Problems, shape_share, stepwise, template_overlap
from loratheory.toy.transformer import (
    ATTENTION,
    MLP,
    Adapt,
    Batch,
    Config,
    Lora,
    Recipe,
    Site,
    adapters_of,
    logits,
    lora,
    stored,
    trained_base,
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
    """Return the base of this kind, of `problems.KINDS`, as `pretrained` makes it."""
    return pretrained(pretraining(kind, seed, size.problems), seed, size)


def pretrained(sets: Sequence[Prompts], seed: int, size: Size) -> Bases:
    """Return the base that learns from these sets in equal shares, from the cache or trained.

    One model, without worlds, which problems have none of. The seed draws its first weights and the
    order of its training. Costs about a minute of one core, once.
    """
    recipe = Recipe(steps=size.steps, rate=size.rate, warmup=min(100, size.steps), decay=0.1)
    config = Config(
        vocabulary=CODE.vocabulary,
        width=size.width,
        depth=size.depth,
        heads=size.heads,
        position="rope",
    )

    def _train() -> dict[str, torch.Tensor]:
        return trained_base(config, recipe, batches(sets, size.rows, [seed, 13]), [seed])

    parts = {"kind": "words", "config": config, "recipe": recipe, "seed": seed}
    parts |= {"rows": size.rows, "data": digest(sets)}
    # prompts of random tokens, which gates calibrate on, are as long as problems
    setting = Setting(hops=LENGTH - 1, width=size.width, depth=size.depth, loops=1)
    return Bases(setting, (seed,), (), (), config, stored(parts, _train))


def adapters(bases: Bases, lessons: Sequence[Lesson], size: Size, *, wider: int = 1) -> Lora:
    """Return an adapter of one base for each lesson, a replica each, as if trained alone.

    On all linear maps of attention and MLPs, `wider` times of the rank of `size`: what learns two
    lessons may be as large as both.
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
    start = lora(bases.config, seeds, rank=wider * size.rank, modules=(*ATTENTION, *MLP))
    recipe = Recipe(steps=size.trained, rate=5e-3, schedule="linear")

    def _batch(step: int) -> Batch:
        place = (np.arange(size.shown) + step * size.shown) % rows.tokens.shape[1]
        return Batch(rows.tokens[:, place], rows.targets[:, place])

    parts = {"kind": "words, adapters", "base": fingerprint(bases.weights), "recipe": recipe}
    parts |= {"rank": wider * size.rank, "shown": size.shown, "seeds": seeds, "data": digest(data)}
    return fitted(parts, bases.config, bases.weights, start, recipe, _batch, seeds)


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
        """Return what each rule adds to the base, for all replicas, then what the ceilings add."""
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

    def right(self, asked: Sequence[Problems], adapt: Adapt | None) -> Bool[np.ndarray, "E B"]:
        """Return which problems are solved step by step under what is added to the base."""
        form = FORMS["stepwise"][0]
        return share_right(self.bases, padded([form(CODE, one) for one in asked]), adapt) == 1

    def accuracies(self, asked: Sequence[Problems], adapt: Adapt | None) -> Accuracies:
        """Return the share of problems solved: `stepwise` as a whole, `answered` at once."""
        return {
            name: solved(self.bases, padded([form(CODE, one) for one in asked]), adapt)
            for name, (form, _) in FORMS.items()
        }

    def rows(self, head: Row, columns: Accuracies, beside: Callable[[Case], Row]) -> list[Row]:
        """Return a row a case: `head`, its skills, what is `beside` them, the rounded columns."""
        return [
            {
                **head,
                "first": case.pair[0],
                "second": case.pair[1],
                **beside(case),
                **{name: round(float(x[e]), 4) for name, x in columns.items()},
            }
            for e, case in enumerate(self.cases)
        ]

    def compared(
        self,
        head: Row,
        measured: Callable[[Adapt | None], Accuracies],
        beside: Callable[[Case], Row],
    ) -> list[Row]:
        """Return the rows of every rule and ceiling, with what is `measured` as each acts."""
        return [
            row
            for name, adapt in self.acting().items()
            for row in self.rows({**head, "rule": name}, measured(adapt), beside)
        ]


def trained(
    bases: Bases, cases: Sequence[Case], size: Size, ceilings: Sequence[str] = ("composed",)
) -> Trained:
    """Return the adapters of these cases and their ceilings; equal lessons are trained once."""

    def _each(lessons: Sequence[Lesson], wider: int) -> Lora:
        different = list(dict.fromkeys(lessons))
        index = torch.tensor([different.index(lesson) for lesson in lessons])
        return adapters(bases, different, size, wider=wider).map(lambda x: x[index])

    count = len(cases)
    skills = _each([case.lessons[k] for k in (0, 1) for case in cases], 1)
    above = _each([getattr(case, name) for name in ceilings for case in cases], 2)
    parts = [slice(k * count, (k + 1) * count) for k in range(max(2, len(ceilings)))]
    tops = {name: above.of(part) for name, part in zip(ceilings, parts, strict=False)}
    return Trained(bases, tuple(cases), skills.of(parts[0]), skills.of(parts[1]), tops)


def padded(prompts: Sequence[Prompts]) -> list[Prompts]:
    """Return the prompts at the length of the longest."""
    length = max(one.tokens.shape[-1] for one in prompts)
    return [one.padded(length) for one in prompts]


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
    due = rows.targets >= 0
    right = (_likeliest(bases, rows.tokens, adapt) == rows.targets) & due
    return right.sum(axis=2) / due.sum(axis=2)


def _likeliest(bases: Bases, tokens: np.ndarray, adapt: Adapt | None) -> np.ndarray:
    with torch.inference_mode():
        scores = logits(bases.config, bases.weights, tensor(tokens), adapt)
    likeliest: np.ndarray = scores.argmax(-1).numpy()
    return likeliest


def solutions(bases: Bases, problems: Problems, adapt: Adapt | None = None) -> list[list[str]]:
    """Return each question, its solution, and what the model writes by itself, in signs.

    What one model writes under the adapters of one replica is as long as the solution, the
    likeliest token each time. Costs a pass for each token of the longest solution.
    """
    rows = stepwise(CODE, problems)
    tokens, due = rows.tokens.copy(), (rows.targets >= 0).sum(axis=1)
    tokens[np.arange(tokens.shape[1]) > rows.asked[:, None]] = 0
    each = np.arange(len(tokens))
    written = np.full((len(tokens), int(due.max())), -1)
    for step in range(written.shape[1]):
        place = np.minimum(rows.asked + step, tokens.shape[1] - 1)
        likeliest = _likeliest(bases, tokens[None], adapt)[0, each, place]
        written[:, step] = np.where(step < due, likeliest, -1)
        after = place + 1 < tokens.shape[1]
        tokens[each[after], place[after] + 1] = np.maximum(written[after, step], 0)
    columns = (rows.tokens, rows.asked.tolist(), rows.targets, written)
    return [
        [CODE.written(row[: end + 1]), CODE.written(target), CODE.written(words)]
        for row, end, target, words in zip(*columns, strict=True)
    ]


PROXIES = ("overlap", "shape", "read", "write", "response", "agreement")
"""The first two need the solutions; two the adapters; two also the base and prompts."""


def proxies(models: Trained, asked: list[Problems]) -> dict[str, Float[np.ndarray, " E"]]:
    """Return what predicts reuse, case by case, from prompts of the target without their answers.

    `overlap` of the training solutions, and the `shape` share of them that the target needs, the
    smaller of both adapters; `read` and `write` likeness of weights, means over modules weighted by
    the energies; `response` likeness on the base's activations on the prompts, likewise;
    `agreement`, how often both adapters give the same next token where the question ends.
    """
    form = FORMS["stepwise"][0]
    prompts = stacked(padded([form(CODE, one) for one in asked]))
    both = zip(adapters_of(models.first), adapters_of(models.second), strict=True)
    inputs = _activations(models, prompts)
    table: dict[str, list[float]] = {name: [] for name in PROXIES[:-1]}
    for e, (case, (one, two)) in enumerate(zip(models.cases, both, strict=True)):
        rng = np.random.default_rng([models.seed, 17])
        sets = [lesson.drawn(192, rng).templates for lesson in case.lessons]
        table["overlap"].append(template_overlap(*sets))
        table["shape"].append(min(shape_share(each, asked[e].templates) for each in sets))
        for name, value in _likeness(one, two, {n: x[e] for n, x in inputs.items()}).items():
            table[name].append(value)
    first, second = (
        np.take_along_axis(
            _likeliest(models.bases, prompts.tokens, adapter), prompts.asked[..., None], axis=-1
        )
        for adapter in (models.first, models.second)
    )
    table["agreement"] = np.mean(first == second, axis=(1, 2)).tolist()
    return {name: np.array(column) for name, column in table.items()}


def _likeness(one: Adapter, two: Adapter, inputs: dict[str, torch.Tensor]) -> dict[str, float]:
    """Means over modules, each weighted by the product of its two norms."""
    size = {name: one[name].norm * two[name].norm for name in one}
    total = sum(size.values())

    def _mean(likeness: Callable[[str], float]) -> float:
        return sum(size[name] * likeness(name) for name in size) / total

    return {
        "read": _mean(lambda name: read_likeness(one[name], two[name])),
        "write": _mean(lambda name: write_likeness(one[name], two[name])),
        "response": _mean(lambda name: response_likeness(one[name], two[name], inputs[name])),
    }


def _activations(models: Trained, prompts: Prompts) -> dict[str, torch.Tensor]:
    """What the base feeds each map where the questions end, ``(E, B, n)``."""
    inputs: dict[str, torch.Tensor] = {}
    rows, length = prompts.tokens.shape[1:]
    ends = tensor(prompts.asked + np.arange(rows) * length)[..., None]

    def _record(site: Site, x: torch.Tensor) -> None:
        inputs[site.name] = x.take_along_dim(ends, dim=1)

    with torch.inference_mode():
        logits(models.bases.config, models.bases.weights, tensor(prompts.tokens), _record)
    return inputs
