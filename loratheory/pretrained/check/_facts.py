"""Facts asked of a model: which answers survive alone, averaged and summed, and who foretold it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from loratheory.adapters import Adapter
from loratheory.lowrank import LowRank
from loratheory.pretrained._ask import batch, first_tokens, last_logits
from loratheory.pretrained._attach import attached
from loratheory.pretrained._model import Model, failure
from loratheory.pretrained.check._reading import Place, Reading, judged
from loratheory.shapes import Float64
from loratheory.theorems.composition import two_read_region
from loratheory.theorems.merging import averaging_survival
from loratheory.toy import Merge

Facts = Mapping[str, Mapping[str, str]]
"""The answer to each prompt: by adapter, and two-hop questions under any other name."""

REMEDY = 'write {"adapter": {"prompt": "answer", …}, "two-hop": {…}}'
AT_ONCE = 16  # prompts in memory with the logits of every rule
Logits = Float64[np.ndarray, " v"]


@dataclass(frozen=True)
class Kept:
    """How many answers of one group are the most likely token under one rule of reuse.

    Attributes
    ----------
    group : str
        The adapter whose facts were asked, or the name of the two-hop questions.
    rule : {"base", "alone", "mean", "sum"}
        No adapter; the group's own at coefficient 1; all adapters at 1 / their number; all at 1.
    predicted : int or None
        By ``thm:averaging-survival`` for facts (from the logits of each adapter alone) and by
        ``thm:two-read-region`` for two-hop questions (all or none); None where nothing is foretold.
    measured, asked : int
        Right answers, and prompts asked.
    """

    group: str
    rule: str
    predicted: int | None
    measured: int
    asked: int


@dataclass(frozen=True, eq=False)
class Asked:
    """One prompt: what the base says, each adapter alone, and all of them merged.

    Attributes
    ----------
    number : int
        Its place in the group, from 1, as the user's file has it.
    target : int
        First token of the answer.
    base : (v,) array
        Logits of the next token.
    alone : tuple of (v,) array
        With each adapter at coefficient 1.
    merged : dict of str to (v,) array
        With all of them, by rule.
    """

    number: int
    target: int
    base: Logits
    alone: tuple[Logits, ...]
    merged: Mapping[str, Logits]

    def strength(self, adapter: int) -> float:
        """Of the edit, 1 if it turns its deficit to the base's answer into an equal margin."""
        old = int(np.argmax(self.base))
        deficit = float(self.base[old] - self.base[self.target])
        margin = float(self.alone[adapter][self.target] - self.alone[adapter][old])
        return (margin + deficit) / (2 * deficit) if deficit > 0 else float("inf")

    def margin(self, logits: Logits) -> float:
        """Of the target over the best other token."""
        return float(logits[self.target] - np.delete(logits, self.target).max())


def facts_in(file: Path) -> dict[str, dict[str, str]]:
    """Return the facts in a JSON file: for each adapter an object from prompts to answers.

    Parameters
    ----------
    file : Path
        ``{"persons": {"Zorvik was born in": "Germany", …}, "two-hop": {…}}``.

    Returns
    -------
    dict of str to dict
        As they stand there.

    Raises
    ------
    ModelError
        If it is no such file, or says the same prompt or group twice.
    """

    def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        for key in made:
            if [name for name, _ in pairs].count(key) > 1:
                raise failure(str(file), f"{key!r} stands there twice", "keep one of them")
        return made

    try:
        groups = json.loads(file.read_bytes(), object_pairs_hook=_once)
    except OSError as error:
        raise failure(str(file), f"it cannot be read ({error.strerror})", REMEDY) from None
    except RecursionError:
        raise failure(str(file), "its JSON is nested too deeply", REMEDY) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise failure(str(file), f"no JSON ({error})", REMEDY) from None
    if not isinstance(groups, dict) or not all(
        isinstance(group, dict) and group and all(isinstance(a, str) for a in group.values())
        for group in groups.values()
    ):
        raise failure(str(file), "no object of objects from prompts to answers", REMEDY)
    return groups


def grouped(facts: Facts, adapters: Sequence[Adapter], names: Sequence[str]) -> Facts:
    """Return the facts by the adapters' short names, adapters first, or refuse what matches none.

    Parameters
    ----------
    facts : mapping
        By short name or whole path.
    adapters : sequence of Adapter
        Those that will act.
    names : sequence of str
        Their short names, all different.

    Returns
    -------
    mapping
        Other groups are two-hop questions: they come last.

    Raises
    ------
    ModelError
        If a prompt or an answer is empty; if a group is no adapter's, unless there are two adapters
        with facts of their own, so that it can be two-hop questions.
    """
    paths = {one.info.name: name for one, name in zip(adapters, names, strict=True)}
    called = {paths.get(group, group): pairs for group, pairs in facts.items()}
    own = {name: called[name] for name in names if name in called}
    others = {group: pairs for group, pairs in called.items() if group not in own}
    for group, pairs in called.items():
        where = f"facts of {group!r}"
        if not pairs:
            raise failure(where, "the group is empty", "give it a prompt, or leave it out")
        for number, (prompt, answer) in enumerate(pairs.items(), 1):
            if not prompt.strip() or not answer.strip():
                kind = "answer" if prompt.strip() else "prompt"
                raise failure(where, f"the {kind} of fact {number} is empty", "give it words")
    if others and (len(names) != 2 or len(own) != 2):
        group = next(iter(others))
        alike = [name for name in names if Path(name.partition(" (")[0]).name == group]
        remedy = f"write {' or '.join(map(repr, alike or get_close_matches(group, names, 1, 0.0)))}"
        if not alike:
            remedy += "; two-hop questions need two adapters, both with facts of their own"
        fact = f"{len(alike)} adapters have this name" if alike else "no adapter has this name"
        where = f"facts of {group!r}"
        raise failure(where, fact, remedy)
    return own | others


def answered(
    model: Model,
    adapters: Sequence[Adapter],
    names: Sequence[str],
    facts: Facts,
    limit: int | None = None,
) -> tuple[list[Reading], list[Kept]]:
    """Ask every prompt under every rule, and hold the margins against two theorems.

    Parameters
    ----------
    model : Model
        With a tokenizer.
    adapters : sequence of Adapter
        At least one.
    names : sequence of str
        What to call them.
    facts : mapping
        From `grouped`.
    limit : int, optional
        Prompts of a group that are asked at most, evenly chosen; all where not given.

    Returns
    -------
    readings : list of Reading
        One for each fact and merge, and one for each group of two-hop questions and merge.
    kept : list of Kept
        One for each group and rule. Costs a forward pass a prompt for the base, each adapter and
        each merge.
    """
    readings, kept = list[Reading](), list[Kept]()
    strengths = list[float]()
    for group, pairs in facts.items():
        every = 1 if limit is None else -(-len(pairs) // limit)
        chosen = [(i, *pair) for i, pair in enumerate(pairs.items(), 1)][::every]
        answers = asked(model, adapters, chosen)
        if group in names:
            scored = [_of_fact(group, names.index(group), fact) for fact in answers]
            readings += [reading for one in scored for reading in one.readings.values()]
            strengths.append(float(np.median([one.strength for one in scored])))
            kept += _kept(group, scored)
        else:
            scored = [_scored(fact) for fact in answers]
            predicted = two_hop(names, group, scored, strengths)
            readings += predicted.values()
            kept += _kept(group, [replace(one, readings=predicted) for one in scored])
    return readings, kept


def asked(
    model: Model, adapters: Sequence[Adapter], facts: Sequence[tuple[int, str, str]]
) -> Iterator[Asked]:
    """Yield the model's answers to numbered prompts, a few at a time, so that all need no room.

    Parameters
    ----------
    model : Model
        With a tokenizer.
    adapters : sequence of Adapter
        At least one.
    facts : sequence of (number, prompt, answer)
        Answers are told by their first tokens.

    Yields
    ------
    Asked
        In order, in float64.
    """
    import torch

    count = len(adapters)
    merges = {"mean": 1 / count, "sum": 1.0} if count > 1 else {"sum": 1.0}
    rows = [np.zeros(count), *np.eye(count), *(c * np.ones(count) for c in merges.values())]
    for start in range(0, len(facts), AT_ONCE):
        part = facts[start : start + AT_ONCE]
        prompts = batch(model, [prompt for _, prompt, _ in part])
        runs = []
        with attached(model, adapters) as acting, torch.no_grad():
            for row in rows:
                acting.set(row)
                runs.append(last_logits(model, prompts).double().cpu().numpy())
        for (number, _, answer), (base, *rest) in zip(part, zip(*runs, strict=True), strict=True):
            target = int(first_tokens(model, [answer])[0])
            merged = dict(zip(merges, rest[count:], strict=True))
            yield Asked(number, target, base, tuple(rest[:count]), merged)


@dataclass(frozen=True)
class Scored:
    """What is kept of one prompt: numbers instead of logits.

    Attributes
    ----------
    margins : mapping of str to float
        Of the answer over the best other token, by rule.
    readings : mapping of str to Reading
        What the theorem says of each merge.
    strength : float
        Of the group's own edit; not a number for two-hop questions.
    """

    margins: Mapping[str, float]
    readings: Mapping[str, Reading] = field(default_factory=dict)
    strength: float = float("nan")


def _scored(fact: Asked, **alone: Logits) -> Scored:
    """The margins of one prompt; with a single adapter its sum is itself, and not named twice."""
    merged = fact.merged if len(fact.alone) > 1 else {}
    logits = {"base": fact.base, **alone, **merged}
    return Scored({rule: fact.margin(values) for rule, values in logits.items()})


def _of_fact(name: str, own: int, fact: Asked) -> Scored:
    """The margins of one fact of adapter `own`, and what the theorem says of them."""
    readings = {}
    for rule, merged in fact.merged.items():
        c = 1 / len(fact.alone) if rule == "mean" else 1.0
        place = Place("", f"{c:g} × {name}, fact {fact.number}")
        readings[rule] = survival(place, fact, own, c, merged)
    scored = _scored(fact, alone=fact.alone[own])
    return replace(scored, readings=readings, strength=fact.strength(own))


def _kept(group: str, scored: Sequence[Scored]) -> Iterator[Kept]:
    """The rows of one group: how many margins are positive, and how many were said to be."""
    for rule in scored[0].margins:
        bounds = [one.readings[rule].bound for one in scored if rule in one.readings]
        sure = [bound > 0 for bound in bounds if bound is not None]
        predicted = sum(sure) if len(sure) == len(scored) else None
        right = sum(one.margins[rule] > 0 for one in scored)
        yield Kept(group, rule, predicted, right, len(scored))


def two_hop(
    names: Sequence[str], group: str, scored: Sequence[Scored], strengths: Sequence[float]
) -> dict[str, Reading]:
    """Return the margin of two-hop questions that the strengths of both hops predict, by merge.

    Parameters
    ----------
    names : sequence of str
        Two adapters, in the order of the hops.
    group : str
        What to call the questions.
    scored : sequence of Scored
        Their margins.
    strengths : sequence of float
        The median strength of each hop's edits.

    Returns
    -------
    dict of str to Reading
        Margins in units of the deficit before; the bound is None where the base knew most facts of
        a hop. Never a verdict: the theorem is about linear reads.
    """
    readings = {}
    for rule, c in (("mean", 0.5), ("sum", 1.0)):
        margins = [(one.margins[rule], one.margins["base"]) for one in scored]
        units = [merged / -base for merged, base in margins if base < 0]
        note = (
            f"needs two linear reads, and a transformer is none; median strengths "
            f"{strengths[0]:.2g} and {strengths[1]:.2g} for `overwrite` edits; right on "
            f"{sum(merged > 0 for merged, _ in margins)} of {len(margins)} two-hop questions, "
            f"the base on {sum(base > 0 for _, base in margins)}"
        )
        bound = two_read_region.margin([c * strength for strength in strengths], "overwrite")
        readings[rule] = Place("", f"{c:g} × {' + '.join(names)}, {group}").reading(
            two_read_region.THEOREM.label,
            bound if np.isfinite(bound) else None,
            float(np.median(units)) if units else None,
            "not applicable",
            note,
        )
    return readings


def survival(place: Place, fact: Asked, i: int, c: float, merged: Logits) -> Reading:
    """The margin that merging leaves of one fact, predicted and measured.

    Parameters
    ----------
    place : Place
        What to call it.
    fact : Asked
        The prompt.
    i : int
        The adapter that was trained on it.
    c : float
        Coefficient of every adapter.
    merged : (v,) array
        Logits of the merge.

    Returns
    -------
    Reading
        The prediction mixes logits as if the network read its key once, by one weight. Where the
        adapter's logits are not what it adds to the merge, the theorem is silent.
    """
    base, edited = fact.base, fact.alone[i]
    rest = [c * (logits - base) for j, logits in enumerate(fact.alone) if j != i]
    others = np.sum(rest, axis=0) if rest else 0 * base
    added = (merged - base - others) / c
    order = np.r_[fact.target, np.delete(np.arange(len(base)), fact.target)]
    base, edited, others, added = (logits[order] for logits in (base, edited, others, added))
    case = averaging_survival.Case(np.ones(1), base, edited, others, c)
    maps = [LowRank(logits[:, None], np.ones((1, 1))) for logits in (base, added, others)]
    gap = _gap(added, edited - base)
    note = f"what it adds to the merge is {100 * gap:.0f} % off what it adds alone"
    merge = Merge(maps[0], (maps[1], maps[2]), (c, 1.0))
    return judged(averaging_survival.THEOREM, case, merge, place, note, note)


def _gap(one: Logits, other: Logits) -> float:
    """How far two changes of the logits differ, but for a constant, relative to the second."""
    one, other = one - one.mean(), other - other.mean()
    size = float(np.linalg.norm(other))
    return float(np.linalg.norm(one - other)) / size if size else 0.0
