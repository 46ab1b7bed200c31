"""Which way of reuse keeps what adapters do alone: measured on some of their prompts.

No answer is needed: what each adapter alone says next is what should be kept. Some prompts choose
coefficients, so that the largest KL divergence from an adapter alone is least; others score. If
answers are given, only prompts count on which the adapter alone is right.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from loratheory.adapters import Adapter
from loratheory.pretrained._ask import first_tokens, leak, next_logits, token_logs
from loratheory.pretrained._attach import Attached, attached
from loratheory.pretrained._model import GENERIC, Model, ModelError, failure, maps
from loratheory.pretrained._reuse import WAYS, About, Way, digest, put_on
from loratheory.pretrained._teach import Share
from loratheory.pretrained._train import identity
from loratheory.pretrained.coefficients import divergence_slopes, optimise_coefficients
from loratheory.store import code, content_hash, write_whole

CHOOSING = 8  # prompts of an adapter that choose, at most
ENOUGH = 0.9  # the part of each adapter that a merge must keep to be taken without asking gates
CLEARLY = 0.1  # by so much more must gates keep of the adapter that loses most to be taken instead
Prompts = Mapping[str, Mapping[str, str]]
"""By adapter, from each prompt to its answer, which is empty where it is not known."""


@dataclass(frozen=True)
class Mark:
    """What one way keeps of one adapter."""

    share: Share  # of its scoring prompts, those answered as by the adapter alone; if answers are
    # known, of those that it knows
    kl: float | None  # from the adapter alone, mean, nats; None for questions that are no adapter's


@dataclass(frozen=True)
class Tried:
    """One way: its coefficients, what it costs, and what it keeps."""

    way: str  # a name in `WAYS`, or of what was to be compared
    coefficients: tuple[float, ...]  # one for each adapter, or the one that scales the merge
    cost: float  # multiplications for a token of a prompt, relative to the mean adapter alone
    chosen_kl: float  # the largest mean divergence of an adapter on the prompts that choose
    marks: tuple[Mark, ...]  # of each adapter, in their order, then of questions that are no one's
    leak: float  # from the base on ordinary sentences, nats a token

    @property
    def worst(self) -> Share:
        """What is kept of the adapter that loses most."""
        owned = [mark for mark in self.marks if mark.kl is not None]
        return min(owned, key=lambda mark: (mark.share.part, -(mark.kl or 0.0))).share


@dataclass(frozen=True)
class Advice:
    """What was tried, and which way is recommended."""

    adapters: tuple[str, ...]
    alone: tuple[Share, ...]  # scoring prompts that each alone answers rightly; empty if unknown
    base: tuple[Share, ...]  # of what counts for each adapter, what the base answers without any
    leaks: tuple[float, ...]  # of each adapter, as `leaks` has them
    tried: tuple[Tried, ...]  # in the order asked, then what was to be compared
    best: str  # the way to take; empty if none was tried
    reason: str  # why, in a sentence or two
    notes: tuple[str, ...]  # ways that could not be tried, and why


def leaks(model: Model, adapters: Sequence[Adapter]) -> tuple[float, ...]:
    """Return how far each adapter moves the base on ordinary sentences, which are not its own.

    KL divergence in nats a token. Costs a pass over twelve sentences for the base and each adapter.
    """
    base, found = token_logs(model, GENERIC)[0] if adapters else None, list[float]()
    for adapter in adapters:
        with attached(model, [adapter]):
            found.append(leak(base, token_logs(model, GENERIC)[0]))
    return tuple(found)


def halved(prompts: Prompts) -> tuple[Prompts, Prompts]:
    """Split each adapter's prompts into those that choose coefficients and those that score.

    Half of them choose, at most eight, evenly spaced. Raises `ModelError` where there is only one.
    """
    choosing, scoring = dict[str, dict[str, str]](), dict[str, dict[str, str]]()
    for name, pairs in prompts.items():
        if len(pairs) < 2:
            fact = "it has one prompt, and some choose while others score"
            raise failure(name, fact, "give at least two, better twenty")
        count = min(CHOOSING, len(pairs) // 2)
        chosen = {round(i) for i in np.linspace(0, len(pairs) - 1, count).tolist()}
        choosing[name], scoring[name] = {}, {}
        for i, (prompt, answer) in enumerate(pairs.items()):
            (choosing if i in chosen else scoring)[name][prompt] = answer
    return choosing, scoring


@dataclass(frozen=True, eq=False)
class _Exam:
    """Prompts of each adapter, and what each adapter alone says after its own."""

    names: tuple[str, ...]  # of the groups, those of adapters first
    owner: np.ndarray  # (n,), of each prompt its group
    prompts: list[str]
    alone: Any  # (n, v) log-probabilities; the base's for prompts that are no adapter's
    target: Any  # (n,) tokens that are right: the answers', or what the adapter alone says

    @classmethod
    def of(cls, model: Model, adapters: Sequence[Adapter], groups: Prompts) -> "_Exam":
        """Costs a pass over its prompts for each adapter; answers are told by first tokens."""
        import torch

        alone, targets = [], []
        with attached(model, adapters, 0.0) as acting:
            for number, pairs in enumerate(groups.values()):
                acting.set([float(number == j) for j in range(len(adapters))])
                alone.append(next_logits(model, [*pairs]).log_softmax(-1))
                answers = [*pairs.values()]
                known = all(answers)
                targets.append(first_tokens(model, answers) if known else alone[-1].argmax(1))
        owner = np.repeat(np.arange(len(groups)), [len(pairs) for pairs in groups.values()])
        prompts = [prompt for pairs in groups.values() for prompt in pairs]
        return cls(tuple(groups), owner, prompts, torch.cat(alone), torch.cat(targets))

    @property
    def right(self) -> np.ndarray:
        """Where the adapter alone is right."""
        return (self.alone.argmax(1) == self.target).numpy()

    def asked(self, model: Model) -> tuple[np.ndarray, np.ndarray]:
        """With what acts now, the mean divergence of each group, and which answers are right."""
        now = next_logits(model, self.prompts).log_softmax(-1)
        kl = (self.alone.exp() * (self.alone - now)).sum(1).clamp(min=0).double().numpy()
        means = np.bincount(self.owner, kl) / np.bincount(self.owner)
        return means, (now.argmax(1) == self.target).numpy()

    def slopes(
        self, model: Model, acting: Attached, coefficients: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """With these coefficients the mean divergence of each group, and its derivatives."""
        rows = [np.flatnonzero(self.owner == group) for group in range(len(self.names))]
        prompts = [[self.prompts[i] for i in row] for row in rows]
        return divergence_slopes(
            model, acting, prompts, [self.alone[row] for row in rows], coefficients
        )

    def shares(self, said: np.ndarray, counts: np.ndarray) -> list[Share]:
        """Of each group, how many of the prompts that count are answered rightly."""
        right, asked = (np.bincount(self.owner, x).astype(int) for x in (said & counts, counts))
        return [
            Share.of(*row) for row in zip(self.names, right.tolist(), asked.tolist(), strict=True)
        ]

    def marks(self, model: Model, owned: int) -> tuple[Mark, ...]:
        """What is kept of each group; the first `owned` are adapters'."""
        means, said = self.asked(model)
        shares = self.shares(said, self.right | (self.owner >= owned))
        return tuple(
            Mark(share, float(mean) if i < owned else None)
            for i, (share, mean) in enumerate(zip(shares, means, strict=True))
        )


def advised(
    model: Model,
    adapters: Sequence[Adapter],
    choosing: Prompts,
    scoring: Prompts,
    *,
    ways: Sequence[str] = tuple(WAYS),
    others: Mapping[str, Adapter] | None = None,
    moments: Sequence[Any] | None = None,
    about: Sequence[About] = (),
    kept_in: Path | None = None,
    begin: Callable[[str], None] = lambda _: None,
) -> Advice:
    """Try ways of reuse on prompts of each adapter, and recommend one.

    Parameters
    ----------
    model : Model
        With a tokenizer.
    adapters : sequence of Adapter
        Two or more.
    choosing : mapping
        By adapter, in their order, prompts that choose coefficients; answers are ignored.
    scoring : mapping
        In the same order prompts that score, with answers to all or none; then, if wanted, further
        groups with answers, such as two-hop questions. `halved` splits one mapping into these two.
    ways : sequence of str
        Names in `WAYS`; regmean is left out without `moments`, subject gates without `about`.
    others : mapping, optional
        Merged adapters by name, to be scored beside the ways.
    moments : sequence, optional
        The adapters' input moments for regmean, as `loratheory.adapters.merge` takes them.
    about : sequence of About, optional
        What each adapter is about, for subject gates; `about_in` reads it from a card.
    kept_in : Path, optional
        A folder for what each way was found to do, but for regmean. A later call with the same
        adapters, prompts and code reads it there: one that was interrupted goes on. For models that
        were loaded by name only, since others cannot be told apart.
    begin : callable
        Called with what begins: "each adapter alone", then the name of each way and of the others.

    Returns
    -------
    Advice
        Costs at most 14 passes over the choosing prompts for each way with one coefficient, and for
        k adapters with one each at most k + 15 and 16 + 2k with gradients, of about two passes and
        the activations of sixteen prompts; `optimise_coefficients` says how. Every way costs a pass
        over the scoring prompts, too. Passes of gates cost more.

    Raises
    ------
    ModelError
        If an adapter alone answers none of its scoring prompts rightly.
    """
    count, names = len(adapters), tuple(choosing)
    begin("each adapter alone")
    trial, exam = (_Exam.of(model, adapters, part) for part in (choosing, scoring))
    alone = exam.shares(exam.right, exam.owner >= 0)[:count]
    for share in alone:
        if not share.right:
            fact = f"alone it is right on none of {share.asked} prompts: nothing of it can be kept"
            raise failure(share.what, fact, "see that prompts and answers are what it was taught")
    bare = exam.shares(exam.asked(model)[1], exam.right | (exam.owner >= count))[:count]
    size = sum(low.width * sum(low.shape) for one in adapters for low in one.values()) / count
    whole = sum(m * n for _, (m, n), embedding in maps(model).values() if not embedding)
    tried, notes, base = list[Tried](), list[str](), token_logs(model, GENERIC, at_once=True)[0]
    measured = dict[Any, np.ndarray]()

    def _try(name: str, way: Way, acting: Attached) -> None:
        def _measure(coefficients: np.ndarray) -> np.ndarray:
            # Ways by sums of the adapters share what they measure, and all share the base.
            what = "sum" if way.method == "cat" else (way.method, name)
            key = (what, *coefficients.tolist()) if coefficients.any() else ()
            if key not in measured:
                acting.set(coefficients)
                measured[key] = trial.asked(model)[0]
            return measured[key]

        with acting:
            first = acting.coefficients[0].tolist()
            slopes = partial(trial.slopes, model, acting)
            numbers, kl = optimise_coefficients(_measure, slopes, way.free, first)
            acting.set(numbers)
            lows = [low for row in acting.updates.values() for low in row]
            each = whole + sum(low.width * sum(low.shape) for low in lows)
            cost = way.passes(count) * each / (whole + size)
            moved = leak(base, token_logs(model, GENERIC, at_once=True)[0])
            tried.append(Tried(name, numbers, cost, kl, exam.marks(model, count), moved))

    same = list[Any]()
    if kept_in:
        asked = [[*choosing.items()], [*scoring.items()]]  # in their order, as the marks are
        same = [identity(model), [*map(digest, adapters)], asked, about, code(__name__)]
    for name in ways:
        way = WAYS[name]
        if (way.method == "regmean" and not moments) or (name == "subject gates" and not about):
            continue
        begin(name)
        file = kept_in / f"{content_hash([*same, name])}.json" if kept_in else None
        if file and file.exists():
            tried.append(_read(file))
            continue
        try:
            acting, _ = put_on(model, adapters, way, moments=moments, about=about)
        except ModelError as error:  # an embedding has no gates, for instance
            notes.append(f"{name} cannot be tried: {error}")
            continue
        _try(name, way, acting)
        if file and not moments:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, json.dumps(asdict(tried[-1])))
    best, reason = recommended(tried)
    reason += further(tried, best) + on_ordinary_text(tried, best)
    for name, adapter in (others or {}).items():
        begin(name)
        _try(name, Way(name, free=""), attached(model, [adapter]))
    if not best and tried:
        reason = " ".join(f"{one.way} keeps {_each(one)}." for one in tried)
    known = any(answer for name in names for answer in scoring[name].values())
    said, leaking = tuple(alone) if known else (), leaks(model, adapters)
    return Advice(names, said, tuple(bare), leaking, tuple(tried), best, reason, tuple(notes))


def _read(file: Path) -> Tried:
    """What a way was found to do, as `advised` keeps it."""
    row = json.loads(file.read_text("utf-8"))
    marks = tuple(Mark(Share(**one["share"]), one["kl"]) for one in row["marks"])
    return Tried(**{**row, "coefficients": tuple(row["coefficients"]), "marks": marks})


def recommended(
    tried: Sequence[Tried], *, enough: float = ENOUGH, clearly: float = CLEARLY
) -> tuple[str, str]:
    """Return the way to take of those tried, and why.

    The best merge and the best gates have the least divergence on the prompts that choose. The
    merge is taken where it keeps the part `enough` of every adapter on the others, or, of the one
    that loses most, less by no more than `clearly` than gates do.
    """
    merges = [one for one in tried if WAYS[one.way].gates is None]
    gates = [one for one in tried if WAYS[one.way].gates is not None]
    merge, gate = (
        min(some, key=lambda one: one.chosen_kl, default=None) for some in (merges, gates)
    )
    if merge and (gate is None or merge.worst.part >= min(enough, gate.worst.part - clearly)):
        reason = f"Merge them by {merge.way}: {_keeps(merge)}"
        if merge.worst.part >= enough:
            return merge.way, f"{reason}, and it costs what one adapter costs."
        least = "and gates keep hardly more" if gate else "and no gates were tried"
        return merge.way, f"{reason}, {least}; one adapter at a time would lose nothing."
    if gate is None:
        return "", "No way was tried, so none is recommended."
    reason = f"Route by {gate.way}: {_keeps(gate)}"
    if merge:
        reason += f"; the best merge, {merge.way}, keeps {_of(merge.worst)}"
    return gate.way, f"{reason}. A prompt costs {gate.cost:.1f} times what it costs one adapter."


def further(tried: Sequence[Tried], best: str) -> str:
    """Return a sentence if another way answers clearly more of the questions that are no adapter's.

    These do not decide what is recommended, and who asks them should know.
    """
    answered = dict[str, Share]()
    for one in tried:
        shares = [mark.share for mark in one.marks if mark.kl is None]
        right, asked = (sum(getattr(each, name) for each in shares) for name in ("right", "asked"))
        answered[one.way] = Share.of("further questions", right, asked)
    most = max(answered, key=lambda way: answered[way].part, default="")
    if not most or answered[most].part <= answered[best].part + CLEARLY:
        return ""
    fact = f"Of the further questions it answers {answered[best].right} of {answered[best].asked}"
    return f" {fact}, and {most} {answered[most].right}."


def on_ordinary_text(tried: Sequence[Tried], best: str) -> str:
    """Return a sentence on what the best way does to sentences that are no adapter's."""
    moved = [one.leak for one in tried if one.way == best]
    return f" It moves ordinary sentences by {moved[0]:.2g} nats a token." if moved else ""


def _each(one: Tried) -> str:
    return ", ".join(_of(mark.share) for mark in one.marks if mark.kl is not None)


def _of(share: Share) -> str:
    return f"{share.right} of {share.asked} answers of {share.what}"


def _keeps(one: Tried) -> str:
    if one.worst.part == 1:
        return "it keeps every answer"
    return f"it keeps {_of(one.worst)}, which loses most"
