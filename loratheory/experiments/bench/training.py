"""How adapters of small transformers are trained: libraries, controls, pooled and confined ones."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from loratheory.experiments.bench.bases import Bases, batch, digest, fingerprint
from loratheory.experiments.bench.library import Library, Teaching
from loratheory.tasks.two_hop import Lessons, Prompts, joined, lessons, pairs, stacked, trials
from loratheory.toy.transformer import ATTENTION, LORA, Lora, lora, stored, trained_lora

KINDS = ("hops", "direct", "joint", "bridged")
EXAMPLES = 40  # two-hop questions of other entities that a bridged adapter is shown


def library(bases: Bases, teaching: Teaching, kinds: Sequence[str] = ("hops",)) -> Library:
    """Return trained adapters of the wanted kinds.

    Parameters
    ----------
    bases : Bases
        What is adapted; left as it is.
    teaching : Teaching
        What and how.
    kinds : sequence of str
        Of `KINDS`.

    Returns
    -------
    Library
        Each adapter depends on its base, the number of the repetition and the teaching alone.
        Costs about 0.6 s of one core an adapter at the defaults.
    """
    edits, learnt, asked = [], [], []
    for place, (seed, number) in enumerate(
        (seed, number) for seed in bases.seeds for number in range(teaching.sets)
    ):
        model = place // teaching.sets
        rng = np.random.default_rng([seed, 3, number])
        among = bases.splits[model].held_out if bases.setting.coverage < 0.9 else None
        drawn = pairs(
            bases.worlds[model],
            teaching.pairs,
            teaching.facts,
            rng=rng,
            familiarity=teaching.familiarity,
            bridges=teaching.bridges,
            also=teaching.also,
            among=among,
        )
        data = [
            lessons(
                edit,
                rng=rng,
                retained=teaching.retained,
                examples=EXAMPLES * ("bridged" in kinds),
                others=drawn,
                form=teaching.form,
            )
            for edit in drawn
        ]
        edits.append(drawn)
        learnt.append(data)
        asked.append(
            [trials(e, t, rng=rng, others=drawn) for e, t in zip(drawn, data, strict=True)]
        )

    def _each(name: str, hop: int, pair: int) -> Lora:
        return _trained(bases, teaching, [one[pair] for one in learnt], (name, hop), pair)

    hops = range(bases.setting.hops)
    single = tuple(
        tuple(_each("hops", j, p) for j in hops)
        for p in range(teaching.pairs if "hops" in kinds else 0)
    )
    others = {
        name: tuple(_each(name, 0, p) for p in range(teaching.pairs))
        for name in kinds
        if name != "hops"
    }
    return Library(bases, teaching, _turned(edits), _turned(asked), single, others, _turned(learnt))


def _trained(
    bases: Bases, teaching: Teaching, data: Sequence[Lessons], kind: tuple[str, int], pair: int
) -> Lora:
    """One adapter for every replica, from its own lesson."""
    name, hop = kind
    each = [one.hops[hop] if name == "hops" else getattr(one, name) for one in data]
    chosen = (KINDS.index(name), hop)
    return learned(bases, teaching, [lesson.prompts for lesson in each], chosen, pair)


def learned(
    bases: Bases, teaching: Teaching, data: Sequence[Prompts], kind: tuple[int, int], pair: int
) -> Lora:
    """Return one adapter for every replica, from its own rows."""
    config = replace(bases.config, supervision=0.0)
    place = kind[0] * 8 + kind[1]
    seeds = _seeds(bases, teaching, 4, pair, place)
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
    rows = batch(stacked(list(data)))

    def _train() -> dict[str, Tensor]:
        made = trained_lora(config, bases.weights, start, recipe, lambda _: rows, seeds)
        return made.tensors()

    return _read(stored(parts, _train), start)


def _seeds(bases: Bases, teaching: Teaching, stream: int, *rest: int) -> list[int]:
    """A seed for each replica."""
    return [
        int(np.random.SeedSequence([seed, stream, number, *rest]).generate_state(1)[0])
        for seed in bases.seeds
        for number in range(teaching.sets)
    ]


def _read(factors: dict[str, Tensor], start: Lora) -> Lora:
    up, down = ({name: factors[f"{name}.{side}"] for name in start.up} for side in ("up", "down"))
    return Lora(up, down, start.scale)


def _turned(found: Sequence[Sequence]) -> tuple:  # type: ignore[type-arg]
    """Pair first, replica second."""
    return tuple(zip(*found, strict=True))


def expert(of: Library) -> Lora:
    """Return the adapters that are trained on the first pair's two-hop questions, in attention.

    Parameters
    ----------
    of : Library
        Whose edits they learn.

    Returns
    -------
    Lora
        The MLPs alone, where the facts of single hops go, hardly learn whole questions.
    """
    teaching = replace(of.teaching, modules=ATTENTION)
    return library(of.bases, teaching, ("direct",)).others["direct"][0]


def pooled(of: Library, rank: int) -> tuple[Lora, ...]:
    """Return one adapter a hop that learns the facts of all pairs at once.

    Parameters
    ----------
    of : Library
        Whose facts, and whose training but for the rank.
    rank : int
        Of these adapters.

    Returns
    -------
    tuple of Lora
        They rehearse what those of the first pair do. Costs as many prompts as there are facts.
    """
    teaching = replace(of.teaching, rank=rank)
    made = []
    for hop in range(of.bases.setting.hops):
        data = [
            joined([*(one.hops[hop].told for one in each), each[0].hops[hop].kept])
            for each in zip(*of.lessons, strict=True)
        ]
        made.append(learned(of.bases, teaching, data, (len(KINDS), hop), 0))
    return tuple(made)


def retrained(of: Library, layers: Sequence[Sequence[int]]) -> Library:
    """Return the library with its single-hop adapters trained again, one layer at a time.

    Parameters
    ----------
    of : Library
        Whose edits are learned again.
    layers : sequence of sequence of int
        Of each hop, the layers that each get the whole edit, trained as if they were alone.

    Returns
    -------
    Library
        Adapters of the same maps as before; those of other layers are zero.
    """

    def _together(pair: int, hop: int, each: Sequence[int]) -> Lora:
        """Adapters of different layers as one, with zeros in maps that none has."""
        before = of.pairs[pair][hop].map(torch.zeros_like)
        up, down = dict(before.up), dict(before.down)
        for layer in each:
            part = _confined(of, pair, hop, layer)
            up, down, scale = up | dict(part.up), down | dict(part.down), part.scale
        return Lora(up, down, scale)

    return replace(
        of,
        pairs=tuple(
            tuple(_together(pair, hop, each) for hop, each in enumerate(layers))
            for pair in range(of.teaching.pairs)
        ),
    )


def _confined(of: Library, pair: int, hop: int, layer: int) -> Lora:
    """The adapters of one hop, trained in one layer."""
    bases, teaching = of.bases, of.teaching
    data = [one.hops[hop].prompts for one in of.lessons[pair]]
    rows = batch(stacked(data))
    seeds = _seeds(bases, teaching, 6, pair, hop, layer)
    full = lora(
        bases.config, seeds, rank=teaching.rank, scale=teaching.scale, modules=teaching.modules
    )
    inside = [name for name in full.up if name.startswith(f"layers.{layer}.")]
    start = Lora({n: full.up[n] for n in inside}, {n: full.down[n] for n in inside}, full.scale)
    recipe = replace(LORA, steps=teaching.steps, rate=teaching.rate)
    parts = {
        "kind": "confined",
        "bases": {"config": bases.config, "weights": fingerprint(bases.weights)},
        "teaching": teaching,
        "layer": layer,
        "seeds": seeds,
        "data": digest(data),
    }

    def _train() -> dict[str, Tensor]:
        made = trained_lora(bases.config, bases.weights, start, recipe, lambda _: rows, seeds)
        return made.tensors()

    return _read(stored(parts, _train), start)


def exchanged(adapter: Lora, sets: int) -> Lora:
    """Return the adapters of the next edit set of the same base, two sets or more: a control."""
    return adapter.map(lambda x: x.unflatten(0, (-1, sets)).roll(1, 1).flatten(0, 1))


def alike(adapter: Lora, seed: int = 0) -> Lora:
    """Return Gaussian adapters of the same shapes and the same Frobenius norms: a control.

    Parameters
    ----------
    adapter : Lora
        Of ``E`` replicas.
    seed : int
        Determines the draw.

    Returns
    -------
    Lora
        `norms` of it are those of `adapter`.
    """
    rng = np.random.default_rng([seed, 6])

    def _drawn(x: Tensor) -> Tensor:
        return torch.tensor(rng.standard_normal(tuple(x.shape)), dtype=x.dtype)

    free = adapter.map(_drawn)
    wanted, drawn = norms(adapter), norms(free)
    up = {name: x * (wanted[name] / drawn[name])[:, None, None] for name, x in free.up.items()}
    return Lora(up, free.down, adapter.scale)


def norms(adapter: Lora) -> dict[str, Tensor]:
    """Return the Frobenius norm of each update, ``(E,)`` a module, from the factors."""
    found = {}
    for name, up in adapter.up.items():
        down = adapter.down[name]
        energy = ((up.mT @ up) * (down @ down.mT)).sum((1, 2))
        found[name] = abs(adapter.scale) * energy.clamp(min=0).sqrt()
    return found
