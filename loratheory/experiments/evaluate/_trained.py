"""A rule on small transformers: two-hop and locality beside known rules, with controls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from loratheory.adapters import Adapter
from loratheory.experiments.bench.answers import accuracies
from loratheory.experiments.bench.bases import Setting, bases, tensor
from loratheory.experiments.bench.library import Library, Teaching, acting
from loratheory.experiments.bench.rules import Act, Reuse, routed, rule
from loratheory.experiments.bench.training import alike, exchanged, library
from loratheory.experiments.engine import bootstrap_mean
from loratheory.experiments.evaluate._rule import Asked


@dataclass(frozen=True)
class Profile:
    """On which bases, with which adapters.

    Attributes
    ----------
    settings : tuple of Setting
        Bases: one with the circuit for two hops and one without, or more.
    seeds : tuple of int
        Of the bases; no experiment of this package uses them.
    teaching : Teaching
        Of the adapters; two repetitions or more, for the shuffled ones.
    """

    settings: tuple[Setting, ...] = (Setting(0.5), Setting(0.0))
    seeds: tuple[int, ...] = (201, 202)
    teaching: Teaching = Teaching(sets=2)  # noqa: RUF009  # frozen


PROFILES = {
    "quick": Profile(),
    "paper": Profile(seeds=tuple(range(201, 209)), teaching=Teaching(pairs=2, sets=3)),
}


@dataclass(frozen=True)
class Mark:
    """How one rule answers at one coverage, averaged over bases and repetitions.

    Attributes
    ----------
    rule : str
        Its name.
    coverage : float
        Share of chains that the bases were trained on.
    two_hop, low, high : float
        Accuracy on the edited two-hop questions, and its interval over bases.
    hop_1, hop_2, other_hops, other_two_hop, shortcut, chance : float
        Edited facts; unedited facts and chains; how often other subjects get the edited
        answers; the score of one answer always given.
    """

    rule: str
    coverage: float
    two_hop: float
    low: float
    high: float
    hop_1: float
    hop_2: float
    other_hops: float
    other_two_hop: float
    shortcut: float
    chance: float


def trained(
    asked: Asked, profile: Profile, progress: Callable[[str], None] = lambda _: None
) -> list[Mark]:
    """Return the marks of a rule, of known rules and of controls.

    Parameters
    ----------
    asked : Asked
        The rule.
    profile : Profile
        Where.
    progress : callable
        Told what comes next.

    Returns
    -------
    list of Mark
        Coverage by coverage. ``rule, shuffled`` is the rule with the second hop's adapters of
        another edit, ``rule, noise`` with Gaussian adapters of equal norms.
    """
    found = []
    for setting in profile.settings:
        progress(f"bases and adapters at coverage {setting.coverage:g}")
        here = library(bases(setting, profile.seeds), profile.teaching)
        for name, act in compared(asked).items():
            progress(f"{name} at coverage {setting.coverage:g}")
            found.append(_mark(name, here, act))
    return found


def compared(asked: Asked) -> dict[str, Act]:
    """The rule, its two controls, and what it stands beside."""
    mine = reused(asked)
    return {
        "base": rule("base"),
        "hop 1 alone": rule("hop 1 alone"),
        "hop 2 alone": rule("hop 2 alone"),
        "mean": rule("mean"),
        "sum": rule("sum"),
        "Arrow": rule("arrow"),
        "gates": rule("gates"),
        "oracle": rule("oracle placement"),
        asked.name: mine,
        f"{asked.name}, shuffled": lambda here: mine(shuffled(here)),
        f"{asked.name}, noise": lambda here: mine(noise(here)),
    }


def reused(asked: Asked) -> Act:
    """Return a merge or a router as a rule of reuse."""
    if asked.form == "router":
        return routed(lambda updates, x: _Tensors(asked.route(updates, x)))

    def _one(group: Sequence[Adapter]) -> Adapter:
        weights = [1.0] * len(group)
        return Adapter.of({n: asked.merge([one[n] for one in group], weights) for n in group[0]})

    return lambda here: Reuse(here.merged_by(_one), lambda *_: [1.0])


@dataclass(frozen=True)
class _Tensors:
    """The same weights as tensors."""

    weigher: Any

    def weights(self, x: Any) -> Any:
        """Of each token, as a tensor."""
        return tensor(self.weigher.weights(x))


def shuffled(here: Library) -> Library:
    """The library with the last hop's adapters of another repetition on the same base."""
    sets = here.teaching.sets
    return replace(
        here, pairs=tuple((*pair[:-1], exchanged(pair[-1], sets)) for pair in here.pairs)
    )


def noise(here: Library) -> Library:
    """The library with Gaussian adapters of equal norms."""
    pairs = tuple(
        tuple(alike(one, 8 * p + j) for j, one in enumerate(pair))
        for p, pair in enumerate(here.pairs)
    )
    return replace(here, pairs=pairs)


def _mark(name: str, here: Library, act: Act) -> Mark:
    found = accuracies(here, acting(here, act))
    by_base = found["two_hop"].reshape(len(here.bases.seeds), -1).mean(axis=1)
    mean, low, high = (float(x) for x in bootstrap_mean(by_base[:, None]))
    kinds = ("hop_1", "hop_2", "other_hops", "other_two_hop", "shortcut", "chance")
    rest = {kind: float(np.mean(found[kind])) for kind in kinds}
    return Mark(name, here.bases.setting.coverage, mean, low, high, **rest)
