"""The report card of a rule: the laws it obeys, and what it answers on models of each kind."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np

from loratheory.bench.answers import accuracies
from loratheory.bench.bases import PlainSetting, Setting, bases, grown
from loratheory.bench.bootstrap import bootstrap_mean
from loratheory.bench.library import acting
from loratheory.bench.rules import Act, rule
from loratheory.bench.training import (
    Taught,
    Teaching,
    alike,
    exchanged,
    library,
    retrained,
)
from loratheory.evaluate._exact import Law, Survival, laws, survival
from loratheory.evaluate._known import reused
from loratheory.evaluate._language import (
    Exam,
    LanguageMark,
    known_apart,
    known_marks,
    own_marks,
)
from loratheory.evaluate._rule import OwnRule, RuleError


@dataclass(frozen=True)
class Mark:
    """The accuracies of one rule on small transformers, averaged over bases and repetitions.

    `base` is ``looped`` or ``untied``; `coverage` is the share of two-hop questions in pretraining.
    `two_hop` is the accuracy on edited two-hop questions, and `low` to `high` its interval over
    bases. `hop_1` and `hop_2` are those on edited facts; `other_hops` and `other_two_hop` those on
    unedited facts and questions. `shortcut` is how often questions about other subjects get the
    edited answers; `chance` is the score of one constant answer.
    """

    rule: str
    base: str
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


@dataclass(frozen=True)
class Card:
    """Everything that an evaluation under a profile found out about a rule."""

    rule: str
    form: str
    profile: str
    laws: list[Law]
    memories: Survival | None
    marks: list[Mark]
    language: list[LanguageMark]


@dataclass(frozen=True)
class Profile:
    """The bases and adapters on which rules are evaluated; no experiment uses these seeds.

    The settings are a base that can answer two-hop questions, one that cannot, and one whose layers
    are not looped, for which `untied` says how adapters are trained. Each needs at least two
    repetitions, since the shuffled control takes adapters from another one.
    """

    settings: tuple[Setting, ...] = (Setting(0.5), Setting(0.0), PlainSetting())
    seeds: tuple[int, ...] = (201, 202)
    teaching: Teaching = Teaching(sets=2)  # noqa: RUF009  # frozen
    untied: Teaching = Teaching(4, sets=3, steps=120, retained=150)  # noqa: RUF009
    worlds: tuple[int, ...] = (200,)  # seeds of a language model's two-hop questions


PROFILES = {
    "quick": Profile(),
    "paper": Profile(
        seeds=tuple(range(201, 209)),
        teaching=Teaching(pairs=2, sets=3),
        worlds=tuple(range(200, 206)),
    ),
}


def card(
    asked: OwnRule,
    profile: str | Profile = "quick",
    progress: Callable[[str], None] = lambda _: None,
    *,
    model: bool = False,
    crossings: bool = False,
) -> Card:
    """Evaluate a rule under the profile ``quick``, ``paper`` or your own; return its report card.

    ``quick`` takes a minute on two cores once its bases are cached; `model` adds a language model
    and some minutes, `crossings` twelve adapters on it, half an hour to train once. `progress` is
    called with a line of text before each step. RuleError if there is no such profile, or the rule
    fails.
    """
    name = profile if isinstance(profile, str) else "own"
    profile = profile_named(profile) if isinstance(profile, str) else profile
    progress("laws")
    obeyed = laws(asked)
    progress("exact memories")
    memories = survival(asked)
    marks, language = on_models(
        [asked],
        compared(asked),
        profile,
        Exam(profile.worlds, crossings) if model else None,
        progress,
    )
    return Card(asked.name, asked.form, name, obeyed, memories, marks, language)


def on_models(
    asked: Sequence[OwnRule],
    acts: Mapping[str, Act],
    profile: Profile,
    exam: Exam | None,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[list[Mark], list[LanguageMark]]:
    """Return the results of `acts` on small transformers, and of all rules on a language model.

    The latter are those of known rules and of the rules in `asked`; none without an `exam`.
    """
    with known_apart(exam, progress) if exam else nullcontext():
        marks = trained(acts, profile, progress)
        own = own_marks(asked, exam, progress) if exam else []
    return marks, [*known_marks(exam, progress), *own] if exam else []


def profile_named(name: str) -> Profile:
    """Return the profile of this name; RuleError if there is none."""
    if name not in PROFILES:
        message = f"there is no profile {name!r}: choose {' or '.join(PROFILES)}"
        raise RuleError(message)
    return PROFILES[name]


def trained(
    acts: Mapping[str, Act], profile: Profile, progress: Callable[[str], None] = lambda _: None
) -> list[Mark]:
    """Return the accuracies of some rules on the small transformers of a profile."""
    marks = []
    for setting in profile.settings:
        progress(f"bases and adapters at coverage {setting.coverage:g}")
        libraries = _libraries(setting, profile)
        for name, act in acts.items():
            progress(f"{name} at coverage {setting.coverage:g}")
            marks.append(_mark(name, libraries, act))
    return marks


def _libraries(setting: Setting, profile: Profile) -> list[Taught]:
    if not isinstance(setting, PlainSetting):
        return [library(bases(setting, profile.seeds), profile.teaching)]
    found = (grown(setting, seed, (setting.steps,))[setting.steps] for seed in profile.seeds)
    both = [range(setting.depth)] * setting.hops
    return [retrained(library(one, profile.untied), both) for one in found]


def compared(asked: OwnRule) -> dict[str, Act]:
    """Return by name the rule, its two controls, and the known rules it is compared with.

    In the control ``rule, shuffled`` the last hop's adapters are those of another edit on the same
    base; in ``rule, noise`` all adapters are Gaussian with the same norms.
    """
    mine = reused(asked)
    names = {name: name for name in ("base", "hop 1 alone", "hop 2 alone", "mean", "sum")}
    names |= {"Arrow": "arrow", "gates": "gates", "oracle": "oracle placement"}
    return {
        **{label: rule(name) for label, name in names.items()},
        asked.name: mine,
        f"{asked.name}, shuffled": lambda adapted: mine(_shuffled(adapted)),
        f"{asked.name}, noise": lambda adapted: mine(_noise(adapted)),
    }


def _shuffled(adapted: Taught) -> Taught:
    sets = adapted.sets
    pairs = ((*others, exchanged(last, sets)) for *others, last in adapted.pairs)
    return replace(adapted, pairs=tuple(pairs))


def _noise(adapted: Taught) -> Taught:
    pairs = [
        [alike(one, 8 * p + j) for j, one in enumerate(x)] for p, x in enumerate(adapted.pairs)
    ]
    return replace(adapted, pairs=tuple(map(tuple, pairs)))


def _mark(name: str, libraries: Sequence[Taught], act: Act) -> Mark:
    each = [accuracies(one, acting(one, act)) for one in libraries]
    right = {kind: np.concatenate([one[kind] for one in each]) for kind in each[0]}
    count = sum(len(one.bases.seeds) for one in libraries)
    by_base = right.pop("two_hop").reshape(count, -1).mean(axis=1)
    interval = map(float, bootstrap_mean(by_base[:, None]))
    rest = {kind: float(np.mean(column)) for kind, column in right.items()}
    setting = libraries[0].bases.setting
    base = "untied" if isinstance(setting, PlainSetting) else "looped"
    return Mark(name, base, setting.coverage, *interval, **rest)
