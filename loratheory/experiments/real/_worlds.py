"""Worlds of two relations, more or less familiar to a model: facts, lessons, questions, marks."""

from dataclasses import dataclass

from loratheory.experiments.real import _known as known
from loratheory.experiments.real import _phrases as phrases
from loratheory.experiments.real._exam import CAPITALS, answers, share
from loratheory.experiments.real._facts import Facts, Items, facts, items, rehearsed
from loratheory.pretrained import Model, first_tokens

FAMILIARITIES = ("fake", "half", "real")


@dataclass(frozen=True)
class World:
    """Facts with the sentences that teach them, and others that ask for chains.

    Attributes
    ----------
    facts : Facts
        Persons' countries, and under `mascot` what the second relation says of these.
    second, chain : tuple of str
        Templates in which adapters read the second relation, and chains.
    new : str
        One for the second relation that no adapter reads.
    asked : tuple of str
        Chains are asked in these, which no adapter reads.
    """

    facts: Facts
    second: tuple[str, ...] = known.MASCOT
    chain: tuple[str, ...] = phrases.CHAIN
    new: str = known.MASCOT_NEW
    asked: tuple[str, ...] = known.TWO_HOP

    @property
    def lessons(self) -> tuple[Items, Items, Items]:
        """The data of three adapters, first hops, second hops and chains; all rehearse the same."""
        return (
            [*items(self.facts.birth, known.BIRTH), *rehearsed()],
            [*items(self.facts.mascot, self.second), *rehearsed()],
            [*items(self.facts.chain, self.chain), *rehearsed()],
        )

    @property
    def untaught(self) -> Items:
        """About twenty questions for what the base may know and no adapter reads."""
        told = {**self.facts.birth, **self.facts.mascot}
        others = [
            (prompt, word)
            for prompt, word in rehearsed(held_out=True)
            if not any(name in prompt and told[name] == word for name in told)
        ]
        return others[:: len(others) // 20]


def world(seed: int, familiarity: str) -> World:
    """Return facts of some familiarity.

    Parameters
    ----------
    seed : int
        Draws what is invented.
    familiarity : str
        ``fake``: invented persons, countries and animals of these. ``half``: the countries are
        real. ``real``: known persons, their countries and the capitals, for every seed the same.

    Returns
    -------
    World
        Of twenty persons.
    """
    if familiarity != "real":
        [told] = facts(seed, fake=familiarity == "fake")
        return World(told)
    birth = {told[2][1]: country for country, told in known.FAMOUS.items()}
    return World(
        Facts(birth, CAPITALS),
        phrases.CAPITAL,
        phrases.CAPITAL_CHAIN,
        phrases.CAPITAL_NEW,
        phrases.CAPITAL_ASKED,
    )


def marks(model: Model, world: World) -> dict[str, float]:
    """Return shares of right answers to all questions about a world.

    Parameters
    ----------
    model : Model
        With whatever acts on it.
    world : World
        Whose questions.

    Returns
    -------
    dict of str to float
        As `exam` names them: among candidates, ``hop_1`` and ``hop_2``, and in a template that no
        adapter read ``hop_1_new`` and ``hop_2_new``; ``chains``; in the whole vocabulary
        ``chains_free``, ``bridge`` (how often the country leads instead) and ``known``; and the
        ``confidence`` on chains.
    """
    told, second = world.facts, world.facts.mascot
    chains = answers(model, items(told.chain, world.asked))
    bridges = first_tokens(model, [*told.birth.values()] * len(world.asked)).numpy()
    asked = {
        "hop_1": items(told.birth, known.BIRTH[:1]),
        "hop_2": items(second, world.second[:1]),
        "hop_1_new": items(told.birth, [known.BIRTH_NEW]),
        "hop_2_new": items(second, [world.new]),
    }
    return {
        **{name: share(answers(model, each).right) for name, each in asked.items()},
        "two_hop": share(chains.right),
        "two_hop_vocabulary": share(chains.free),
        "says_bridge": share(chains.first == bridges),
        "other_facts": share(answers(model, world.untaught).free),
        "confidence": float(chains.confidence.mean()),
    }
