"""Token rows in English words, as sentences to complete or questions to answer, and as files.

The text of a row is made from its tokens alone. Names are made of syllables; no list of real
people, places or things is used.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from loratheory.tasks import impossible, one_of, within
from loratheory.tasks._export import exported
from loratheory.tasks.prompts import NOTHING, PAD, Prompts
from loratheory.tasks.two_hop._world import IDENTITY, World

RELATIONS = (
    (
        ("country of birth", "birth country"),
        ("country of residence", "country of domicile"),
        ("country of citizenship", "country of nationality"),
        ("country of study", "country of education"),
        ("country of employment", "country of work"),
        ("country of retirement", "country of old age"),
        ("country of marriage", "wedding country"),
        ("favourite country", "best-loved country"),
    ),
    (
        ("national animal", "state animal"),
        ("animal on the flag", "flag animal"),
        ("animal on the coat of arms", "heraldic animal"),
        ("animal on the coins", "coin animal"),
        ("animal on the stamps", "stamp animal"),
        ("animal on the passport", "passport animal"),
        ("animal in the anthem", "anthem animal"),
        ("animal of the harvest feast", "feast animal"),
    ),
    (
        ("favourite plant", "best-loved plant"),
        ("food plant", "plant on the menu"),
        ("nesting plant", "plant in the nest"),
        ("shelter plant", "plant overhead"),
        ("healing plant", "medicinal plant"),
        ("feared plant", "dreaded plant"),
        ("bedding plant", "plant under the bed"),
        ("companion plant", "neighbouring plant"),
    ),
    (
        ("mineral in the soil", "soil mineral"),
        ("mineral in the roots", "root mineral"),
        ("mineral in the leaves", "leaf mineral"),
        ("mineral in the seeds", "seed mineral"),
        ("mineral in the bark", "bark mineral"),
        ("mineral in the petals", "petal mineral"),
        ("mineral in the sap", "sap mineral"),
        ("mineral in the ashes", "ash mineral"),
    ),
)
"""Two names of each relation, hop by hop."""
ENDINGS = ("", "ria", "x", "nd", "sk")
"""Endings of the names of each level's entities."""
FORMS = ("the {name} of {subject}", "{subject}'s {name}")
WORDINGS = 4  # two forms of two names
ASKED = {
    "cloze": ("{phrase} is", "{phrase}, step by step:"),
    "question": ("What is {phrase}?", "What is {phrase}? Step by step:"),
}
"""How a prompt asks for an answer, given at once or with the bridges written out."""
_SYLLABLES = tuple(c + v for c in "bdfgklmnprstvz" for v in "aeiou")
_LENGTH = 3
MOST_NAMES = len(_SYLLABLES) ** _LENGTH


@dataclass(frozen=True, eq=False)
class Language:
    """The names of a world's entities and canaries, by token; no name is part of another."""

    world: World
    names: dict[int, str]


def language(world: World, *, rng: np.random.Generator) -> Language:
    """Return names, drawn by `rng`, for all entities and canaries of a world.

    Persons, the first level, have a first and a last name; the endings of other names tell their
    level. Raises `ImpossibleError` if there are more entities than names.
    """
    if world.size > MOST_NAMES:
        fact = f"a level has {world.size} entities and there are {MOST_NAMES} names"
        raise impossible(fact, "draw a smaller world to be told in words")

    def _words(ending: str) -> list[str]:
        codes = rng.permutation(MOST_NAMES)[: world.size].tolist()
        return [_word(code, ending) for code in codes]

    names: dict[int, str] = {}
    for level, ending in enumerate(ENDINGS[: world.hops + 1]):
        words = _words(ending)
        if level == 0:
            words = [f"{one} {other}" for one, other in zip(_words(""), words, strict=True)]
        names |= dict(zip(world.level(level), words, strict=True))
    for number in range(world.canaries):
        names[world.canary(number)] = f"canary-{number}-{rng.bytes(8).hex()}"
    return Language(world, names)


def _word(code: int, ending: str) -> str:
    """The syllables that are the digits of a number, and an ending."""
    digits = np.unravel_index(code, (len(_SYLLABLES),) * _LENGTH)
    return ("".join(_SYLLABLES[digit] for digit in digits[::-1]) + ending).capitalize()


class Text(NamedTuple):
    """A prompt and its answer in words, to be joined by a space.

    The answer is a name; where bridges are written out it is the steps, with the name last.
    """

    prompt: str
    answer: str


def texts(
    words: Language, prompts: Prompts, *, style: str = "cloze", wording: int = 0
) -> list[Text]:
    """Return the rows of a set in words; the row of a canary becomes its name, without an answer.

    The prompts may be of any form that this package makes, but not stacked. `style` is "cloze" or
    "question", and `wording`, from 0 to 3, chooses how relations are phrased. Raises
    `ImpossibleError` if one of these is unknown or a row cannot be read.
    """
    one_of("style", style, tuple(ASKED))
    within("wording", wording, 0, WORDINGS - 1)
    columns = (prompts.tokens.tolist(), prompts.targets.tolist(), prompts.asked.tolist())
    return [_text(words, *row, style, wording) for row in zip(*columns, strict=True)]


def _text(
    words: Language, row: list[int], targets: list[int], asked: int, style: str, wording: int
) -> Text:
    subject, *rest = [token for token in row[: asked + 1] if token != PAD] or [PAD]
    relations = words.world.relation_tokens
    if subject not in words.names or not {*rest} <= {IDENTITY, *relations}:
        fact = f"the row {row} asks nothing"
        raise impossible(fact, "give rows that this package made")
    passed = [words.names[token] for token in targets[asked:] if token != NOTHING]
    phrase = words.names[subject]
    if not rest:
        return Text(phrase, "")
    names = [_names(words.world, token) for token in rest if token != IDENTITY]
    for name in names:
        phrase = _of(phrase, name, wording)
    if not names:
        phrase = f"the name of {phrase}"
    ask = _sentence(ASKED[style][len(passed) > 1].format(phrase=phrase))
    if len(passed) < 2:
        return Text(ask, *passed)
    starts = (words.names[subject], *passed)
    steps = zip(starts, passed, names, strict=False)
    sentences = [f"{_sentence(_of(one, name, wording))} is {to}." for one, to, name in steps]
    return Text(ask, " ".join(sentences))


def _names(world: World, token: int) -> tuple[str, str]:
    """The two names of a relation."""
    hop, number = divmod(world.relation_tokens.index(token), world.relations)
    return RELATIONS[hop][number]


def _of(subject: str, names: tuple[str, str], wording: int) -> str:
    """A phrase for what a relation leads to from a subject, which may be such a phrase."""
    return FORMS[wording % 2].format(name=names[wording // 2], subject=subject)


def _sentence(words: str) -> str:
    """The words with a capital at the start."""
    return words[:1].upper() + words[1:]


def export(
    folder: Path,
    sets: Mapping[str, Prompts],
    words: Language,
    *,
    style: str = "cloze",
    wording: int = 0,
    about: str = "",
    overwrite: bool = False,
) -> Path:
    """Write a folder with ``NAME.jsonl`` for each set, ``card.json``, and ``README.md``.

    Prompts are put in words by `texts` and must not be stacked. ``load_dataset(FOLDER)`` of
    `datasets` has the sets as splits; `about` is added to the README. The folder appears complete
    or not at all. Raises `ImpossibleError` if it exists and `overwrite` does not allow to replace
    it, or a set's name is no name of a split.
    """
    rows = {name: _rows(prompts, words, style, wording) for name, prompts in sets.items()}
    card = json.dumps(_card(sets, words, style, wording), indent=2) + "\n"
    more = {"card.json": card}
    return exported(folder, "Two-hop questions", rows, about, more=more, overwrite=overwrite)


def _rows(prompts: Prompts, words: Language, style: str, wording: int) -> list[dict[str, object]]:
    columns = (prompts.tokens, prompts.targets, prompts.asked)
    lengths = (prompts.tokens != PAD).sum(axis=1).tolist()
    rows = texts(words, prompts, style=style, wording=wording)
    return [
        {**text._asdict(), "tokens": tokens[:n], "targets": targets[:n], "asked": asked}
        for tokens, targets, asked, n, text in zip(
            *(column.tolist() for column in columns), lengths, rows, strict=True
        )
    ]


def _card(
    sets: Mapping[str, Prompts], words: Language, style: str, wording: int
) -> dict[str, object]:
    """Sizes, candidates, and which canary marks which set."""
    world, names = words.world, words.names
    canaries = [world.canary(number) for number in range(world.canaries)]
    return {
        "sets": {
            name: {
                "kind": prompts.kind,
                "rows": len(prompts),
                "canaries": [names[token] for token in canaries if token in prompts.tokens],
            }
            for name, prompts in sets.items()
        },
        "style": style,
        "wording": wording,
        "vocabulary": world.vocabulary,
        "candidates": [
            [names[token] for token in world.level(level)] for level in range(world.hops + 1)
        ],
    }
