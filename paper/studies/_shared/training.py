"""Train libraries of adapters on small transformers, and control adapters."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from torch import Tensor

from loratheory.tasks.prompts import Prompts, stacked
from loratheory.tasks.two_hop import Edit, TrainingSets, Trials, training_sets, trials
from loratheory.tasks.two_hop import pairs as draw_pairs
from loratheory.toy.transformer import LORA, MLP, Lora, lora
from paper.studies._shared.bases import Bases
from paper.studies._shared.library import Library
from paper.studies._shared.models import batch, digest, fingerprint, fitted


@dataclass(frozen=True)
class AdapterTraining:
    """The edits and the training settings of adapters.

    Attributes
    ----------
    facts, pairs, sets : int
        The number of edited facts per hop of a pair of adapters; of pairs, which edit disjoint
        entities and are active together; and of independent repetitions on each base.
    familiarity, also : str
        Passed to `loratheory.tasks.two_hop.edit`.
    rank, scale, modules
        Rank and scale of each adapter, and the linear maps that it changes.
    steps, rate, retained
        Training steps, learning rate, and the number of replayed facts of each hop.
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
class EditLibrary(Library):
    """A library of adapters that are trained on edits.

    Attributes
    ----------
    bases, training
        The bases, and the settings with which all adapters were trained.
    edits, trials, training_sets : tuple of tuple
        For pair ``p`` in replica ``e``, at ``[p][e]``, the edit, its questions and training data.
    """

    bases: Bases
    training: AdapterTraining
    edits: tuple[tuple[Edit, ...], ...]
    trials: tuple[tuple[Trials, ...], ...]
    training_sets: tuple[tuple[TrainingSets, ...], ...]

    @property
    def pair_count(self) -> int:
        """Number of pairs that have questions."""
        return len(self.trials)

    def questions(self, pair: int = 0) -> list[Prompts]:
        """Return a pair's edited two-hop questions, for each replica."""
        return [one.questions for one in self.trials[pair]]

    def facts(self, hop: int, pair: int = 0) -> list[Prompts]:
        """Return the edited facts of one hop that a pair's questions need, for each replica."""
        return [one.hops[hop] for one in self.trials[pair]]


def library(bases: Bases, training: AdapterTraining) -> EditLibrary:
    """Train an adapter for each hop of each pair; the bases are not changed.

    Each adapter depends only on its base, the number of the repetition and the settings. The cost
    is about 0.6 s of one core per adapter at the defaults.
    """
    replicas = []
    for model, seed in enumerate(bases.seeds):
        for number in range(training.sets):
            rng = np.random.default_rng([seed, 3, number])
            edits, kept = _edits(bases, model, training, rng), training.retained
            # Training sets are drawn before test sets, because both share a random stream.
            data = [training_sets(one, rng=rng, retained=kept, others=edits) for one in edits]
            tests = [trials(*one, rng=rng, others=edits) for one in zip(edits, data, strict=True)]
            replicas.append((edits, tests, data))
    # pair first, replica second
    all_edits, all_tests, all_sets = (
        tuple(zip(*each, strict=True)) for each in zip(*replicas, strict=True)
    )
    pairs = []
    for pair, each in enumerate(all_sets):
        made = []
        for hop in range(bases.setting.hops):
            prompts = [one.hops[hop].prompts for one in each]
            made.append(train(bases, training, prompts, (4, pair, hop)))
        pairs.append(tuple(made))
    return EditLibrary(bases, training.sets, tuple(pairs), training, all_edits, all_tests, all_sets)


def _edits(
    bases: Bases, model: int, training: AdapterTraining, rng: np.random.Generator
) -> Sequence[Edit]:
    """Draw the edits of one set, one for each pair of adapters.

    Subjects are the subjects of held-out questions, unless 90% or more of the questions are
    trained.
    """
    among = bases.splits[model].held_out if bases.setting.coverage < 0.9 else None
    wanted = {"familiarity": training.familiarity, "also": training.also}
    facts, count = bases.fact_sets[model], training.pairs
    return draw_pairs(facts, count, training.facts, rng=rng, among=among, **wanted)


def train(
    bases: Bases,
    training: AdapterTraining,
    data: Sequence[Prompts],
    stream: Sequence[int],
    layer: int | tuple[int, ...] | None = None,
    stand_ins: Sequence[Lora] = (),
) -> Lora:
    """Train one adapter for every replica on its own rows, in all layers or in `layer` alone.

    The seed of the random numbers combines the first number of `stream`, the set and the rest.
    `stand_ins` are active as in `loratheory.toy.transformer.trained_lora`.
    """
    # Adapters are trained on the last loop's output alone, which gives the answer.
    config = replace(bases.config, supervision=0.0)
    first, *rest = stream
    seeds = []
    for seed, number in product(bases.seeds, range(training.sets)):
        stream_of = np.random.SeedSequence([seed, first, number, *rest])
        seeds.append(int(stream_of.generate_state(1)[0]))
    start = lora(config, seeds, rank=training.rank, scale=training.scale, modules=training.modules)
    recipe = replace(LORA, steps=training.steps, rate=training.rate)
    parts = {
        "kind": "adapter",
        "bases": {"config": config, "weights": fingerprint(bases.weights)},
        "recipe": recipe,
        "rank": training.rank,
        "scale": training.scale,
        "modules": list(training.modules),
        "seeds": seeds,
        "data": digest(data),
    }
    # Cache keys have the layer only if it is given.
    if layer is not None:
        parts["layer"] = layer
        own = {f"layers.{one}" for one in np.atleast_1d(layer)}
        inside = [name for name in start.up if name.rsplit(".", 2)[0] in own]
        up, down = ({name: side[name] for name in inside} for side in (start.up, start.down))
        start = Lora(up, down, start.scale)
    if stand_ins:
        parts["beside"] = [fingerprint(one.tensors()) for one in stand_ins]
    rows = batch(stacked(list(data)))
    return fitted(parts, config, bases.weights, start, recipe, lambda _: rows, seeds, stand_ins)


def retrained(old: EditLibrary, layers: Sequence[Sequence[int | tuple[int, ...]]]) -> EditLibrary:
    """Train the single-hop adapters of a library again, in some layers alone.

    For each entry of a hop's `layers`, a layer or a tuple of layers, the whole edit is trained
    there, with zero factors in other layers.
    """
    pairs = []
    for pair, adapters in enumerate(old.pairs):
        made = []
        for hop, adapter in enumerate(adapters):
            total = adapter.map(torch.zeros_like)
            data = [one.hops[hop].prompts for one in old.training_sets[pair]]
            for layer in layers[hop]:
                stream = (6, pair, hop, *np.atleast_1d(layer).tolist())
                part = train(old.bases, old.training, data, stream, layer)
                total = Lora({**total.up, **part.up}, {**total.down, **part.down}, part.scale)
            made.append(total)
        pairs.append(tuple(made))
    return replace(old, pairs=tuple(pairs))


def alike(adapter: Lora, seed: int = 0) -> Lora:
    """Draw control adapters: Gaussian updates with the same shapes and Frobenius norms."""
    rng = np.random.default_rng([seed, 6])
    # Factors are drawn in the order of the names.
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
