"""The same world in words: sentences to complete or questions to answer, for language models."""

from typing import NamedTuple

from loratheory.tasks._error import one_of, within
from loratheory.tasks.two_hop._names import Language
from loratheory.tasks.two_hop._phrases import KINDS, RELATIONS, WORDINGS, nested, sentence
from loratheory.tasks.two_hop._prompts import Prompts
from loratheory.tasks.two_hop._reading import Clause, Reading, readings
from loratheory.tasks.two_hop._world import NOTHING

STYLES = ("cloze", "question")


class Text(NamedTuple):
    """A prompt in words; a space belongs between it and what follows.

    Attributes
    ----------
    prompt : str
        To be read.
    answer : str
        To be said: a name, or in a chain of thought the steps with the name last.
    candidates : tuple of str
        All names that the answer could be: its level's.
    """

    prompt: str
    answer: str
    candidates: tuple[str, ...]


def texts(
    words: Language, prompts: Prompts, *, style: str = "cloze", wording: int = 0
) -> list[Text]:
    """Return the rows of a set in words.

    Parameters
    ----------
    words : Language
        Names of the world's entities.
    prompts : Prompts
        Not stacked; any form of this package.
    style : str
        "cloze" or "question".
    wording : int
        Below `WORDINGS`: how each relation is put.

    Returns
    -------
    list of Text
        One per row; a canary's row is the canary, without an answer or candidates.

    Raises
    ------
    ImpossibleError
        If style or wording is unknown or a row cannot be read.
    """
    one_of("style", style, STYLES)
    within("wording", wording, 0, WORDINGS - 1)
    found = readings(words.here, prompts)
    return [_text(words, reading, style, wording) for reading in found]


def _text(words: Language, reading: Reading, style: str, wording: int) -> Text:
    question, name = reading.question, words.names
    if not question.path and not question.identity:
        return Text(name[question.subject], "", ())
    asked = _phrase(words, question, wording)
    aside = "".join(f"Leave {_phrase(words, one, wording)} aside. " for one in reading.aside)
    kinds = _kinds(words, reading.answer)
    who = "Who" if question.backwards and question.path[-1][0] == 0 else "What"
    ask = f"{who} is {asked}?" if style == "question" else f"{asked} is"
    answer = name[reading.answer]
    if reading.bridges:
        ask = f"{ask} Step by step:" if style == "question" else f"{asked}, step by step:"
        answer = _steps(words, reading, wording)
    return Text(aside + sentence(ask), answer, kinds)


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


def _steps(words: Language, reading: Reading, wording: int) -> str:
    """Each hop as a sentence about the entity that the one before it named."""
    found = (*reading.bridges, reading.answer)
    start = (reading.question.subject, *reading.bridges)
    said = [
        f"{sentence(nested(words.names[here], RELATIONS[hop][relation], wording))} is"
        f" {words.names[to]}."
        for here, to, (hop, relation) in zip(start, found, reading.question.path, strict=True)
    ]
    return " ".join(said)


def _kinds(words: Language, answer: int) -> tuple[str, ...]:
    if answer == NOTHING:
        return ()
    world = words.here
    level = next(k for k in range(world.hops + 1) if answer in world.level(k))
    return tuple(words.names[token] for token in world.level(level))
