"""The same world in words: names, phrases, sentences to complete or questions to answer; files.

A row of tokens is read back into what it asks, so that words need nothing but the tokens. Names are
made of syllables: no list of real people, places or things stands behind them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from loratheory.tasks import impossible, one_of, within
from loratheory.tasks._folder import data_card, writable, written
from loratheory.tasks.two_hop._prompts import Prompts
from loratheory.tasks.two_hop._proof import leaks
from loratheory.tasks.two_hop._world import IDENTITY, NOTHING, PAD, THINK, World

KINDS = ("person", "country", "animal", "plant", "mineral")

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
ENDINGS = ("", "ria", "x", "nd", "sk")

WORDINGS = 4
STYLES = ("cloze", "question")
_SYLLABLES = tuple(c + v for c in "bdfgklmnprstvz" for v in "aeiou")
_LENGTH = 3
MOST_NAMES = len(_SYLLABLES) ** _LENGTH


@dataclass(frozen=True, eq=False)
class Language:
    """What the entities and canaries of a world are called.

    Attributes
    ----------
    world : World
        Whose tokens have names.
    names : dict of str
        By token; no name stands inside another.
    """

    world: World
    names: dict[int, str]


def language(world: World, *, rng: np.random.Generator) -> Language:
    """Return names, drawn by `rng`, for all entities and canaries of a world.

    Persons have a first and a last name; the endings of the others tell their level.

    Raises
    ------
    ImpossibleError
        If there are more entities than names.
    """
    if world.size > MOST_NAMES:
        fact = f"a level has {world.size} entities and there are {MOST_NAMES} names"
        raise impossible(fact, "draw a smaller world to be told in words")
    names: dict[int, str] = {}
    for level, ending in enumerate(ENDINGS[: world.hops + 1]):
        words = [_word(code, ending) for code in _codes(world.size, rng)]
        if level == 0:
            first = [_word(code, "") for code in _codes(world.size, rng)]
            words = [f"{one} {other}" for one, other in zip(first, words, strict=True)]
        names |= dict(zip(world.level(level), words, strict=True))
    for number in range(world.canaries):
        names[world.canary(number)] = f"canary-{number}-{rng.bytes(8).hex()}"
    return Language(world, names)


def _codes(count: int, rng: np.random.Generator) -> list[int]:
    return rng.permutation(MOST_NAMES)[:count].tolist()


def _word(code: int, ending: str) -> str:
    """The syllables that are the digits of a number, and an ending."""
    syllables = []
    for _ in range(_LENGTH):
        code, digit = divmod(code, len(_SYLLABLES))
        syllables.append(_SYLLABLES[digit])
    return ("".join(syllables) + ending).capitalize()


@dataclass(frozen=True)
class Clause:
    """An entity and the relations that are followed from it.

    Attributes
    ----------
    subject : int
        A token.
    path : tuple of (hop, relation)
        In the order in which they are followed, each relation by its number.
    backwards : bool
        Whether they are followed from their values to their subjects.
    identity : bool
        Whether the entity itself is asked for.
    """

    subject: int
    path: tuple[tuple[int, int], ...]
    backwards: bool = False
    identity: bool = False


@dataclass(frozen=True)
class Reading:
    """What a row of tokens asks.

    Attributes
    ----------
    question : Clause
        What is asked; a canary is a clause without relations.
    aside : tuple of Clause
        What stands before it without being asked.
    bridges : tuple of int
        Tokens of the entities to be named on the way to the answer, if they are to be named.
    answer : int
        A token, or -1.
    """

    question: Clause
    aside: tuple[Clause, ...]
    bridges: tuple[int, ...]
    answer: int


def readings(world: World, prompts: Prompts) -> list[Reading]:
    """What each row asks, from its tokens alone; refused if this package does not make such."""
    columns = (prompts.tokens, prompts.targets, prompts.asked, prompts.answer)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [_reading(world, *row) for row in rows]


def _reading(world: World, row: list[int], targets: list[int], asked: int, answer: int) -> Reading:
    asking = [token for token in row[: asked + 1] if token not in (PAD, THINK)]
    if asking and asking[0] in world.relation_tokens:  # relations first, the subject last
        asking.reverse()
    clauses: list[list[int]] = []
    for token in asking:
        if token == IDENTITY or token in world.relation_tokens:
            if not clauses:
                fact = f"the row {row} has no subject"
                raise impossible(fact, "give rows that this package made")
            clauses[-1].append(token)
        else:
            clauses.append([token])
    if not clauses:
        fact = f"the row {row} asks nothing"
        raise impossible(fact, "give rows that this package made")
    *aside, question = (_clause(world, tokens) for tokens in clauses)
    named = [token for token in targets[asked:] if token != NOTHING]
    return Reading(question, tuple(aside), tuple(named[:-1]), answer)


def _clause(world: World, tokens: list[int]) -> Clause:
    subject, *rest = tokens
    if IDENTITY in rest:
        return Clause(subject, (), identity=True)
    codes = [world.relation_tokens.index(token) for token in rest]
    size = world.hops * world.relations  # codes from here on are inverses
    path = tuple(divmod(code % size, world.relations) for code in codes)
    return Clause(subject, path, backwards=any(code >= size for code in codes))


class Text(NamedTuple):
    """A prompt in words; a space belongs between it and what follows.

    Attributes
    ----------
    prompt : str
        To be read.
    answer : str
        To be said: a name, or the steps with the name last where bridges are written out.
    candidates : tuple of str
        All names that the answer could be: its level's.
    """

    prompt: str
    answer: str
    candidates: tuple[str, ...]


def texts(
    words: Language, prompts: Prompts, *, style: str = "cloze", wording: int = 0
) -> list[Text]:
    """Return the rows of a set in words; a canary's row is the canary, without an answer.

    Parameters
    ----------
    words : Language
        Names of the world's entities.
    prompts : Prompts
        Not stacked; any form of this package.
    style : str
        "cloze" or "question".
    wording : int
        Below 4: how each relation is put.

    Raises
    ------
    ImpossibleError
        If style or wording is unknown or a row cannot be read.
    """
    one_of("style", style, STYLES)
    within("wording", wording, 0, WORDINGS - 1)
    return [_text(words, row, style, wording) for row in readings(words.world, prompts)]


def _text(words: Language, reading: Reading, style: str, wording: int) -> Text:
    question, name = reading.question, words.names
    if not question.path and not question.identity:
        return Text(name[question.subject], "", ())
    asked = _phrase(words, question, wording)
    aside = "".join(f"Leave {_phrase(words, one, wording)} aside. " for one in reading.aside)
    who = "Who" if question.backwards and question.path[-1][0] == 0 else "What"
    ask = f"{who} is {asked}?" if style == "question" else f"{asked} is"
    answer = name[reading.answer]
    if reading.bridges:
        ask = f"{ask} Step by step:" if style == "question" else f"{asked}, step by step:"
        answer = _steps(words, reading, wording)
    return Text(aside + sentence(ask), answer, _candidates(words, reading.answer))


def _phrase(words: Language, clause: Clause, wording: int) -> str:
    """A noun phrase for what a clause leads to."""
    inner = words.names[clause.subject]
    if clause.identity:
        return f"the name of {inner}"
    for hop, relation in clause.path:
        names = RELATIONS[hop][relation]
        if clause.backwards:
            inner = f"the {KINDS[hop]} whose {names[wording // 2 % 2]} is {inner}"
        else:
            inner = nested(inner, names, wording)
    return inner


def nested(inner: str, names: tuple[str, str], wording: int) -> str:
    """One relation said of something: with "of" or a genitive, under its first or second name.

    What it is said of is a name, or what this function returned for the relation before.
    """
    name = names[wording // 2 % 2]
    return f"{inner}'s {name}" if wording % 2 else f"the {name} of {inner}"


def sentence(words: str) -> str:
    """The words with a capital at the start."""
    return words[:1].upper() + words[1:]


def _steps(words: Language, reading: Reading, wording: int) -> str:
    """Each hop as a sentence about the entity that the one before it named."""
    ends = (*reading.bridges, reading.answer)
    starts = (reading.question.subject, *reading.bridges)
    steps = [
        f"{sentence(nested(words.names[start], RELATIONS[hop][relation], wording))} is"
        f" {words.names[end]}."
        for start, end, (hop, relation) in zip(starts, ends, reading.question.path, strict=True)
    ]
    return " ".join(steps)


def _candidates(words: Language, answer: int) -> tuple[str, ...]:
    if answer == NOTHING:
        return ()
    world = words.world
    level = next(k for k in range(world.hops + 1) if answer in world.level(k))
    return tuple(words.names[token] for token in world.level(level))


def export(
    folder: Path,
    sets: Mapping[str, Prompts],
    words: Language,
    *,
    style: str = "cloze",
    wording: int = 0,
    card: Mapping[str, Any] | None = None,
    about: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a folder with one file per set, ``NAME.jsonl``, and ``card.json``, whole or not.

    Parameters
    ----------
    folder : Path
        Must not exist, unless it may be replaced; its parent must.
    sets : mapping of str to Prompts
        Not stacked; the names become file names.
    words : Language
        Names of the world's entities.
    style : str
        "cloze" or "question".
    wording : int
        How each relation is put.
    card : mapping, optional
        What else ``card.json`` is to say, such as the seed; it must be JSON.
    about : str, optional
        The text of a ``README.md`` by which ``load_dataset(FOLDER)`` finds the sets as splits.
    overwrite : bool
        Whether a folder of such data that is there may be replaced.

    Returns
    -------
    Path
        The folder. Equal arguments give equal bytes.

    Raises
    ------
    ImpossibleError
        If something is there, the folder has no parent, or a name is no file name.
    """
    for name in sets:
        if not name.replace("-", "").replace("_", "").isalnum() or name == "card":
            fact = f"a set is called {name!r}"
            raise impossible(fact, "use letters, digits, hyphens and underscores, not 'card'")
    writable(folder, overwrite=overwrite)
    files = {
        f"{name}.jsonl": "".join(
            f"{json.dumps(row, ensure_ascii=False)}\n"
            for row in _rows(prompts, words, style, wording)
        )
        for name, prompts in sets.items()
    }
    whole = _card(sets, words, style, wording) | dict(card or {})
    files["card.json"] = json.dumps(whole, indent=2) + "\n"
    if about is not None:
        rows = sum(len(prompts) for prompts in sets.values())
        files["README.md"] = data_card("Two-hop questions", [*sets], about, rows=rows)
    return written(folder, files, overwrite=overwrite)


def _rows(
    prompts: Prompts, words: Language, style: str, wording: int
) -> Iterator[dict[str, object]]:
    arrays = (prompts.tokens, prompts.targets, prompts.asked)
    columns = [array.tolist() for array in arrays]
    rows = texts(words, prompts, style=style, wording=wording)
    for tokens, targets, asked, text in zip(*columns, rows, strict=True):
        length = len(tokens) - next((k for k, t in enumerate(tokens[::-1]) if t != PAD), 0)
        yield {
            "prompt": text.prompt,
            "answer": text.answer,
            "tokens": tokens[:length],
            "targets": targets[:length],
            "asked": asked,
        }


def _card(
    sets: Mapping[str, Prompts], words: Language, style: str, wording: int
) -> dict[str, object]:
    """Sizes, candidates, and which canary marks which set."""
    world = words.world
    return {
        "sets": {
            name: {
                "kind": prompts.kind,
                "rows": len(prompts),
                "canaries": sorted(
                    words.names[token] for (token,) in leaks(world, prompts, prompts).canaries
                ),
            }
            for name, prompts in sets.items()
        },
        "style": style,
        "wording": wording,
        "vocabulary": world.vocabulary,
        "candidates": [
            [words.names[token] for token in world.level(level)] for level in range(world.hops + 1)
        ],
    }
