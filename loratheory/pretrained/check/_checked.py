"""Check all theorems about weights, inputs or logits on one model and its adapters."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from loratheory.adapters import Adapter
from loratheory.diagnosis import distinct, layer_of
from loratheory.lowrank import LowRank, double, host
from loratheory.pretrained._advise import leaks
from loratheory.pretrained._ask import inputs, one_by_one
from loratheory.pretrained._fit import fitted
from loratheory.pretrained._model import GENERIC, Model, failure, maps
from loratheory.pretrained.check import _module
from loratheory.pretrained.check._facts import Facts, Kept, answered, grouped
from loratheory.pretrained.check._heads import heads, of_scores
from loratheory.pretrained.check._module import Module
from loratheory.pretrained.check._reading import Reading
from loratheory.pretrained.check._weights import weight
from loratheory.shapes import Float64

TOKENS = 128
Progress = Callable[[Iterable[str], int], Iterable[str]]


class Question(NamedTuple):
    """What a theorem is asked: in words, and of each module that at least `adapters` change.

    `answers` is None where more than a module is looked at: an attention block, or logits.
    """

    text: str
    answers: Callable[[Module], Iterator[Reading]] | None = None
    adapters: int = 2


QUESTIONS = {
    "base": Question("Is the base weight noise? (largest singular value)", _module.spectrum, 0),
    "thm:intruder-threshold": Question(
        "Does an adapter top the weight? (squared overlap)", _module.intrusion, 1
    ),
    "thm:merge-floor": Question(
        "How near can one adapter come to all? (mean squared distance)", _module.floor
    ),
    "thm:rank-subadditivity": Question("Which rank has the sum? (at least)", _module.summed_rank),
    "thm:factor-mean-residual": Question(
        "What does averaging factors miss? (squared distance)", _module.factor_mean
    ),
    "thm:covariance-floor": Question(
        "What must one for all miss on inputs? (squared error)", _module.input_floor
    ),
    "thm:interference-angle": Question(
        "What does one answer to what others read? (output / input)", _module.crosstalk
    ),
    "thm:arrow-margin": Question(
        "Does Arrow send the nearest token right? (margin)", _module.arrow_nearest
    ),
    "thm:arrow-blind-spot": Question(
        "How many edited keys does Arrow send right? (share)", _module.arrow_blind
    ),
    "thm:arrow-law": Question(
        "How many of its facts does Arrow send right? (share)", _module.arrow_facts
    ),
    "thm:score-change-rank": Question("By which rank do attention scores move? (at most)"),
    "thm:averaging-survival": Question("Does a fact survive the merge? (margin in logits)"),
    "thm:two-read-region": Question("Do two facts compose in the merge? (margin, in deficits)"),
}
"""The theorems that are asked, in the order of what is printed; ``base`` is only measured."""


@dataclass(frozen=True)
class ModelCheck:
    """The result of checking the theorems on a model and its adapters."""

    model: str
    adapters: tuple[str, ...]  # their names, in the order given
    notes: tuple[str, ...]  # what the user should know about model and adapters, in sentences
    readings: tuple[Reading, ...]  # for each theorem, place and adapter or pair
    kept: tuple[Kept, ...] = ()  # answers of each group under each rule; empty without facts
    leaks: tuple[float, ...] = ()  # of each adapter, nats a token on ordinary sentences


def checked(
    model: Model,
    adapters: Sequence[Adapter] = (),
    *,
    layers: Collection[int] | None = None,
    facts: Facts | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> ModelCheck:
    """Check the theorems on a real model's weights, inputs and logits, as `loratheory verify` does.

    Parameters
    ----------
    model : Model
        The base. Nothing of it is changed.
    adapters : sequence of Adapter
        Without any, only the base is checked; two or more are also checked as merged and routed.
    layers : collection of int, optional
        Which layers' modules to look at; all where not given.
    facts : mapping, optional
        For each adapter's name the answer to each prompt; with two adapters also two-hop questions
        under any other name. Inputs of modules come from the first ten prompts of each adapter, or
        from twelve ordinary sentences if there are no facts.
    limit : int, optional
        The largest number of prompts asked of a group, evenly chosen; all where not given.
    progress : callable, optional
        ``progress(modules, count)`` wraps the work in a progress bar.

    Returns
    -------
    ModelCheck
        Costs the eigenvalues of each weight, its singular vectors once for each model (kept in the
        cache), and a few thin decompositions a module. Sums in float32 depend on the number of
        threads: values on one and on two differed by up to 4e-7, relatively.

    Raises
    ------
    ModelError
        If an adapter does not fit, no module is left, facts come without a tokenizer or belong to
        no adapter, or weights or inputs are not finite.
    AdapterError
        If the adapters do not fit each other.
    """
    places, notes = maps(model), list(model.notes)
    names = distinct([adapter.info.name for adapter in adapters])
    facts = grouped(facts, adapters, names) if facts else {}
    if facts and model.tokenizer is None:
        fact = "has no tokenizer to ask facts with"
        raise model.failure(fact, "leave facts")
    chosen = [
        name
        for name, place in places.items()
        if not place.embedding and layer_of(name) is not None and _within(name, layers)
    ]
    updates: dict[str, list[LowRank]] = {}
    inputs_of: dict[str, Any] = {}
    if adapters:
        together, _ = fitted(model, adapters)
        notes += (*together.report, *together.info.notes)
        updates = {
            name: [low.map(double).map(host) for low in together.updates(name)]
            for name in together.shapes
            if not places[name].embedding and _within(name, layers)
        }
        chosen = [*updates]
    if not chosen:
        fact = "no linear map is left to check"
        raise model.failure(fact, "name other layers or adapters")
    if adapters:
        own = [[*facts.get(name, ())][:10] for name in names]
        batches = one_by_one(model, [text for texts in own for text in texts] or GENERIC)
        inputs_of = inputs(model, batches, chosen)
        ids = [one["input_ids"][0].tolist() for one in batches]
    readings: list[Reading] = []
    for name in progress(chosen, len(chosen)) if progress else chosen:
        module = Module(name, weight(places[name], name))
        if adapters:
            some = [i for i, low in enumerate(updates[name]) if low.up.any() and low.down.any()]
            who, acting = tuple(names[i] for i in some), tuple(updates[name][i] for i in some)
            x = _tokens(name, inputs_of[name])
            asked = _by_prompt(inputs_of[name], ids, [len(texts) for texts in own])
            prompts = tuple(asked[i] for i in some if asked)
            module = Module(name, module.weight, who, acting, x, 1 / len(names), prompts)
        for question in QUESTIONS.values():
            if question.answers and len(module.updates) >= question.adapters:
                readings += question.answers(module)
    for block, pairs in heads(model, places).items() if adapters else ():
        if _within(block, layers):
            readings += of_scores(block, pairs, places, names, updates)
    margins, kept = answered(model, adapters, names, facts, limit)
    name = model.name or model.kind
    leaking = leaks(model, adapters)
    return ModelCheck(name, names, tuple(notes), (*readings, *margins), tuple(kept), leaking)


def _within(name: str, layers: Collection[int] | None) -> bool:
    return layers is None or layer_of(name) in layers


def _tokens(name: str, x: Any) -> Float64[np.ndarray, "t n"]:
    """At most `TOKENS` inputs, evenly chosen, none zero."""
    rows: Float64[np.ndarray, "t n"] = x.double().cpu().numpy()
    if not np.isfinite(rows).all():
        remedy = "load the base in float32 or bfloat16, or look for weights that are not finite"
        raise failure(name, "what the model feeds it is not finite", remedy)
    rows = rows[np.linalg.norm(rows, axis=1) > 0]
    return rows[:: max(1, -(-len(rows) // TOKENS))]


def _by_prompt(
    x: Any, ids: Sequence[Sequence[int]], counts: Sequence[int]
) -> list[tuple[Any, ...]]:
    """For each adapter the inputs of its prompts, without the tokens that stand in all of these.

    Empty where an adapter has no prompt, or a token did not come to the module.
    """
    if not all(counts) or len(x) != sum(map(len, ids)):
        return []
    rows = np.split(x.double().cpu().numpy(), np.cumsum(list(map(len, ids)))[:-1])
    found, start = [], 0
    for count in counts:
        some = list(zip(ids, rows, strict=True))[start : start + count]
        common = set[int]().union(*ids).intersection(*(tokens for tokens, _ in some))
        own = [[token not in common for token in tokens] for tokens, _ in some]
        found.append(tuple(r[m] if any(m) else r for (_, r), m in zip(some, own, strict=True)))
        start += count
    return found


SIGNED = ("thm:averaging-survival", "thm:two-read-region")


@dataclass(frozen=True)
class Line:
    """All readings of one theorem on the model, summed up.

    `bound` and `value` are medians of what was predicted and measured, silent readings included.
    For margins they are None, since a median would hide which adapter and rule of reuse lose what:
    see `Kept`. There `agree` is the share of readings whose bound and value have the same sign.
    """

    label: str
    question: str  # what the theorem was asked, in plain words
    places: int  # how many readings there are
    holds: int  # those that the judge found so, with those that are tight
    tight: int
    broken: int
    silent: int
    bound: float | None
    value: float | None
    agree: float | None
    why: str  # the commonest kind of note, from its first reading


def summary(readings: Sequence[Reading]) -> tuple[Line, ...]:
    """Return a line for each theorem that a check has readings of, in the order of `QUESTIONS`."""
    groups: dict[str, list[Reading]] = {label: [] for label in QUESTIONS}
    for reading in readings:
        groups["base" if reading.outcome == "measured" else reading.label].append(reading)
    return tuple(_line(QUESTIONS[label].text, some) for label, some in groups.items() if some)


def _line(question: str, readings: Sequence[Reading]) -> Line:
    label, counts = readings[0].label, Counter(reading.outcome for reading in readings)
    pairs = [(r.bound, r.value) for r in readings if r.bound is not None and r.value is not None]
    bound = value = agree = None
    if pairs and label in SIGNED:
        agree = sum((b > 0) == (v > 0) for b, v in pairs) / len(pairs)
    elif pairs:
        bound, value = (median(column) for column in zip(*pairs, strict=True))
    notes = [r.note for r in readings if r.outcome in ("not applicable", "measured")]
    notes = notes or [readings[0].note]
    heads = [note.partition(";")[0].rstrip("0123456789 ×.") for note in notes]
    return Line(
        label=label,
        question=question,
        places=len(readings),
        holds=counts["holds"] + counts["tight"],
        tight=counts["tight"],
        broken=counts["broken"],
        silent=counts["not applicable"],
        bound=bound,
        value=value,
        agree=agree,
        why=notes[heads.index(max(heads, key=heads.count))],
    )
