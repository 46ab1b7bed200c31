"""Train small base transformers on fact sets, once per seed and setting, and cache them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from loratheory.tasks import two_hop as tasks
from loratheory.tasks.prompts import Prompts, sampled
from loratheory.toy import transformer as toy
from paper.studies._shared.models import Models, batches, digest

ROWS = 96  # prompts per step


@dataclass(frozen=True)
class Setting:
    """The architecture of a base and its pretraining data.

    It is the key of the cache: if a field is renamed, all bases are trained again.

    Attributes
    ----------
    coverage : float
        Fraction of the two-hop questions that are in the pretraining data.
    hops, entities, spare : int
        Hops of a question; known entities per level, and spare entities without a fact.
    identity : str
        The entities for which ``e id -> e`` is trained: ``none``, ``known`` or ``all``.
    width, depth, loops, window
        Passed to the transformer, which needs as many loops as hops to compose a question.
    noise, supervision, steps
        Passed to its training.
    """

    coverage: float = 0.5
    hops: int = 2
    entities: int = 100
    spare: int = 0
    identity: str = "none"
    width: int = 128
    depth: int = 1
    loops: int = 2
    window: int | None = 2
    noise: float = 0.5
    supervision: float = 1.0
    steps: int = 700

    @property
    def recipe(self) -> toy.Recipe:
        """Recipe of the training."""
        return replace(toy.BASE, steps=self.steps)

    def config(self, vocabulary: int) -> toy.Config:
        """Return the configuration of the transformer for this many tokens."""
        mine = {
            name: getattr(self, name) for name in ("width", "depth", "loops", "window", "noise")
        }
        # A single loop has no earlier answer to supervise.
        supervision = self.supervision if self.loops > 1 else 0.0
        return toy.Config(vocabulary=vocabulary, supervision=supervision, **mine)


@dataclass(frozen=True)
class UntiedSetting(Setting):
    """The settings of a standard transformer with untied layers that learns two-hop questions.

    It has no loop, window, noise or deep supervision. It learns composition from many relations per
    hop, so that every fact occurs in many questions, weight decay and long training (grokking: Wang
    et al., arXiv 2405.15071).

    Attributes
    ----------
    coverage : float
        Fraction of the two-hop questions that are trained, among questions of admissible facts.
    relations, unseen : int, float
        Relations per hop; fraction of the facts, none of first relations, that no trained question
        needs.
    share, rows : int
        Two-hop questions per single fact of one hop in a batch; prompts per step.
    rate, decay : float
        Learning rate and weight decay of its training.
    """

    coverage: float = 0.9
    entities: int = 50
    width: int = 64
    depth: int = 2
    loops: int = 1
    window: int | None = None
    noise: float = 0.0
    supervision: float = 0.0
    steps: int = 2000
    relations: int = 8
    unseen: float = 0.15
    share: int = 3
    rows: int = 256
    rate: float = 2e-3
    decay: float = 1.0

    @property
    def recipe(self) -> toy.Recipe:
        """Recipe of the training."""
        return toy.Recipe(steps=self.steps, rate=self.rate, warmup=100, decay=self.decay)


@dataclass(frozen=True, eq=False)
class Bases(Models):
    """Base models, each trained on its own fact set.

    A model's seed determines its fact set and split, its initial weights and the order of training.
    """

    setting: Setting
    fact_sets: tuple[tasks.FactSet, ...]
    splits: tuple[tasks.Split, ...]


def bases(setting: Setting, seeds: Sequence[int]) -> Bases:
    """Return a trained transformer for each seed, read from the cache or trained.

    A base depends only on its seed and the setting. Training takes about 12 s of one core per base
    at the setting's defaults.
    """
    fact_sets, splits, each = list[tasks.FactSet](), list[tasks.Split](), []
    for seed in seeds:
        facts = tasks.draw_facts(
            seed, hops=setting.hops, entities=setting.entities, spare=setting.spare
        )
        parts = tasks.split(facts, setting.coverage, rng=np.random.default_rng([seed, 1]))
        config = setting.config(facts.vocabulary)
        sets = tasks.pretraining(facts, parts, identity=setting.identity)
        key = {"kind": "base", "setting": setting, "seed": seed, **_data(sets, ROWS, seed)}
        drawn = batches(sets, ROWS, [seed, 2])
        each.append(
            toy.stored(key, partial(toy.trained_base, config, setting.recipe, drawn, [seed]))
        )
        fact_sets.append(facts)
        splits.append(parts)
    weights = {name: torch.cat([one[name] for one in each]) for name in each[0]}
    known = setting.hops + 1, setting, tuple(fact_sets), tuple(splits)
    return Bases(tuple(seeds), config, weights, *known)


def _data(sets: Sequence[Prompts], rows: int, seed: int) -> dict[str, str]:
    """Return fingerprints of these sets and of the order in which they are drawn."""
    # The order of the data is in the key: another stream trains another base.
    first = sampled(sets, rows, rng=np.random.default_rng([seed, 2]))
    return {"data": digest(sets), "order": digest([first])}


def split_questions(
    facts: tasks.FactSet, coverage: float, unseen: float, *, rng: np.random.Generator
) -> tasks.Split:
    """Split the two-hop questions of a fact set into trained and held-out questions.

    With probability `unseen` a fact, unless of a hop's first relation, is needed by no question of
    either part and trained as a single fact only. Of the other questions the fraction `coverage` is
    trained, and more where a held-out question has a fact that no trained question needs.
    """
    questions = tasks.all_questions(facts)
    codes = questions.relations * facts.size + tasks.along(facts, questions)[:, :-1]
    lone = rng.random(facts.maps.shape) < unseen
    # Edits are of first relations, whose facts trained questions show.
    lone[:, 0] = False
    first, second = (table.ravel()[one] for table, one in zip(lone, codes.T, strict=True))
    free = ~(first | second)
    inside = free & (rng.random(len(questions)) < coverage)
    # Each fact of a held-out question is needed by some trained question.
    inside |= free & ~np.all([np.isin(one, one[inside]) for one in codes.T], axis=0)
    return tasks.Split(questions[np.flatnonzero(inside)], questions[np.flatnonzero(free & ~inside)])


def train_in_stages(setting: UntiedSetting, seed: int, stages: Sequence[int]) -> dict[int, Bases]:
    """Return one base at several stages of its training, each a number of steps.

    The stages are read from the cache or trained, in about 25 s of one core for 2,000 steps.
    """
    facts = tasks.draw_facts(
        seed, entities=setting.entities, spare=setting.spare, relations=setting.relations
    )
    rng = np.random.default_rng([seed, 1])
    parts = split_questions(facts, setting.coverage, setting.unseen, rng=rng)
    two_hop, *single = tasks.pretraining(facts, parts, identity=setting.identity)
    # Sets are drawn with equal probability: a repeated set has more weight.
    sets = [*[two_hop] * setting.share, *single]
    config = setting.config(facts.vocabulary)

    def _train() -> dict[str, Tensor]:
        kept = dict[str, Tensor]()
        # The leaves are trained in place, so stages are copies.
        leaves = {n: x.requires_grad_() for n, x in toy.parameters(config, [seed]).items()}

        def _keep(step: int, _: Tensor) -> None:
            if step + 1 in stages:
                kept.update({f"{step + 1}.{n}": x.detach().clone() for n, x in leaves.items()})

        part = toy.Part(slice(0, 1), leaves, None, leaves)
        drawn = batches(sets, setting.rows, [seed, 2])
        toy.descend(config, setting.recipe, drawn, [seed], [part], _keep)
        return kept

    named = {"kind": "plain", "setting": {"Setting": asdict(setting)}, "seed": seed}
    named |= {"stages": list(stages), **_data(sets, setting.rows, seed)}
    weights: dict[str, dict[str, Tensor]] = {}
    for name, x in toy.stored(named, _train).items():
        # Stages are kept in one file, by a prefix of the names.
        stage, _, rest = name.partition(".")
        weights.setdefault(stage, {})[rest] = x
    known = setting.hops + 1, setting, (facts,), (parts,)
    return {n: Bases((seed,), config, weights[f"{n}"], *known) for n in stages}
