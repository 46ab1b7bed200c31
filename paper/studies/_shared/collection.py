"""TODO."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import combinations
from typing import Any
import numpy as np
from loratheory.adapters import Adapter, response_scores
from loratheory.bench import Language
from loratheory.bench.language import Items, continued
from loratheory.bench.tasks import CHOOSING, FEW, NAMES, TASKS
from loratheory.experiments.interference_matrix import factors, relative
from loratheory.pretrained import (
    GENERIC,
    WAYS,
    Model,
    Training,
    Way,
    attached,
    batch,
    chosen,
    first_tokens,
    inputs,
    leak,
    leaks,
    next_logits,
    put_on,
    token_logs,
    trained_once,
)
from loratheory.shapes import Float64


OPENINGS = ("The", "In", "She", "When", "If", "We", "After", "It", "They", "On", "One", "Many")
"""What texts begin with that are drawn from the base."""


FULL_TIES = Way("full ties", "ties", {"space": "full", "density": 0.3, "rank": 16})
"""TIES as published, which trims and elects entries of full matrices, cut to the rank of two
adapters. `WAYS` leaves it out for its time."""


@dataclass(frozen=True)
class Stage:
    """A stage of a study: groups of adapters, each measured under several ways of reuse.

    There are `groups` groups of `size` adapters, drawn at random; a cell measures `each` of them,
    on their prompts or, where `generated`, on texts that the adapters themselves write. `ways` are
    names in `loratheory.pretrained.WAYS`, that of `FULL_TIES`, or a number, the coefficient with
    which all adapters of a group are added.
    """

    size: int
    groups: int
    each: int
    ways: tuple[str | float, ...]
    generated: bool = False

    @property
    def cells(self) -> int:
        """The number of cells of this stage."""
        return -(-self.groups // self.each)

    def group(self, number: int, seed: int) -> tuple[int, ...]:
        """Return the numbers of the adapters in a group, in order."""
        every = [*combinations(range(SIZE), self.size)]
        rng = np.random.default_rng([seed, 15, self.size])
        return every[int(rng.permutation(len(every))[number])]

    def acts(self) -> Iterator[tuple[str, Way]]:
        """Yield the names of the ways of reuse, and the ways."""
        for way in self.ways:
            if isinstance(way, str):
                yield way, {**WAYS, FULL_TIES.name: FULL_TIES}[way]
            else:
                name = f"{way} each"
                yield name, Way(name, "cat", free="", share=partial(_always, way))


def _always(coefficient: float, _: int) -> float:
    return coefficient


def silent(model: Model, seed: int, *, tokens: int = 8) -> Items:
    """Return texts drawn from the base, each with the most likely next word.

    Six texts are drawn for each word of `OPENINGS`, and the first 24 good ones returned. A text is
    bad if no word follows, or if its likeliest next token does not begin that word.
    """
    return continued(model, drawn(model, 6, seed, tokens))[:24]


def drawn(model: Model, count: int, seed: int, tokens: int) -> list[str]:
    """Draw texts of a few new tokens from what acts on a model, `count` for each opening."""
    import torch

    starts = batch(model, [word for word in OPENINGS for _ in range(count)])
    given = {name: starts[name] for name in ("input_ids", "attention_mask")}
    how = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "pad_token_id": 0}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        rows = model.network.generate(**given, **how, max_new_tokens=tokens)
    return [model.tokenizer.decode(row, skip_special_tokens=True) for row in rows]


@lru_cache(maxsize=1)
def collection(model: str, device: str, seed: int, *, taught_silence: bool) -> "Collection":
    """Return the collection of a seed on a model; it is kept for the next cell of this process."""
    base = Language(model=model, device=device).base(dtype="bfloat16")
    return Collection(base, seed, taught_silence=taught_silence)


def _kl(one: Any, other: Any) -> Any:
    """Return the divergence from `one` to `other` of each row of log-probabilities, in nats."""
    return (one.exp() * (one - other)).sum(1).clamp(min=0)


def weighed(adapters: Sequence[Adapter]) -> dict[str, Float64[np.ndarray, "k k"]]:
    """Return the measures of weights that `Collection.beside` names, for each two adapters.

    All adapters change the same maps. Costs a thin decomposition an adapter and map.
    """
    count, answers = len(adapters), []
    inner, alike, weights, energy = (np.zeros((count, count)) for _ in range(4))
    for name, shape in adapters[0].shapes.items():
        side = factors(name, shape, adapters)
        answer, _, product = relative(side, side)
        answers.append(answer)
        inner += product
        _, sigma, right = side
        both = np.einsum("ir,irn,jsn,js->ijrs", sigma, right, right, sigma, optimize=True)
        read, squares = (both**2).sum((2, 3)), (sigma**2).sum(1)
        weight, own = np.sqrt(np.outer(squares, squares)), np.sqrt(read.diagonal())
        alike += weight * read / np.outer(own, own)
        weights += weight
        energy += np.outer(squares, np.ones(count))
    return {
        "crosstalk": np.median(answers, axis=0),
        "worst": np.max(answers, axis=0),
        "cosine": inner / np.sqrt(energy * energy.T),
        "overlap": alike / weights,
    }
