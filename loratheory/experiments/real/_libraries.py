"""Libraries of two or three adapters of a world, what they were taught, and ways to use them."""

from collections.abc import Iterator

from loratheory.adapters import Adapter
from loratheory.experiments.bench.language import Way, way
from loratheory.experiments.bench.rules import layer_split, rule
from loratheory.experiments.real._aloud import form
from loratheory.experiments.real._taught import pair, taught
from loratheory.experiments.real._worlds import World
from loratheory.pretrained import Model

FORMS = {
    "shared form": (0, 1),
    "form for hop 1": (0,),
    "form for hop 2": (1,),
}
"""Lessons with solutions of one form besides, for hop 1 (0), hop 2 (1) or both."""
ALONE = ("hop 1 alone", "hop 2 alone", "expert")
"""One adapter, the control."""

Used = tuple[int, str, list[Adapter], Way]
"""How many adapters act, the way's name, the adapters, and what is done with them."""


def library(model: Model, world: World, seed: int, how: str) -> list[Adapter]:
    """Return the adapters of a world.

    Parameters
    ----------
    model : Model
        The base.
    world : World
        Whose facts.
    seed : int
        Of training.
    how : str
        ``all layers``; ``by layers``, single hops in lower and upper layers; or one of `FORMS`.

    Returns
    -------
    list of Adapter
        Of hop 1, of hop 2, and the expert of chains; no expert with `FORMS`. For half-fake facts
        the first two are those of `pair`.
    """
    lessons = [*world.lessons]
    if how in FORMS:
        more = form(world.facts)
        lessons = [[*lessons[k], *(more[k] if k in FORMS[how] else ())] for k in range(2)]
    single = pair(model, world.facts, seed, 0, layered=True) if how == "by layers" else []
    rest = [*enumerate(lessons)][len(single) :]
    return single + [taught(model, each, seed=(seed, 0, place)) for place, each in rest]


def used(model: Model, library: list[Adapter], how: str) -> Iterator[Used]:
    """Yield every way of using the library, and the two adapters of single hops without an expert.

    Parameters
    ----------
    model : Model
        Whose depth says where to cut.
    library : list of Adapter
        As `library` gives them.
    how : str
        As for `library`. With `FORMS` mean and sum only; a cut only where all layers are taught.

    Yields
    ------
    size, name, adapters, way
        First the base (size 0) and each adapter alone.
    """
    yield 0, "base", library[:1], way(rule("base"))
    for name, adapter in zip(ALONE, library, strict=False):
        yield 1, name, [adapter], way(rule("sum"))
    both = ("mean", "sum") if how in FORMS else ("mean", "sum", "arrow", "gates, z = 2")
    for size in range(2, len(library) + 1):
        for name in both:
            yield size, name, library[:size], way(rule(name))
    if how == "all layers":
        half = int(model.network.config.num_hidden_layers) // 2
        yield 2, "layer split", library[:2], way(layer_split(half))
