"""Training adapters of small transformers: libraries of them, and controls of several sorts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from torch import Tensor

from loratheory.tasks.prompts import Prompts, stacked
from loratheory.tasks.two_hop import Edit, Lessons, Trials, lessons, trials
from loratheory.tasks.two_hop import pairs as draw_pairs
from loratheory.toy.transformer import LORA, MLP, Lora, lora
from paper.studies._shared.bases import Bases
from paper.studies._shared.library import Library
from paper.studies._shared.models import batch, digest, fingerprint, fitted


@dataclass(frozen=True)
class Teaching:
    """What is edited, and how adapters learn it.

    Attributes
    ----------
    facts, pairs, sets : int
        The number of edited facts per hop of a pair of adapters; of pairs, which edit disjoint
        entities and act all at once; and of independent repetitions on each base.
    familiarity, also : str
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
    """

    bases: Bases
    teaching: Teaching
    edits: tuple[tuple[Edit, ...], ...]
    trials: tuple[tuple[Trials, ...], ...]
    lessons: tuple[tuple[Lessons, ...], ...]

    @property
    def asked(self) -> int:
        """Number of pairs that have questions."""
        return len(self.trials)

    def questions(self, pair: int = 0) -> list[Prompts]:
        """Return a pair's edited two-hop questions, for each replica."""
        return [one.questions for one in self.trials[pair]]

    def facts(self, hop: int, pair: int = 0) -> list[Prompts]:
        """Return the edited facts of one hop that these questions need."""
        return [one.hops[hop] for one in self.trials[pair]]


def library(bases: Bases, teaching: Teaching) -> Taught:
    """Train an adapter for each hop of each pair; the bases are not changed.

    Each adapter depends only on its base, the number of the repetition and the teaching. Costs
    about 0.6 s of one core an adapter at the defaults.
    """
    replicas = []
    for model, seed in enumerate(bases.seeds):
        for number in range(teaching.sets):
            rng = np.random.default_rng([seed, 3, number])
            edits, kept = _edits(bases, model, teaching, rng), teaching.retained
            # All lessons are drawn before any questions: the stream is one for both.
            data = [lessons(one, rng=rng, retained=kept, others=edits) for one in edits]
            asked = [trials(*one, rng=rng, others=edits) for one in zip(edits, data, strict=True)]
            replicas.append((edits, asked, data))
    # pair first, replica second
    all_edits, all_trials, learnt = (
        tuple(zip(*each, strict=True)) for each in zip(*replicas, strict=True)
    )
    pairs = []
    for pair, each in enumerate(learnt):
        made = []
        for hop in range(bases.setting.hops):
            prompts = [one.hops[hop].prompts for one in each]
            made.append(learned(bases, teaching, prompts, (4, pair, hop)))
        pairs.append(tuple(made))
    return Taught(bases, teaching.sets, tuple(pairs), teaching, all_edits, all_trials, learnt)


def _edits(bases: Bases, model: int, how: Teaching, rng: np.random.Generator) -> Sequence[Edit]:
    """Return the edits of one set, one for each pair of adapters.

    Subjects are those of held-out questions, unless nine tenths of all or more were trained.
    """
    among = bases.splits[model].held_out if bases.setting.coverage < 0.9 else None
    wanted = {"familiarity": how.familiarity, "also": how.also}
    return draw_pairs(bases.worlds[model], how.pairs, how.facts, rng=rng, among=among, **wanted)


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
    # Adapters learn from the last loop alone, as they are asked.
    config = replace(bases.config, supervision=0.0)
    first, *rest = stream
    seeds = []
    for seed, number in product(bases.seeds, range(teaching.sets)):
        stream_of = np.random.SeedSequence([seed, first, number, *rest])
        seeds.append(int(stream_of.generate_state(1)[0]))
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
    # Keys of caches name the layer only where there is one.
    if layer is not None:
        parts["layer"] = layer
        own = {f"layers.{one}" for one in np.atleast_1d(layer)}
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
    pairs = []
    for pair, adapters in enumerate(of.pairs):
        made = []
        for hop, adapter in enumerate(adapters):
            total = adapter.map(torch.zeros_like)
            data = [one.hops[hop].prompts for one in of.lessons[pair]]
            for layer in layers[hop]:
                stream = (6, pair, hop, *np.atleast_1d(layer).tolist())
                part = learned(of.bases, of.teaching, data, stream, layer)
                total = Lora({**total.up, **part.up}, {**total.down, **part.down}, part.scale)
            made.append(total)
        pairs.append(tuple(made))
    return replace(of, pairs=tuple(pairs))


def alike(adapter: Lora, seed: int = 0) -> Lora:
    """Return, as a control, Gaussian adapters of the same shapes and Frobenius norms."""
    rng = np.random.default_rng([seed, 6])
    # Drawn factor by factor, in the order of the names.
    free = adapter.map(lambda x: torch.tensor(rng.standard_normal(tuple(x.shape)), dtype=x.dtype))
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
