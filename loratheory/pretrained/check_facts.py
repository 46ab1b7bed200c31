"""Facts asked of a model: which answers survive with adapters alone, averaged and summed."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from loratheory.adapters import Adapter
from loratheory.diagnosis import layer_of
from loratheory.lowrank import LowRank
from loratheory.pretrained.attach import Attached, attach
from loratheory.pretrained.augment import read_rows
from loratheory.pretrained.metrics import batch, first_tokens, last_logits
from loratheory.pretrained.models import Model, failure, read_json
from loratheory.pretrained.stand_ins import are_texts
from loratheory.shapes import Float64
from loratheory.theorems import AssumptionError, Theorem
from loratheory.theorems.composition import two_read_region
from loratheory.theorems.merging import averaging_survival
from loratheory.toy import AssociativeMemory

FactGroups = Mapping[str, Mapping[str, str]]
"""The answer to each prompt: by adapter, and two-hop questions under any other name."""

REMEDY = 'write {"adapter": {"prompt": "answer", …}, "two-hop": {…}}'
AT_ONCE = 16  # prompts in memory with the logits of every rule
Logits = Float64[np.ndarray, " v"]


Outcome = Literal["holds", "tight", "broken", "not applicable", "measured"]


@dataclass(frozen=True)
class Reading:
    """The result of checking one theorem at one place of a model.

    Attributes
    ----------
    label : str
        The theorem, ``thm:…``.
    module : str
        The name of the module; empty for the whole model.
    layer : int or None
        The first number in that name.
    about : str
        The adapter, pair of adapters or prompt that was checked.
    bound, value : float or None
        What the theorem predicts and what was measured; given also where a hypothesis fails, if
        they can be computed.
    outcome : {"holds", "tight", "broken", "not applicable", "measured"}
        The judge's verdict; "measured" where there is nothing to judge.
    note : str
        Which hypothesis fails, with the quantity that shows it; or what else was seen.
    """

    label: str
    module: str
    layer: int | None
    about: str
    bound: float | None
    value: float | None
    outcome: Outcome
    note: str = ""


class Place(NamedTuple):
    """A module, and whom the reading is about."""

    module: str
    about: str

    def reading(
        self,
        label: str,
        bound: float | None,
        value: float | None,
        note: str,
        outcome: Outcome = "not applicable",
    ) -> Reading:
        """The reading of these numbers here; the theorem is silent unless another is given."""
        layer = layer_of(self.module)
        return Reading(label, self.module, layer, self.about, bound, value, outcome, note)


def judge(
    theorem: Theorem[Any, Any],
    case: Any,
    witness: Any,
    place: Place,
    shown: str = "",
    note: str = "",
) -> Reading:
    """Check a theorem on a case and a witness, and return the verdict as a reading at a place.

    The outcome is ``not applicable`` exactly where the theorem's `check` raises `AssumptionError`;
    bound and value are given all the same. `shown` says, in words, which quantity shows that a
    hypothesis fails; `note` is added to other verdicts.
    """
    try:
        verdict = theorem.check(case, witness)
    except AssumptionError as error:
        verdict = theorem.judge(case, witness)
        note = f"needs {str(error).partition('it needs ')[2]}; {shown}"
        return place.reading(theorem.label, verdict.bound, verdict.value, note)
    outcome: Outcome = "broken" if not verdict.holds else "tight" if verdict.tight else "holds"
    return place.reading(theorem.label, verdict.bound, verdict.value, note, outcome)


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
        Right answers that ``thm:averaging-survival`` predicts for facts (from each adapter's logits
        alone) or ``thm:two-read-region`` for two-hop questions (all or none); None if neither does.
    measured, asked : int
        Right answers, and prompts asked.
    """

    group: str
    rule: str
    predicted: int | None
    measured: int
    asked: int


def read_fact_groups(file: Path) -> dict[str, dict[str, str]]:
    """Return the facts in a JSON file: for each adapter an object from prompts to answers.

    An example: ``{"persons": {"Zorvik was born in": "Germany", …}, "two-hop": {…}}``. A file of
    JSON Lines, rows of `prompt` and `completion` or `answer`, is for a single adapter; its group
    has no name.

    Raises
    ------
    ModelError
        If the file has another form, no fact, the same group twice, or two answers to a prompt.
    """
    if file.suffix == ".jsonl":
        return {"": read_rows(file)}
    groups = read_json(file, REMEDY)
    if not groups:
        raise failure(file, "there are no facts", REMEDY)
    for name, group in groups.items():
        if not isinstance(group, dict) or not are_texts([*group, *group.values()]):
            where, fact = f"{file}: {name}", "is no object from prompts to answers in words"
            raise failure(where, fact, REMEDY)
    return groups


def group_facts(facts: FactGroups, adapters: Sequence[Adapter], names: Sequence[str]) -> FactGroups:
    """Return the facts by the adapters' short `names`, adapters first, two-hop questions last.

    Groups may also be named by an adapter's whole path. Raises `ModelError` if a group belongs to
    no adapter and cannot be two-hop questions, for which two adapters must have facts.
    """
    # Users name groups by short name or by path. An empty one asks nothing.
    paths = {one.info.name: name for one, name in zip(adapters, names, strict=True)}
    named = {paths.get(group, group): pairs for group, pairs in facts.items() if pairs}
    place = "the facts"
    if "" in named:
        if len(names) != 1:
            fact = f"rows of one adapter, and there are {len(names)}"
            raise failure(place, fact, "name one adapter, or write groups by adapter")
        named[names[0]] = named.pop("")
    own = {name: named[name] for name in names if name in named}
    others = {group: named[group] for group in named if group not in own}
    if others and not len(names) == len(own) == 2:
        fact = f"no adapter goes by the name {next(iter(others))!r}"
        remedy = f"write one of {', '.join(names)}; two-hop questions need facts of two adapters"
        raise failure(place, fact, remedy)
    return own | others


def ask_facts(
    model: Model,
    adapters: Sequence[Adapter],
    names: Sequence[str],
    facts: FactGroups,
    limit: int | None = None,
) -> tuple[list[Reading], list[Kept]]:
    """Ask every prompt under every rule, and hold the margins against two theorems.

    `facts` come from `group_facts`; at most `limit` prompts of a group are asked, evenly chosen.
    Returns a reading for each fact and merge, or group of two-hop questions and merge, and what is
    kept for each group and rule. Costs a pass a prompt for the base, each adapter and each merge.
    """
    readings, kept, strengths = list[Reading](), list[Kept](), list[float]()
    if not facts:
        return readings, kept
    count = len(names)
    merges = {"mean": 1 / count, "sum": 1.0} if count > 1 else {"sum": 1.0}
    with attach(model, adapters) as acting:
        for group, pairs in facts.items():
            # Evenly spaced, since facts often stand in some order.
            every = 1 if limit is None else -(-len(pairs) // limit)
            chosen = [(i, *pair) for i, pair in enumerate(pairs.items(), 1)][::every]
            own = names.index(group) if group in names else None
            margins = defaultdict[str, list[float]](list)
            predicted = defaultdict[str, list[Reading]](list)
            edits = list[float]()
            for asked in _ask(model, acting, chosen, merges):
                margins["base"].append(asked.margin(asked.base))
                if own is not None:
                    margins["alone"].append(asked.margin(asked.alone[own]))
                    edits.append(asked.strength(own))
                    for rule, c in merges.items():
                        place = Place("", f"{c:g} × {group}, fact {asked.number}")
                        reading = predict_survival(place, asked, own, c, asked.merged[rule])
                        predicted[rule].append(reading)
                        readings.append(reading)
                # The sum of a single adapter is itself.
                for rule, logits in asked.merged.items() if count > 1 else ():
                    margins[rule].append(asked.margin(logits))
            if own is not None:
                strengths.append(float(np.median(edits)))
            else:
                for rule, reading in predict_two_hop(names, group, margins, strengths).items():
                    readings.append(reading)
                    predicted[rule] = [reading] * len(chosen)
            for rule, values in margins.items():
                bounds = list(map(attrgetter("bound"), predicted[rule]))
                # A rule is predicted where every question is.
                known = len(bounds) == len(values) and None not in bounds
                sure = int((np.array(bounds) > 0).sum()) if known else None
                right = int((np.array(values) > 0).sum())
                kept.append(Kept(group, rule, sure, right, len(values)))
    return readings, kept


class Asked(NamedTuple):
    """The logits of the token after one prompt."""

    number: int  # its place in the group, from 1, as the user's file has it
    target: int  # first token of the answer
    base: Logits
    alone: tuple[Logits, ...]  # with each adapter at coefficient 1
    merged: Mapping[str, Logits]  # with all of them, by rule

    def margin(self, logits: Logits) -> float:
        """Of the target over the best other token."""
        return float(logits[self.target] - np.delete(logits, self.target).max())

    def strength(self, adapter: int) -> float:
        """Of the edit, 1 if it turns its deficit to the base's answer into an equal margin."""
        old, logits = int(np.argmax(self.base)), self.alone[adapter]
        deficit = float(self.base[old] - self.base[self.target])
        margin = float(logits[self.target] - logits[old])
        return (margin + deficit) / (2 * deficit) if deficit > 0 else float("inf")


def _ask(
    model: Model,
    acting: Attached,
    facts: Sequence[tuple[int, str, str]],
    merges: Mapping[str, float],
) -> Iterator[Asked]:
    """Numbered prompts and answers asked in order, a few at a time: all logits need much room."""
    count = acting.coefficients.shape[1]
    scales = np.array([*merges.values()])[:, None]
    # The base, each adapter alone, then each merge.
    rows = np.concatenate([np.zeros((1, count)), np.eye(count), scales * np.ones(count)])
    for start in range(0, len(facts), AT_ONCE):
        numbers, prompts, answers = zip(*facts[start : start + AT_ONCE], strict=True)
        ready, passes = batch(model, prompts), []
        for row in rows:
            acting.set(row)
            with torch.no_grad():
                passes.append(last_logits(model, ready).double().cpu().numpy())
        logits = np.stack(passes, axis=1)
        for number, answer, (base, *rest) in zip(numbers, answers, logits, strict=True):
            target = int(first_tokens(model, [answer])[0])
            merged = dict(zip(merges, rest[count:], strict=True))
            yield Asked(number, target, base, tuple(rest[:count]), merged)


def predict_two_hop(
    names: Sequence[str],
    group: str,
    margins: Mapping[str, Sequence[float]],
    strengths: Sequence[float],
) -> dict[str, Reading]:
    """The margin of two-hop questions that the median strengths of both hops predict, by merge.

    `margins` of the base and of each merge, one a question; the value is in units of the deficit
    before. The bound is None where the base knew most facts of a hop. Never a verdict: the theorem
    is about linear reads.
    """
    readings, base = {}, np.array(margins["base"])
    for rule, c in (("mean", 0.5), ("sum", 1.0)):
        values = np.array(margins[rule])
        units = values[base < 0] / -base[base < 0]
        note = (
            f"needs two linear reads, and a transformer is none; median strengths "
            f"{strengths[0]:.2g} and {strengths[1]:.2g} for `overwrite` edits; right on "
            f"{(values > 0).sum()} of {len(values)} two-hop questions, the base on "
            f"{(base > 0).sum()}"
        )
        # Merging scales the strength of an edit.
        bound = two_read_region.margin((c * np.array(strengths)).tolist(), "overwrite")
        readings[rule] = Place("", f"{c:g} × {' + '.join(names)}, {group}").reading(
            two_read_region.THEOREM.label,
            bound if np.isfinite(bound) else None,
            float(np.median(units)) if len(units) else None,
            note,
        )
    return readings


def predict_survival(place: Place, fact: Asked, i: int, c: float, merged: Logits) -> Reading:
    """The margin that merging at coefficient `c` leaves of a fact of adapter `i`, and its forecast.

    The prediction mixes logits as if the network read its key once, by one weight. Where the
    adapter's logits are not what it adds to the merge, the theorem is silent.
    """
    changes = np.stack(fact.alone) - fact.base
    # What the other adapters add, if logits were linear in the weights.
    others = c * np.delete(changes, i, axis=0).sum(axis=0)
    added = (merged - fact.base - others) / c
    # A constant in all logits changes no probability.
    alone = changes[i] - changes[i].mean()
    size = float(np.linalg.norm(alone))
    gap = float(np.linalg.norm(added - added.mean() - alone)) / size if size else 0.0
    note = f"what it adds to the merge is {100 * gap:.0f} % off what it adds alone"
    # The theorem's case has the target first.
    order = np.r_[fact.target, np.delete(np.arange(len(added)), fact.target)]
    base, edited = fact.base[order], fact.alone[i][order]
    case = averaging_survival.Case(np.ones(1), base, edited, others[order], c)
    columns = (base, added[order], case.others)
    read, *written = (LowRank(x[:, None], np.ones((1, 1))) for x in columns)
    merge = AssociativeMemory(read, tuple(written), (c, 1.0))
    return judge(averaging_survival.THEOREM, case, merge, place, note, note)
