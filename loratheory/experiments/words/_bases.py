"""Plain transformers that read problems, and their adapters: trained once, kept in the cache."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from loratheory.experiments import reuse
from loratheory.experiments.reuse._bases import Bases, batch, digest, fingerprint
from loratheory.experiments.words._problems import CODE, LENGTH, Lesson, pretraining
from loratheory.experiments.words._size import Size
from loratheory.tasks.two_hop import Prompts, sampled, stacked
from loratheory.toy.transformer import (
    ATTENTION,
    MLP,
    Batch,
    Config,
    Lora,
    Recipe,
    lora,
    stored,
    trained_base,
    trained_lora,
)

MODULES = (*ATTENTION, *MLP)


def described(size: Size) -> Config:
    """The transformer of this size."""
    return Config(
        vocabulary=CODE.vocabulary,
        width=size.width,
        depth=size.depth,
        heads=size.heads,
        position="rope",
    )


def base(kind: str, seed: int, size: Size) -> Bases:
    """Return one base, from the cache or trained.

    Parameters
    ----------
    kind : str
        What it has seen, of `KINDS`.
    seed : int
        Draws its problems, its first weights and the order of its training.
    size : Size
        Of it.

    Returns
    -------
    Bases
        As `pretrained` makes it.
    """
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
        Without worlds, which problems have none of; prompts of random tokens are as long as
        problems. Costs about a minute of one core, once.
    """
    recipe = Recipe(steps=size.steps, rate=size.rate, warmup=min(100, size.steps), decay=0.1)

    def _train() -> dict[str, Tensor]:
        rng = np.random.default_rng([seed, 13])

        def _batch(_: int) -> Batch:
            return batch(stacked([sampled(sets, size.rows, rng=rng)]))

        return trained_base(described(size), recipe, _batch, [seed])

    named = {
        "kind": "words",
        "config": described(size),
        "recipe": recipe,
        "seed": seed,
        "rows": size.rows,
        "data": digest(sets),
    }
    found = stored(named, _train)
    setting = reuse.Setting(hops=LENGTH - 1, width=size.width, depth=size.depth, loops=1)
    return Bases(setting, (seed,), (), (), described(size), found)


def adapters(known: Bases, lessons: Sequence[Lesson], size: Size, *, wider: int = 1) -> Lora:
    """Return an adapter of one base for each lesson.

    Parameters
    ----------
    known : Bases
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
    (seed,) = known.seeds
    seeds = [
        int(np.random.SeedSequence([seed, 14, k]).generate_state(1)[0]) for k in range(len(lessons))
    ]
    made = [
        lesson.prompts(size.lesson, np.random.default_rng([one, 15]))
        for lesson, one in zip(lessons, seeds, strict=True)
    ]
    rows = batch(stacked(made))
    count = rows.tokens.shape[1]
    start = lora(known.config, seeds, rank=wider * size.rank, modules=MODULES)
    recipe = Recipe(steps=size.trained, rate=5e-3, schedule="linear")

    def _batch(step: int) -> Batch:
        place = (np.arange(size.shown) + step * size.shown) % count
        return Batch(rows.tokens[:, place], rows.targets[:, place])

    named = {
        "kind": "words, adapters",
        "base": fingerprint(known.weights),
        "recipe": recipe,
        "rank": wider * size.rank,
        "shown": size.shown,
        "seeds": seeds,
        "data": digest(made),
    }
    found = stored(
        named,
        lambda: trained_lora(known.config, known.weights, start, recipe, _batch, seeds).tensors(),
    )
    up, down = ({name: found[f"{name}.{side}"] for name in start.up} for side in ("up", "down"))
    return Lora(up, down, start.scale)
