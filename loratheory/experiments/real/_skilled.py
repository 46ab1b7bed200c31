"""Adapters of skills: each trained on problems of its own, step by step and at once."""

from collections.abc import Sequence

from loratheory.adapters import Adapter
from loratheory.experiments.real._stepwise import SIZES, Stepwise, drawn, lines
from loratheory.experiments.real._taught import taught
from loratheory.pretrained import Model, Training


def lesson(skills: Sequence[str], rows: int, seed: int) -> list[Stepwise]:
    """Return problems for training, in turn with numbers to 9 and to 20."""
    sizes = [*SIZES][:2]
    halves = [drawn(skills, rows // 2, seed, lesson=True, size=size) for size in sizes]
    return [one for both in zip(*halves, strict=True) for one in both]


def skilled(
    model: Model, skills: tuple[str, str], rows: int, seed: int, *, steps: int, full: bool
) -> dict[str, Adapter]:
    """Return an adapter for each skill alone, and others to hold their merges against.

    Parameters
    ----------
    model : Model
        The base, reading digits.
    skills : tuple of two str
        The first one's and the second one's.
    rows : int
        Problems that each is trained on.
    seed : int
        Of problems and training.
    steps : int
        Of training, eight prompts each.
    full : bool
        Whether there are others: ``joint``, of half the problems of either skill, and
        ``composed``, of problems in which the second skill takes the result of the first.

    Returns
    -------
    dict of str to Adapter
        By name. Trained once each and kept in the cache; costs a minute or two of one core each.
    """
    one, two = ([each] for each in skills)
    lessons = {f"{skill} alone": lesson([skill], rows, seed) for skill in skills}
    if full:
        half = rows // 2
        lessons["joint"] = lesson(one, half, seed) + lesson(two, half, seed)
        lessons["composed"] = lesson(skills, rows, seed)
    how = Training(rate=1e-3, batch=8, steps=steps, enough=0.0)
    return {
        name: taught(model, lines(told), seed=(seed, 7, number), training=how)
        for number, (name, told) in enumerate(lessons.items())
    }
