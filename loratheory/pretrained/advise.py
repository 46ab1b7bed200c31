"""Which combination method keeps what adapters do alone: measured on some of their prompts.

No answer is needed: what each adapter alone says next is what should be kept. Some prompts choose
coefficients, so that the largest KL divergence from an adapter alone is least; others score. If
answers are given, only prompts count on which the adapter alone is right.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
import torch

from loratheory.adapters import Adapter, AdapterOrPath, read_all
from loratheory.pretrained.attach import Attached, attach
from loratheory.pretrained.coefficients import divergence_slopes, optimise_coefficients
from loratheory.pretrained.methods import METHODS, Method, Subjects, attach_method
from loratheory.pretrained.metrics import (
    Share,
    first_tokens,
    kl_by_row,
    kl_to_base,
    measure_drift,
    next_token_logits,
    retention,
    token_log_probs,
    top1,
)
from loratheory.pretrained.models import GENERIC, Model, ModelError, failure, maps

CHOOSING = 8  # prompts of an adapter that choose, at most
ENOUGH = 0.9  # the part of each adapter that a merge must keep to be taken without asking routers
CLEARLY = 0.1  # by so much more must routers keep of the adapter that loses most to be taken
# By adapter, from each prompt to its answer, which is empty where it is not known.
Prompts = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Retention:
    """What one method keeps of one adapter."""

    share: Share  # of its scoring prompts, those answered as by the adapter alone; if answers are
    # known, of those that it knows
    kl: float | None  # from the adapter alone, mean, nats; None for questions that are no adapter's


@dataclass(frozen=True)
class Evaluation:
    """One method: its coefficients, what it costs, and what it keeps."""

    method: str  # a name in `METHODS`, or of what was to be compared
    coefficients: tuple[float, ...]  # one for each adapter, or the one that scales the merge
    cost: float  # multiplications for a token of a prompt, relative to the mean adapter alone
    chosen_kl: float  # the largest mean divergence of an adapter on the prompts that choose
    marks: tuple[Retention, ...]  # of each adapter, in their order, then of further questions
    drift: float  # KL divergence from the base on generic text, nats per token

    @property
    def worst(self) -> Share:
        """What is kept of the adapter that loses most."""
        owned = [mark for mark in self.marks if mark.kl is not None]
        return min(owned, key=lambda mark: (mark.share.part, -(mark.kl or 0.0))).share


@dataclass(frozen=True)
class Advice:
    """What was tried, and which method is recommended."""

    adapters: tuple[str, ...]
    alone: tuple[Share, ...]  # scoring prompts that each alone answers rightly; empty if unknown
    base: tuple[Share, ...]  # of what counts for each adapter, what the base answers without any
    drifts: tuple[float, ...]  # of each adapter, as `measure_drift` has them
    tried: tuple[Evaluation, ...]  # in the order asked, then what was to be compared
    best: str  # the method to take; empty if none was tried
    reason: str  # why, in a sentence or two
    notes: tuple[str, ...]  # methods that could not be tried, and why


def split_prompts(prompts: Prompts) -> tuple[Prompts, Prompts]:
    """Split each adapter's prompts into those that choose coefficients and those that score.

    Half of them choose, at most eight, evenly spaced. Raises `ModelError` where there is only one.
    """
    choosing, scoring = dict[str, dict[str, str]](), dict[str, dict[str, str]]()
    for name, pairs in prompts.items():
        if len(pairs) < 2:
            fact = "it has one prompt, and some choose while others score"
            raise failure(name, fact, "give at least two, better twenty")
        # At least as many score as choose.
        count = min(CHOOSING, len(pairs) // 2)
        chosen = np.linspace(0, len(pairs) - 1, count).round()
        choosing[name], scoring[name] = {}, {}
        for i, (prompt, answer) in enumerate(pairs.items()):
            (choosing if i in chosen else scoring)[name][prompt] = answer
    return choosing, scoring


class _Exam:
    """Prompts of each adapter, and what each adapter alone says after its own.

    The groups, whose `names` are those of adapters first, have `prompts` each; `owner` (n,) is the
    group of each prompt, `alone` (n, v) log-probabilities, those of the base where a group is no
    adapter's, and `target` (n,) the tokens that are right: the first tokens of the answers, or what
    the adapter alone says. Costs a pass over its prompts for each adapter.
    """

    def __init__(self, model: Model, adapters: Sequence[Adapter], groups: Prompts) -> None:
        self.model, self.names, self.prompts = model, tuple(groups), [*map(list, groups.values())]
        self.owner = np.repeat(np.arange(len(groups)), [*map(len, self.prompts)])
        alone, targets = [], []
        with attach(model, adapters, 0.0) as acting:
            for number, pairs in enumerate(groups.values()):
                # Further groups are no adapter's: then nobody acts.
                acting.set(np.arange(len(adapters)) == number)
                alone.append(next_token_logits(model, self.prompts[number]).log_softmax(-1))
                answers = [*pairs.values()]
                known = all(answers)
                first = first_tokens(model, answers, self.prompts[number]) if known else None
                targets.append(alone[-1].argmax(1) if first is None else first)
        self.alone, self.target = torch.cat(alone), torch.cat(targets)

    @property
    def right(self) -> np.ndarray:
        """Where the adapter alone is right."""
        return top1(self.alone, self.target)

    def ask(self) -> tuple[np.ndarray, np.ndarray]:
        """With what acts now, the mean divergence of each group, and which answers are right."""
        prompts = [*chain.from_iterable(self.prompts)]
        now = next_token_logits(self.model, prompts).log_softmax(-1)
        # Rounding makes a divergence of nothing negative.
        kl = kl_by_row(self.alone, now).clamp(min=0).double().numpy()
        means = np.bincount(self.owner, kl) / np.bincount(self.owner)
        return means, top1(now, self.target)

    def slopes(self, acting: Attached, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """With these coefficients the mean divergence of each group, and its derivatives."""
        alone = self.alone.split([*map(len, self.prompts)])
        return divergence_slopes(self.model, acting, self.prompts, alone, coefficients)

    def score(self, owned: int) -> tuple[Retention, ...]:
        """Return what is kept of each group; the first `owned` are adapters'."""
        means, said = self.ask()
        counted = self.right | (self.owner >= owned)  # of further questions all count
        # Further questions are no adapter's, so that there is nothing to diverge from.
        marks = []
        for i, share in enumerate(retention(self.names, self.owner, said, counted)):
            marks.append(Retention(share, float(means[i]) if i < owned else None))
        return tuple(marks)


class _Evaluator:
    """What evaluating one method after another shares: both exams, the base, measured points."""

    def __init__(
        self, model: Model, adapters: Sequence[Adapter], choosing: Prompts, scoring: Prompts
    ) -> None:
        self.model, self.count = model, len(adapters)
        self.trial = _Exam(model, adapters, choosing)
        self.exam = _Exam(model, adapters, scoring)
        # Numbers of the mean adapter, and the base's log-probabilities on generic text.
        self.size = sum(map(_count_numbers, adapters)) / self.count
        self.base, _ = token_log_probs(model, GENERIC, at_once=True)
        self.measured: dict[Any, np.ndarray] = {}

    def evaluate(self, name: str, method: Method, acting: Attached) -> Evaluation:
        """Optimise the coefficients of a method that acts now, score it, and take it off."""

        def _measure(coefficients: np.ndarray) -> np.ndarray:
            # Sums of the adapters share what they measure, and all methods share the base.
            what = "sum" if method.rule == "cat" else (method.rule, name)
            key = (what, *coefficients.tolist()) if coefficients.any() else ()
            if key not in self.measured:
                acting.set(coefficients)
                self.measured[key] = self.trial.ask()[0]
            return self.measured[key]

        with acting:
            first = acting.coefficients[0].tolist()
            slopes = partial(self.trial.slopes, acting)
            numbers, kl = optimise_coefficients(_measure, slopes, method.free, first)
            acting.set(numbers)
            now, _ = token_log_probs(self.model, GENERIC, at_once=True)
            marks = self.exam.score(self.count)
            cost = self.cost(method, acting)
        return Evaluation(name, numbers, cost, kl, marks, kl_to_base(self.base, now))

    def cost(self, method: Method, acting: Attached) -> float:
        """Return the multiplications for a token, relative to the base with the mean adapter."""
        whole = 0
        for place in maps(self.model).values():
            # Looking up multiplies nothing.
            if not place.embedding:
                whole += place.shape[0] * place.shape[1]
        added = sum(site.up.numel() + site.down.numel() for site in acting.sites.values())
        return method.passes(self.count) * (whole + added) / (whole + self.size)


def _count_numbers(adapter: Adapter) -> int:
    """Return how many multiplications an adapter adds to a token, one for each number."""
    return sum(low.width * sum(low.shape) for low in adapter.values())


def advise(
    model: Model,
    adapters: Sequence[AdapterOrPath],
    choosing: Prompts,
    scoring: Prompts,
    *,
    methods: Sequence[str] = tuple(METHODS),
    others: Mapping[str, Adapter] | None = None,
    moments: Sequence[Any] | None = None,
    about: Sequence[Subjects] = (),
    begin: Callable[[str], None] = lambda _: None,
) -> Advice:
    """Evaluate combination methods on prompts of each adapter, and recommend one.

    Parameters
    ----------
    model : Model
        With a tokenizer.
    adapters : sequence of Adapter or path
        Two or more.
    choosing : mapping
        By adapter, in their order, prompts that choose coefficients; answers are ignored.
    scoring : mapping
        In the same order prompts that score, with answers to all or none; then, if wanted, further
        groups with answers, such as two-hop questions. `split_prompts` makes both of one mapping.
    methods : sequence of str
        Names in `METHODS`; regmean is left out without `moments`, subject routing without `about`.
    others : mapping, optional
        Merged adapters by name, to be scored together with the methods.
    moments : sequence, optional
        The adapters' input moments for regmean, as `loratheory.adapters.merge` takes them.
    about : sequence of Subjects, optional
        What each adapter is about, for subject routing; `read_subjects` reads it from a card.
    begin : callable
        Called with what begins: "each adapter alone", then the name of each method and of the
        others.

    Returns
    -------
    Advice
        Costs at most 14 passes over the choosing prompts for each method with one coefficient, and
        for k adapters with one each at most k + 15 and 16 + 2k with gradients, of about two passes
        and the activations of sixteen prompts; `optimise_coefficients` says how. Every method costs
        a pass over the scoring prompts, too. Passes of routers cost more.

    Raises
    ------
    ModelError
        If there is no such method, or an adapter alone answers none of its scoring prompts rightly.
    """
    if unknown := {*methods} - {*METHODS}:
        raise failure(repr(min(unknown)), "no such method", f"choose from {', '.join(METHODS)}")
    # What each adapter alone says is the standard that every method is held against.
    names, adapters = tuple(choosing), read_all(adapters)
    begin("each adapter alone")
    evaluator = _Evaluator(model, adapters, choosing, scoring)
    alone, bare = _measure_alone(evaluator.exam, len(adapters))
    tried, notes, given = list[Evaluation](), list[str](), {"moments": moments, "subjects": about}
    # A method that is named twice is tried once.
    for name in dict.fromkeys(methods):
        method = METHODS[name]
        # A method that lacks what it needs is left out without a word.
        if not all(map(given.get, method.needs)):
            continue
        begin(name)
        try:
            acting = attach_method(model, adapters, method, moments=moments, about=about)
        except ModelError as error:  # an embedding has no gates, for instance
            notes.append(f"{name} cannot be tried: {error}")
            continue
        tried.append(evaluator.evaluate(name, method, acting))
    best, reason = recommend(tried)
    # Not before the recommendation: what was to be compared is never the advice.
    for name, adapter in (others or {}).items():
        begin(name)
        # A finished merge has nothing left to choose.
        tried.append(evaluator.evaluate(name, Method(name, free=""), attach(model, [adapter])))
    if not best and tried:
        sentences = []
        for one in tried:
            kept = [_describe(mark.share) for mark in one.marks if mark.kl is not None]
            sentences.append(f"{one.method} retains {', '.join(kept)}.")
        reason = " ".join(sentences)
    known = any(chain.from_iterable(scoring[name].values() for name in names))
    said, drifts = tuple(alone) if known else (), measure_drift(model, adapters)
    return Advice(names, said, tuple(bare), drifts, tuple(tried), best, reason, tuple(notes))


def _measure_alone(exam: _Exam, count: int) -> tuple[list[Share], list[Share]]:
    """Return what each of `count` adapters alone answers rightly, and the base of what counts."""
    alone = retention(exam.names, exam.owner, exam.right, exam.owner >= 0)[:count]
    for share in alone:
        if not share.right:
            fact = f"alone it is right on none of {share.total} prompts: nothing of it can be kept"
            raise failure(share.what, fact, "see that it was trained on these prompts and answers")
    # Only what an adapter knows alone can be lost.
    counted = exam.right | (exam.owner >= count)
    return alone, retention(exam.names, exam.owner, exam.ask()[1], counted)[:count]


def recommend(tried: Sequence[Evaluation]) -> tuple[str, str]:
    """Return the method to take of those tried, and why.

    The best merge and the best router have the least divergence on the prompts that choose. The
    merge is taken where it keeps the part `ENOUGH` of every adapter on the others, or, of the one
    that loses most, less by no more than `CLEARLY` than the router does.
    """
    best: dict[bool, Evaluation] = {}
    for one in sorted(tried, key=attrgetter("chosen_kl")):
        best.setdefault(METHODS[one.method].gates is None, one)
    merge, gate = best.get(True), best.get(False)
    # A merge costs what one adapter costs, so that gates must keep clearly more.
    if merge and (gate is None or merge.worst.part >= min(ENOUGH, gate.worst.part - CLEARLY)):
        reason = f"{_describe_worst(merge)}; {_describe_drift(merge)}; cost of one adapter."
        if merge.worst.part >= ENOUGH:
            return merge.method, reason
        more = f"No gating or routing retains over {100 * CLEARLY:.0f} points more"
        least = more if gate else "No gating or routing was tried"
        return merge.method, f"{reason} {least}. One adapter at a time would lose nothing."
    if gate is None:
        return "", "No method was tried, so none is recommended."
    reason = f"{_describe_worst(gate)}; {_describe_drift(gate)}; cost of {gate.cost:.1f} adapters."
    if merge:
        reason += f" The best merge, {merge.method}, retains {_describe(merge.worst)}."
    return gate.method, reason


def _describe_drift(one: Evaluation) -> str:
    return f"drift {one.drift:.2g} nats per token"


def _describe(share: Share) -> str:
    return f"{share.right} of {share.total} answers of {share.what}"


def _describe_worst(one: Evaluation) -> str:
    if one.worst.part == 1:
        return "Every adapter retains all its answers"
    return f"The lowest retention is {_describe(one.worst)}"
