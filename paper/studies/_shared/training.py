"""Training adapters of small transformers: libraries of them, and controls of several sorts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from loratheory.tasks.prompts import Prompts, stacked
from loratheory.tasks.two_hop import Edit, Lessons, Trials, lessons, pairs, trials
from loratheory.toy.transformer import LORA, MLP, Lora, lora
from paper.studies._shared.bases import Bases
from paper.studies._shared.library import Library
from paper.studies._shared.models import batch, digest, fingerprint, fitted

KINDS = ("hops", "direct", "joint", "bridged")
EXAMPLES = 40  # two-hop questions of other entities that a bridged adapter is shown


@dataclass(frozen=True)
class Teaching:
    """What is edited, and how adapters learn it.

    Attributes
    ----------
    facts, pairs, sets : int
        The number of edited facts per hop of a pair of adapters; of pairs, which edit disjoint
        entities and act all at once; and of independent repetitions on each base.
    familiarity, bridges, also : str
        Passed to `loratheory.tasks.two_hop.edit`.
    rank, scale, modules
        Rank and scale of each adapter, and the linear maps that it changes.
    steps, rate, retained
        Training steps, learning rate, and the number of old facts of each hop in the training data.
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


@dataclass(frozen=True, eq=False)
class Taught(Library):
    """The adapters that were trained on some edits.

    Attributes
    ----------
    bases, teaching
        The bases, and the settings with which all adapters were trained.
    edits, trials, lessons : tuple of tuple
        For pair ``p`` in replica ``e``, at ``[p][e]``, the edit, its questions and training data.
    others : mapping of str to tuple of Lora
        Adapters of the kinds ``direct``, ``joint`` and ``bridged``, one for each pair.
    """

    bases: Bases
    teaching: Teaching
    edits: tuple[tuple[Edit, ...], ...]
    trials: tuple[tuple[Trials, ...], ...]
    lessons: tuple[tuple[Lessons, ...], ...]
    others: dict[str, tuple[Lora, ...]]

    @property
    def asked(self) -> int:
        """Number of pairs that have questions."""
        return len(self.trials)


def library(bases: Bases, teaching: Teaching, kinds: Sequence[str] = ("hops",)) -> Taught:
    """Train adapters of the given kinds, a selection of `KINDS`; the bases are not changed.

    Each adapter depends only on its base, the number of the repetition and the teaching. Costs
    about 0.6 s of one core an adapter at the defaults.
    """
    examples = EXAMPLES * ("bridged" in kinds)
    replicas = []
    for model, seed in enumerate(bases.seeds):
        for number in range(teaching.sets):
            rng = np.random.default_rng([seed, 3, number])
            edits = _edits(bases, model, teaching, rng)
            data = [
                lessons(
                    edit,
                    rng=rng,
                    retained=teaching.retained,
                    examples=examples,
                    others=edits,
                )
                for edit in edits
            ]
            asked = [
                trials(edit, lesson, rng=rng, others=edits)
                for edit, lesson in zip(edits, data, strict=True)
            ]
            replicas.append((edits, asked, data))
    # pair first, replica second
    all_edits, all_trials, learnt = (
        tuple(zip(*each, strict=True)) for each in zip(*replicas, strict=True)
    )

    def _each(name: str, hop: int, pair: int) -> Lora:
        data = [one.hops[hop] if name == "hops" else getattr(one, name) for one in learnt[pair]]
        stream = (4, pair, 8 * KINDS.index(name) + hop)
        return learned(bases, teaching, [lesson.prompts for lesson in data], stream)

    numbers = range(teaching.pairs)
    hops = range(bases.setting.hops) if "hops" in kinds else ()
    single = tuple(tuple(_each("hops", j, p) for j in hops) for p in numbers if hops)
    others = {n: tuple(_each(n, 0, p) for p in numbers) for n in kinds if n != "hops"}
    edited = teaching, all_edits, all_trials, learnt, others
    return Taught(bases, teaching.sets, single, *edited)


def _edits(bases: Bases, model: int, how: Teaching, rng: np.random.Generator) -> Sequence[Edit]:
    """Return the edits of one set, one for each pair of adapters.

    Subjects are those of held-out questions, unless nine tenths of all or more were trained.
    """
    return pairs(
        bases.worlds[model],
        how.pairs,
        how.facts,
        rng=rng,
        familiarity=how.familiarity,
        bridges=how.bridges,
        also=how.also,
        among=bases.splits[model].held_out if bases.setting.coverage < 0.9 else None,
    )


def learned(
    bases: Bases,
    teaching: Teaching,
    data: Sequence[Prompts],
    stream: Sequence[int],
    layer: int | tuple[int, ...] | None = None,
    beside: Sequence[Lora] = (),
) -> Lora:
    """Train one adapter for every replica on its own rows, in all layers or only in these.

    The seed of the random numbers is made of the first number of `stream`, the set and the rest.
    Adapters `beside` act as in `loratheory.toy.transformer.trained_lora`.
    """
    config = replace(bases.config, supervision=0.0)
    first, *rest = stream
    seeds = [
        int(np.random.SeedSequence([seed, first, number, *rest]).generate_state(1)[0])
        for seed in bases.seeds
        for number in range(teaching.sets)
    ]
    start = lora(config, seeds, rank=teaching.rank, scale=teaching.scale, modules=teaching.modules)
    recipe = replace(LORA, steps=teaching.steps, rate=teaching.rate)
    parts = {
        "kind": "adapter",
        "bases": {"config": config, "weights": fingerprint(bases.weights)},
        "recipe": recipe,
        "rank": teaching.rank,
        "scale": teaching.scale,
        "modules": list(teaching.modules),
        "seeds": seeds,
        "data": digest(data),
    }
    if layer is not None:
        parts["layer"] = layer
        own = {f"layers.{one}" for one in ((layer,) if isinstance(layer, int) else layer)}
        inside = [name for name in start.up if name.rsplit(".", 2)[0] in own]
        up, down = ({name: side[name] for name in inside} for side in (start.up, start.down))
        start = Lora(up, down, start.scale)
    if beside:
        parts["beside"] = [fingerprint(one.tensors()) for one in beside]
    rows = batch(stacked(list(data)))
    return fitted(parts, config, bases.weights, start, recipe, lambda _: rows, seeds, beside)


def retrained(of: Taught, layers: Sequence[Sequence[int | tuple[int, ...]]]) -> Taught:
    """Return the library with its single-hop adapters trained again, in some layers alone.

    For each of a hop's `layers`, one layer or a tuple of some, the whole edit is trained there,
    with the factors of other layers zero.
    """

    def _together(pair: int, hop: int) -> Lora:
        total = of.pairs[pair][hop].map(torch.zeros_like)
        data = [one.hops[hop].prompts for one in of.lessons[pair]]
        for layer in layers[hop]:
            stream = (6, pair, hop, *((layer,) if isinstance(layer, int) else layer))
            part = learned(of.bases, of.teaching, data, stream, layer)
            total = Lora({**total.up, **part.up}, {**total.down, **part.down}, part.scale)
        return total

    return replace(
        of,
        pairs=tuple(
            tuple(_together(pair, hop) for hop in range(len(layers)))
            for pair in range(of.teaching.pairs)
        ),
    )


def exchanged(adapter: Lora, sets: int) -> Lora:
    """Return, as a control, for each replica the adapter of the base's next set of edits."""
    return adapter.map(lambda x: x.unflatten(0, (-1, sets)).roll(1, 1).flatten(0, 1))


def alike(adapter: Lora, seed: int = 0) -> Lora:
    """Return, as a control, Gaussian adapters of the same shapes and Frobenius norms."""
    rng = np.random.default_rng([seed, 6])

    def _drawn(x: Tensor) -> Tensor:
        return torch.tensor(rng.standard_normal(tuple(x.shape)), dtype=x.dtype)

    free = adapter.map(_drawn)
    wanted, drawn = norms(adapter), norms(free)
    up = {name: x * (wanted[name] / drawn[name])[:, None, None] for name, x in free.up.items()}
    return Lora(up, free.down, adapter.scale)


def norms(adapter: Lora) -> dict[str, Tensor]:
    """Return by module the Frobenius norms ``(E,)`` of the updates, computed from the factors."""
    found = {}
    for name, up in adapter.up.items():
        down = adapter.down[name]
        energy = ((up.mT @ up) * (down @ down.mT)).sum((1, 2))
        found[name] = abs(adapter.scale) * energy.clamp(min=0).sqrt()
    return found
