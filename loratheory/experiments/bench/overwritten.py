"""Edits of what a language model already composes: which old facts exist, edits, margins.

The base is one that answers two-hop questions about invented persons: two adapters that were taught
for each other's kind (`portable`) act on it at full strength throughout. Edits come on top.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from loratheory.experiments.bench.language_facts import (
    ANIMALS,
    BIRTH,
    MASCOT,
    OTHERS,
    World,
    invented,
)
from loratheory.experiments.bench.portable import Publishers
from loratheory.experiments.bench.sentences import ASKED
from loratheory.pretrained import Model, first_tokens, next_logits
from loratheory.shapes import Float

CASES = ("overwrite", "overwrite both", "new subject", "new facts")
"""As in `thm:two-read-region`: old facts on a question's path, and which of them are edited."""


class Question(NamedTuple):
    """What is asked: which hop, the case of the person asked about, which sentence, the answer."""

    hop: str
    case: str
    sentence: int
    prompt: str
    word: str


@dataclass(frozen=True, eq=False)
class Edits:
    """A new world over an old one.

    Attributes
    ----------
    old, new : World
        Persons and countries of the new one are those whose facts the edits change or add.
    case : mapping of str to str
        One of `CASES` for each person.
    """

    old: World
    new: World
    case: dict[str, str]

    def questions(self) -> Iterator[Question]:
        """Both hops in a sentence that is read and in two that no adapter reads, two hops in four.

        ``old`` asks the two-hop questions of the old world.
        """
        asked: Mapping[str, tuple[Mapping[str, str], Sequence[str]]] = {
            "hop 1": (self.new.first, (BIRTH.trained[0], *ASKED["hop_1"])),
            "hop 2": (self.new.second, (MASCOT.trained[0], *ASKED["hop_2"])),
            "two hops": (self.new.two_hop, ASKED["two_hop"]),
            "old": (self.old.two_hop, ASKED["two_hop"]),
        }
        for hop, (facts, sentences) in asked.items():
            for i, sentence in enumerate(sentences):
                for name, word in facts.items():
                    yield Question(hop, self.case.get(name, ""), i, sentence.format(name), word)


def edits(old: World, seed: int) -> Edits:
    """Draw edits of an old world: ten questions of each case, fifteen countries, new animals all.

    Half of the old countries get another animal and five new ones their first; every old person
    and twenty new ones get a country among these, whose new animal is none of the person's old one.
    """
    rng = np.random.default_rng([seed, 31])
    order, half = rng.permutation([*old.second]).tolist(), len(old.second) // 2
    edited, fresh = order[:half], rng.permutation(OTHERS)[: half // 2].tolist()
    animals: list[str] = []
    while not animals or any(old.second[c] == a for c, a in zip(edited, animals, strict=False)):
        animals = rng.permutation(ANIMALS)[: half + half // 2].tolist()
    second = dict(zip([*edited, *fresh], animals, strict=True))
    first, case = {}, {}
    for name, home in old.first.items():
        others = [c for c in edited if c != home and second[c] != old.second[home]]
        first[name] = others[int(rng.integers(len(others)))]
        case[name] = "overwrite both" if home in edited else "overwrite"
    known = {*old.first, *old.second}
    names = [name for name in invented(seed + 7000, 4 * half) if name not in known][: 2 * half]
    for i, name in enumerate(names):
        kind, countries = ("new subject", edited) if i < half else ("new facts", fresh)
        first[name], case[name] = countries[i % len(countries)], kind
    return Edits(old, replace(old, first=first, second=second), case)


def editors(both: Publishers, made: Edits) -> Publishers:
    """Those who publish the two edits; they teach while the old adapters act on their base.

    The cache of trained adapters knows them by their facts, which belong to no other base.
    """
    return replace(both, world=made.new, number=both.number + 1)


def margins(model: Model, questions: Sequence[Question]) -> Float[np.ndarray, " questions"]:
    """Return by how much the right word's logit leads all others of the vocabulary, or trails.

    Costs a forward pass over the prompts.
    """
    logits: Any = next_logits(model, [asked.prompt for asked in questions]).float()
    wanted = first_tokens(model, [asked.word for asked in questions])[:, None]
    own = logits.gather(1, wanted)[:, 0]
    others = logits.scatter(1, wanted, -float("inf")).amax(1)
    return np.asarray((own - others).double().numpy())
