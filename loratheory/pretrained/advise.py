"""Which combination method keeps what adapters do alone: measured on some of their prompts.

No answer is needed: what each adapter alone writes is what should be kept. Some prompts choose
coefficients, so that the largest KL divergence from an adapter alone is least; others score. If
answers are given, only prompts count on which the adapter alone is right.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import Any

import numpy as np

from loratheory.adapters import Adapter, AdapterOrPath, read_all
from loratheory.pretrained.attach import Attached, attach, fit_adapters
from loratheory.pretrained.coefficients import optimise_coefficients
from loratheory.pretrained.exam import TOKENS, Divergence, Exam, Scorer, join_slopes
from loratheory.pretrained.methods import METHODS, Method, Subjects, attach_method
from loratheory.pretrained.metrics import Share, kl_to_base, measure_drift, token_log_probs
from loratheory.pretrained.models import GENERIC, Model, ModelError, failure, maps
from loratheory.pretrained.verdict import Verdict, recommend

CHOOSING = 8  # prompts of an adapter that choose, at most
# By adapter, from each prompt to its answer, which is empty where it is not known.
Prompts = Mapping[str, Mapping[str, str]]
Exams = Mapping[str, Exam]
MERGES = tuple(name for name, method in METHODS.items() if method.gates is None)


@dataclass(frozen=True)
class Loss:
    """A prompt whose answer a method loses, and the texts before and after."""

    adapter: str
    prompt: str
    alone: str
    combined: str


@dataclass(frozen=True)
class Evaluation:
    """One method: its coefficients, what it costs, and what it keeps."""

    method: str  # a name in `METHODS`, or of what was to be compared
    coefficients: tuple[float, ...]  # one for each adapter, or the one that scales the merge
    cost: float  # multiplications for a token of a prompt, relative to the mean adapter alone
    chosen_kl: float  # the largest mean divergence of an adapter on the prompts that choose, nats
    kept: tuple[Share, ...]  # for each adapter, of the prompts that count, those still right
    further: tuple[Share, ...]  # right answers to questions that belong to no adapter
    losses: tuple[Loss, ...]  # of each adapter that loses something, the first prompt
    drift: float  # KL divergence from the base on generic text, nats per token


@dataclass(frozen=True)
class Advice:
    """What was tried, and what is recommended."""

    adapters: tuple[str, ...]
    judged: str  # what is compared, in words
    alone: tuple[Share, ...]  # scoring prompts on which each adapter alone is right
    base: tuple[Share, ...]  # of what counts for each adapter, where the base is right without any
    drifts: tuple[float, ...]  # of each adapter, as `measure_drift` has them
    tried: tuple[Evaluation, ...]  # in the order asked, then what was to be compared
    verdict: Verdict
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


class _Evaluator:
    """What evaluating one method after another shares: prompts, the base, points that are measured.

    The first exams are the adapters', in their order; others are of questions that need several.
    """

    def __init__(
        self, model: Model, adapters: Sequence[Adapter], search: Sequence[Divergence], exams: Exams
    ) -> None:
        self.model, self.count, self.search, self.exams = model, len(adapters), search, exams
        # Numbers of the mean adapter, and the base's log-probabilities on generic text.
        self.size = sum(map(_count_numbers, adapters)) / self.count
        self.base, _ = token_log_probs(model, GENERIC, at_once=True)
        self.measured: dict[Any, np.ndarray] = {}

    def measure_alone(self) -> tuple[list[Share], list[Share]]:
        """Return what each adapter alone answers rightly, and the base of what counts."""
        alone = []
        for name, exam in [*self.exams.items()][: self.count]:
            alone.append(Share.of(name, int(exam.right.sum()), len(exam.right)))
            if not alone[-1].right:
                fact = f"alone it is right on none of {len(exam.right)} prompts"
                remedy = "see that it was trained on these prompts and answers, or give no answers"
                raise failure(name, fact, remedy)
        return alone, self._judge(None)[0][: self.count]

    def evaluate(self, name: str, method: Method, acting: Attached) -> Evaluation:
        """Optimise the coefficients of a method that acts now, score it, and take it off."""

        def _measure(coefficients: np.ndarray) -> np.ndarray:
            # Sums of the adapters share what they measure, and all methods share the base.
            what = "sum" if method.rule == "cat" else (method.rule, name)
            key = (what, *coefficients.tolist()) if coefficients.any() else ()
            if key not in self.measured:
                acting.set(coefficients)
                self.measured[key] = np.array([one.measure(acting) for one in self.search])
            return self.measured[key]

        with acting:
            first = acting.coefficients[0].tolist()
            slopes = partial(join_slopes, self.search, acting)
            numbers, kl = optimise_coefficients(_measure, slopes, method.free, first)
            acting.set(numbers)
            now, _ = token_log_probs(self.model, GENERIC, at_once=True)
            shares, losses = self._judge(acting)
            cost = self.cost(method, acting)
        kept, further = tuple(shares[: self.count]), tuple(shares[self.count :])
        drift = kl_to_base(self.base, now)
        return Evaluation(name, numbers, cost, kl, kept, further, tuple(losses), drift)

    def _judge(self, acting: Attached | None) -> tuple[list[Share], list[Loss]]:
        """Return what is right in each exam, and the first prompt that each adapter loses."""
        shares, losses = list[Share](), list[Loss]()
        for number, (name, exam) in enumerate(self.exams.items()):
            # Only what an adapter knows alone can be lost; of further questions all count.
            own = number < self.count
            counted, right = exam.right | (not own), exam.judge(acting)
            shares.append(Share.of(name, int((right & counted).sum()), int(counted.sum())))
            for i in np.flatnonzero(counted & ~right).tolist() if own and acting else ():
                [text] = exam.write([i], acting)
                # Decoding may round a tie in another way than a pass over the whole text.
                if text != exam.read(i):
                    losses.append(Loss(name, exam.prompts[i], exam.read(i), text))
                    break
        return shares, losses

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
    tokens: int = TOKENS,
    scorer: Scorer = None,
    begin: Callable[[str], None] = lambda _: None,
) -> Advice:
    """Evaluate combination methods on prompts of each adapter, and say what to do with them.

    Parameters
    ----------
    model : Model
        With a tokenizer.
    adapters : sequence of Adapter or path
        Two or more.
    choosing : mapping
        By adapter, in their order, prompts that choose coefficients, with or without answers.
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
    tokens : int
        The longest text that is judged, unless an answer is longer. With 1 only first tokens are
        compared, which is faster.
    scorer : callable, optional
        From prompt, text and reference, which is the answer or else the text of the adapter alone,
        to a number from 0 to 1. A text is right from 0.5 on.
    begin : callable
        Called with what begins: "each adapter alone", then the name of each method and of the
        others.

    Returns
    -------
    Advice
        Costs at most 14 passes over the choosing prompts for each method with one coefficient, and
        for k adapters with one each at most k + 15 and 16 + 2k with gradients, of about two passes
        and the activations of sixteen prompts; `optimise_coefficients` says how. Every method costs
        a pass over the scoring prompts with their texts, or with a `scorer` one and a pass of a
        single token for each that is written. Passes of routers cost more.

    Raises
    ------
    ModelError
        If there is no such method, an adapter alone is right on none of its scoring prompts, or the
        scorer fails or returns no number from 0 to 1.
    """
    if unknown := {*methods} - {*METHODS}:
        raise failure(repr(min(unknown)), "no such method", f"choose from {', '.join(METHODS)}")
    # What each adapter alone writes is the standard that every method is held against.
    adapters = read_all(adapters)
    if others:
        # What does not fit is better found now than after all methods.
        fit_adapters(model, [*others.values()])
    begin("each adapter alone")
    names, search, exams = tuple(choosing), list[Divergence](), dict[str, Exam]()
    with attach(model, adapters, 0.0) as acting:
        for number, (name, pairs) in enumerate(scoring.items()):
            # Further groups are no adapter's: then nobody acts.
            acting.set(np.arange(len(adapters)) == number)
            own = name in choosing
            exams[name] = Exam(model, pairs, tokens, scorer, own=own)
            if own:
                # A scorer's references need not be what any adapter writes.
                some = dict.fromkeys(choosing[name], "") if scorer else choosing[name]
                search.append(Divergence.of(model, some, tokens))
    evaluator = _Evaluator(model, adapters, search, exams)
    alone, bare = evaluator.measure_alone()
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
    found = recommend(tried, MERGES)
    # Not before the recommendation: what was to be compared is never the advice.
    for name, adapter in (others or {}).items():
        begin(name)
        # A finished merge has nothing left to choose.
        tried.append(evaluator.evaluate(name, Method(name, free=""), attach(model, [adapter])))
    if found.prompts:
        # Those that choose come on top, and those that the adapter alone answers wrongly.
        asked = max(share.total / share.right for share in alone)
        found = replace(found, prompts=CHOOSING + ceil(found.prompts * asked))
    measured = (tuple(alone), tuple(bare), measure_drift(model, adapters), tuple(tried))
    return Advice(names, exams[names[0]].judged, *measured, found, tuple(notes))
