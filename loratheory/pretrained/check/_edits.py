"""Edits on the model's own logits: margins before, after and merged, held against two theorems."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loratheory.adapters import Adapter
from loratheory.lowrank import LowRank
from loratheory.pretrained._ask import entry, first_tokens, last_logits
from loratheory.pretrained._attach import attached
from loratheory.pretrained._error import failure
from loratheory.pretrained._model import Model
from loratheory.pretrained.check._reading import Place, Reading, judged
from loratheory.pretrained.check._texts import Facts
from loratheory.shapes import Float64
from loratheory.theorems.composition import two_read_region
from loratheory.theorems.merging import averaging_survival
from loratheory.toy import Merge

MOST = 10
"""Prompts of a group that are asked at most, evenly chosen."""

Logits = Float64[np.ndarray, " v"]


@dataclass(frozen=True, eq=False)
class Asked:
    """One prompt: what the base says, each adapter alone, and all of them merged.

    Attributes
    ----------
    target : int
        First token of the answer.
    base : (v,) array
        Logits of the next token.
    alone : tuple of (v,) array
        With each adapter at coefficient 1.
    merged : dict of float to (v,) array
        With all of them at that coefficient.
    """

    target: int
    base: Logits
    alone: tuple[Logits, ...]
    merged: Mapping[float, Logits]

    def strength(self, adapter: int) -> float:
        """Of the edit, 1 if it turns its deficit to the base's answer into an equal margin."""
        old = int(np.argmax(self.base))
        deficit = float(self.base[old] - self.base[self.target])
        margin = float(self.alone[adapter][self.target] - self.alone[adapter][old])
        return (margin + deficit) / (2 * deficit) if deficit > 0 else float("inf")

    def lead(self, logits: Logits) -> float:
        """Of the target over the best other token."""
        return float(logits[self.target] - np.delete(logits, self.target).max())


def asked(
    model: Model, adapters: Sequence[Adapter], facts: Facts, coefficients: Sequence[float]
) -> dict[str, list[Asked]]:
    """Return the model's answers to each group of facts.

    Parameters
    ----------
    model : Model
        With a tokenizer.
    adapters : sequence of Adapter
        At least one.
    facts : mapping
        Groups of prompts with their answers.
    coefficients : sequence of float
        At which all adapters act together.

    Returns
    -------
    dict of str to list of Asked
        Costs a forward pass a prompt for the base, each adapter and each coefficient.

    Raises
    ------
    ModelError
        If the model has no tokenizer.
    """
    if model.tokenizer is None:
        raise failure(model.name or model.kind, "has no tokenizer to ask facts with", "leave facts")
    chosen = {group: _some(list(pairs.items())) for group, pairs in facts.items() if pairs}
    prompts = [prompt for pairs in chosen.values() for prompt, _ in pairs]
    ids = [model.tokenizer(text)["input_ids"] for text in prompts]
    one = np.eye(len(adapters))
    rows = [0 * one[0], *one, *(c + 0 * one[0] for c in coefficients)]
    with attached(model, list(adapters)) as acting:
        runs = []
        for row in rows:
            acting.set(row)
            runs.append(_last(model, ids))
    found, split = {}, len(adapters) + 1
    told = zip(*runs, strict=True)
    for group, pairs in chosen.items():
        found[group] = [
            Asked(
                int(first_tokens(model, [answer])[0]),
                run[0],
                run[1:split],
                dict(zip(coefficients, run[split:], strict=True)),
            )
            for (_, answer), run in zip(pairs, told, strict=False)
        ]
    return found


def _last(model: Model, ids: Sequence[list[int]]) -> list[Logits]:
    """Logits after each prompt; prompts of one length go through together, so none is padded."""
    import torch

    found: dict[int, Logits] = {}
    device = entry(model)
    for length in {len(each) for each in ids}:
        places = [i for i, each in enumerate(ids) if len(each) == length]
        batch = torch.tensor([ids[i] for i in places], device=device)
        with torch.no_grad():
            logits = last_logits(model, {"input_ids": batch})
        found |= zip(places, logits.double().cpu().numpy(), strict=True)
    return [found[i] for i in range(len(ids))]


def _some(pairs: list[Any]) -> list[Any]:
    return pairs[:: -(-len(pairs) // MOST)]


def of_edits(names: Sequence[str], told: Mapping[str, Sequence[Asked]]) -> Iterator[Reading]:
    """Yield, for each fact and coefficient, the margin that merging leaves, predicted and measured.

    Parameters
    ----------
    names : sequence of str
        What to call the adapters; a group of that name holds the adapter's facts.
    told : mapping of str to sequence of Asked
        From `asked`.

    Yields
    ------
    Reading
        The prediction mixes logits as if the network read its key once, by one weight. Where the
        adapter's logits are not what it adds to the merge, the theorem is silent.
    """
    for i, name in enumerate(names):
        for number, fact in enumerate(told.get(name, ())):
            for c, merged in fact.merged.items():
                place = Place("", f"{c:g} × {name}, fact {number + 1}")
                yield _survival(place, fact, i, c, merged)


def _survival(place: Place, fact: Asked, i: int, c: float, merged: Logits) -> Reading:
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
    return judged(averaging_survival.THEOREM, case, merge, place, lambda: note, note)


def _gap(one: Logits, other: Logits) -> float:
    """How far two changes of the logits differ, but for a constant, relative to the second."""
    one, other = one - one.mean(), other - other.mean()
    size = float(np.linalg.norm(other))
    return float(np.linalg.norm(one - other)) / size if size else 0.0


def of_chains(names: Sequence[str], told: Mapping[str, Sequence[Asked]]) -> Iterator[Reading]:
    """Yield, for each group of two-hop prompts, the lead that the strengths of both hops predict.

    Parameters
    ----------
    names : sequence of str
        Two adapters, in the order of the hops.
    told : mapping of str to sequence of Asked
        The facts of both, and chains under any other name.

    Yields
    ------
    Reading
        Leads in units of the deficit before. Never a verdict: the theorem is about linear reads.
    """
    label = two_read_region.THEOREM.label
    if len(names) != 2 or not all(told.get(name) for name in names):
        return
    strengths = [
        float(np.median([fact.strength(i) for fact in told[name]])) for i, name in enumerate(names)
    ]
    for group, chains in told.items():
        for c in chains[0].merged if group not in names else ():
            leads = [fact.lead(fact.merged[c]) for fact in chains]
            before = [-fact.lead(fact.base) for fact in chains]
            units = [a / b for a, b in zip(leads, before, strict=True) if b > 0]
            right = sum(lead > 0 for lead in leads)
            note = (
                f"needs a chain of linear reads, and a transformer is none; median strengths "
                f"{strengths[0]:.2g} and {strengths[1]:.2g} in case A; right on {right} of "
                f"{len(leads)} chains, the base on {sum(b < 0 for b in before)}"
            )
            told_so = two_read_region.margin([c * s for s in strengths], "A")
            bound = told_so if np.isfinite(told_so) else None  # the base knew most facts of a hop
            value = float(np.median(units)) if units else None
            place = Place("", f"{c:g} × {' + '.join(names)}, {group}")
            yield place.reading(label, bound, value, "not applicable", note)
