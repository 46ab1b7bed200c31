"""Adapters that teach edits hop by hop, and the questions that they are asked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from loratheory.experiments.reuse._bases import Bases, batch, digest, fingerprint
from loratheory.tasks.two_hop import (
    Edit,
    Lessons,
    Prompts,
    Trials,
    lessons,
    pairs,
    stacked,
    trials,
)
from loratheory.toy.transformer import ATTENTION, LORA, MLP, Lora, lora, stored, trained_lora

KINDS = ("hops", "direct", "joint", "bridged")
EXAMPLES = 40  # chains of other entities that a bridged adapter is shown


@dataclass(frozen=True)
class Teaching:
    """What is edited, and how adapters learn it.

    Attributes
    ----------
    facts : int
        Edited facts per hop of each pair of adapters.
    pairs : int
        Edits on disjoint entities, each with one adapter a hop; all act at once.
    sets : int
        Independent repetitions on each base.
    familiarity, bridges, also : str
        As for `loratheory.tasks.two_hop.edit`.
    rank, steps, retained : int
        Of each adapter, of its training, and facts of each hop that it rehearses.
    scale, rate : float
        Of the adapters and of their training.
    modules : tuple of str
        Which linear maps are adapted.
    form : str
        Of the chains that a bridged adapter is shown.
    """

    facts: int = 5
    pairs: int = 1
    sets: int = 3
    familiarity: str = "real"
    bridges: str = "fresh"
    also: str = "nothing"
    rank: int = 8
    steps: int = 120
    retained: int = 40
    scale: float = 2.0
    rate: float = 5e-3
    modules: tuple[str, ...] = MLP
    form: str = "plain"


@dataclass(frozen=True, eq=False)
class Shelf:
    """All adapters of some edits, for every replica: base by base, repetition by repetition.

    Attributes
    ----------
    bases : Bases
        ``G`` models; replica ``e`` of ``E`` runs on model ``e // sets``.
    teaching : Teaching
        Alike for all.
    edits, trials : tuple of tuple
        ``edits[p][e]`` is the edit of pair ``p`` in replica ``e``.
    hops : tuple of tuple of Lora
        ``hops[p][j]`` are the ``E`` adapters of pair ``p`` for hop ``j``.
    others : mapping of str to tuple of Lora
        Adapters of the kinds ``direct``, ``joint`` and ``bridged``, one a pair.
    lessons : tuple of tuple of Lessons
        ``lessons[p][e]``: what they learned from.
    """

    bases: Bases
    teaching: Teaching
    edits: tuple[tuple[Edit, ...], ...]
    trials: tuple[tuple[Trials, ...], ...]
    hops: tuple[tuple[Lora, ...], ...]
    others: dict[str, tuple[Lora, ...]]
    lessons: tuple[tuple[Lessons, ...], ...] = ()

    @property
    def adapters(self) -> tuple[Lora, ...]:
        """All adapters of single hops: those that are reused."""
        return tuple(adapter for pair in self.hops for adapter in pair)

    @property
    def replicas(self) -> list[tuple[int, int]]:
        """Base seed and repetition of every replica."""
        return [(seed, number) for seed in self.bases.seeds for number in range(self.teaching.sets)]


def shelf(known: Bases, teaching: Teaching, kinds: Sequence[str] = ("hops",)) -> Shelf:
    """Return trained adapters of the wanted kinds.

    Parameters
    ----------
    known : Bases
        What is adapted; left as it is.
    teaching : Teaching
        What and how.
    kinds : sequence of str
        Of `KINDS`.

    Returns
    -------
    Shelf
        Each adapter depends on its base, the number of the repetition and the teaching alone.
        Costs about 0.6 s of one core an adapter at the defaults.
    """
    edits, studied, asked = [], [], []
    for place, (seed, number) in enumerate(
        (seed, number) for seed in known.seeds for number in range(teaching.sets)
    ):
        model = place // teaching.sets
        rng = np.random.default_rng([seed, 3, number])
        among = known.splits[model].held_out if known.setting.coverage < 0.9 else None
        found = pairs(
            known.worlds[model],
            teaching.pairs,
            teaching.facts,
            rng=rng,
            familiarity=teaching.familiarity,
            bridges=teaching.bridges,
            also=teaching.also,
            among=among,
        )
        told = [
            lessons(
                one,
                rng=rng,
                retained=teaching.retained,
                examples=EXAMPLES * ("bridged" in kinds),
                others=found,
                form=teaching.form,
            )
            for one in found
        ]
        edits.append(found)
        studied.append(told)
        asked.append(
            [trials(e, t, rng=rng, others=found) for e, t in zip(found, told, strict=True)]
        )
    count = known.setting.hops
    hops = tuple(
        tuple(
            _trained(known, teaching, [s[p] for s in studied], ("hops", j), p) for j in range(count)
        )
        for p in range(teaching.pairs if "hops" in kinds else 0)
    )
    others = {
        kind: tuple(
            _trained(known, teaching, [s[p] for s in studied], (kind, 0), p)
            for p in range(teaching.pairs)
        )
        for kind in kinds
        if kind != "hops"
    }
    return Shelf(known, teaching, _turned(edits), _turned(asked), hops, others, _turned(studied))


def _trained(
    known: Bases, teaching: Teaching, told: Sequence[Lessons], kind: tuple[str, int], pair: int
) -> Lora:
    """One adapter for every replica, from its own lesson."""
    name, hop = kind
    data = [lesson.hops[hop] if name == "hops" else getattr(lesson, name) for lesson in told]
    chosen = (KINDS.index(name), hop)
    return learned(known, teaching, [lesson.prompts for lesson in data], chosen, pair)


def learned(
    known: Bases,
    teaching: Teaching,
    data: Sequence[Prompts],
    kind: tuple[int, int],
    pair: int,
) -> Lora:
    """One adapter for every replica, from its own rows."""
    rows = batch(stacked(list(data)))
    place = kind[0] * 8 + kind[1]
    seeds = [
        int(np.random.SeedSequence([seed, 4, number, pair, place]).generate_state(1)[0])
        for seed in known.seeds
        for number in range(teaching.sets)
    ]
    config = replace(known.config, supervision=0.0)
    start = lora(config, seeds, rank=teaching.rank, scale=teaching.scale, modules=teaching.modules)
    recipe = replace(LORA, steps=teaching.steps, rate=teaching.rate)
    parts = {
        "kind": "adapter",
        "bases": {"config": config, "weights": fingerprint(known.weights)},
        "recipe": recipe,
        "rank": teaching.rank,
        "scale": teaching.scale,
        "modules": list(teaching.modules),
        "seeds": seeds,
        "data": digest(data),
    }
    factors = stored(
        parts,
        lambda: trained_lora(config, known.weights, start, recipe, lambda _: rows, seeds).tensors(),
    )
    up, down = ({name: factors[f"{name}.{side}"] for name in start.up} for side in ("up", "down"))
    return Lora(up, down, start.scale)


def expert(here: Shelf) -> Lora:
    """Return the adapters that teach the first pair's chains outright, A→C, in attention.

    Parameters
    ----------
    here : Shelf
        Whose edits they are taught.

    Returns
    -------
    Lora
        The MLPs alone, where the facts of single hops go, hardly learn whole chains.
    """
    asked = replace(here.teaching, modules=ATTENTION)
    return shelf(here.bases, asked, ("direct",)).others["direct"][0]


def _turned(found: Sequence[Sequence]) -> tuple:  # type: ignore[type-arg]
    """Pair first, replica second."""
    return tuple(zip(*found, strict=True))
