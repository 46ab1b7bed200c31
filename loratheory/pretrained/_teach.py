"""Teaching an adapter for partners yet unknown: a plan, stand-ins made from it, and the result.

One publisher's adapter answers the first hop of a two-hop question, another's the second, and
neither publisher sees the other's. The plan says how the partner's facts are put and which words
they may have. Stand-ins for the partner are made up so that any two disagree on everything, and act
while the adapter is trained. One more, the stranger, is only used to measure the adapter beside it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.stats import binomtest

from loratheory.adapters import Adapter
from loratheory.pretrained._ask import first_tokens, leak, next_logits, token_logs
from loratheory.pretrained._attach import attached
from loratheory.pretrained._model import GENERIC, Model, failure, json_in
from loratheory.pretrained._settings import StandIn, Training
from loratheory.pretrained._train import trained_once
from loratheory.store import content_hash

SIDES = ("after", "before")
TEXTS = ("sentences", "two_hop", "unread", "two_hop_unread")
REMEDY = "`loratheory teach --help` shows a plan"
Items = list[tuple[str, str]]


@dataclass(frozen=True)
class Partner:
    """What is known of the partner's facts, from which stand-ins are made.

    Attributes
    ----------
    side : {"after", "before"}
        "after" if the partner's facts are about this adapter's answers; "before" if the partner's
        answers are this adapter's subjects.
    sentences : tuple of str
        How the partner's facts are put, with ``{}`` for the subject.
    words : tuple of str
        For "after" the answers it may give, for "before" subjects it may have; they may be made up.
    """

    side: Literal["after", "before"]
    sentences: tuple[str, ...]
    words: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What an adapter is to be taught, and for what kind of partner.

    Attributes
    ----------
    facts : mapping of str to str
        The answer for each subject.
    sentences, two_hop : tuple of str
        `sentences` teach the facts; `two_hop` are questions that also need the partner's fact.
        ``{}`` is the subject; in `two_hop` it is the partner's where the partner comes before.
    partner : Partner
        What is known of the other adapter's facts.
    unread, two_hop_unread : tuple of str
        Further `sentences` and `two_hop` questions, kept for measuring.
    known : tuple of (str, str)
        Prompts and answers that the base knows and should keep.
    """

    facts: Mapping[str, str]
    sentences: tuple[str, ...]
    two_hop: tuple[str, ...]
    partner: Partner
    unread: tuple[str, ...] = ()
    two_hop_unread: tuple[str, ...] = ()
    known: tuple[tuple[str, str], ...] = ()

    @property
    def lesson(self) -> Items:
        """Return training pairs: every fact in every sentence, and those of `known`."""
        return [*asked(self.facts, self.sentences), *self.known]

    def check(self, stand_ins: int) -> None:
        """Raise `ModelError` if there are too few words for so many stand-ins and a stranger."""
        after = self.partner.side == "after"
        most = len(self.partner.words if after else self.facts)
        if stand_ins < 0 or stand_ins + 1 > most:
            place, what = "the plan", "words of the partner" if after else "facts"
            fact = f"{stand_ins} stand-ins and a stranger cannot all disagree on {most} {what}"
            raise failure(place, fact, f"give more {what}, or ask for fewer stand-ins")

    def says(self, number: int) -> dict[str, str]:
        """Return the made-up facts of one stand-in: its answer for each of its subjects."""
        if self.partner.side == "before":
            return disagreeing(self.partner.words, [*self.facts], number)
        return disagreeing(dict.fromkeys(self.facts.values()), self.partner.words, number)

    def composed(self, number: int) -> dict[str, str]:
        """Return the right answer to two-hop questions while that stand-in acts, by subject."""
        says = self.says(number)
        if self.partner.side == "after":
            return {subject: says[answer] for subject, answer in self.facts.items()}
        return {word: self.facts[subject] for word, subject in says.items()}


def disagreeing(names: Iterable[str], words: Sequence[str], number: int) -> dict[str, str]:
    """Return a word for every name, such that different numbers give every name different words.

    Name ``i`` gets word ``i + number``, counted around; numbers go up to ``len(words) - 1``.
    """
    return {name: words[(i + number) % len(words)] for i, name in enumerate(names)}


def asked(facts: Mapping[str, str], sentences: Sequence[str]) -> Items:
    """Every fact in every sentence."""
    return [(s.replace("{}", name), answer) for s in sentences for name, answer in facts.items()]


def plan_in(file: Path) -> Plan:
    """Return the plan in a JSON file, whose keys are the fields of `Plan` and `Partner`.

    Raises
    ------
    ModelError
        If the file cannot be read or a field is wrong; the message names the field.
    """
    content = json_in(file, REMEDY)
    if fact := _wrong(content):
        raise failure(str(file), fact, REMEDY)
    partner = content["partner"]
    return Plan(
        facts=content["facts"],
        partner=Partner(partner["side"], tuple(partner["sentences"]), tuple(partner["words"])),
        known=tuple((prompt, answer) for prompt, answer in content.get("known", [])),
        **{key: tuple(content.get(key, [])) for key in TEXTS},
    )


def _wrong(content: Mapping[str, Any]) -> str:
    """What is wrong with the content of a plan's file; empty where nothing is."""
    if fact := wrong_facts(content):
        return fact
    partner = content.get("partner")
    if not isinstance(partner, dict) or {*partner} != {*Partner.__dataclass_fields__}:
        return "'partner' is no object with 'side', 'sentences' and 'words'"
    if partner["side"] not in SIDES:
        return "'side' of the partner is neither 'after' nor 'before'"
    words = partner["words"]
    if not texts(words) or len({*words}) < len(words):
        return "'words' of the partner is no list of different words"
    lists = {"sentences of the partner": partner["sentences"], "two_hop": content.get("two_hop")}
    return wrong_sentences(lists)


def wrong_facts(content: Mapping[str, Any]) -> str:
    """What is wrong with the facts in such a file, whatever it says of a partner."""
    unknown = {*content} - {*Plan.__dataclass_fields__, "onward"}  # that is for `rehearsal` alone
    if unknown:
        return f"there is no field {min(unknown)!r}"
    facts, known = content.get("facts"), content.get("known", [])
    if not isinstance(facts, dict) or not facts or not texts([*facts, *facts.values()]):
        return "'facts' is no object from subjects to answers"
    if not isinstance(known, list) or not all(texts(pair) and len(pair) == 2 for pair in known):
        return "'known' is no list of pairs of prompt and answer"
    onward = content.get("onward", {})
    if not isinstance(onward, dict):
        return "'onward' is no object from sentences about answers to lists of two-hop sentences"
    if fact := onward and wrong_sentences({"onward": [*onward], **onward}):
        return fact
    some = [key for key in ("unread", "two_hop_unread") if content.get(key, []) != []]
    return wrong_sentences({key: content.get(key) for key in ("sentences", *some)})


def wrong_sentences(lists: Mapping[str, Any]) -> str:
    """What is wrong with lists of sentences, by their names in messages."""
    for name, value in lists.items():
        if not value or not texts(value):
            return f"{name!r} is no list of sentences"
        wrong = next((text for text in value if text.count("{}") != 1), None)
        if wrong is not None:
            return f"{name!r} holds {wrong!r}, which has no single {{}} to fill in"
    return ""


def texts(values: Any) -> bool:
    """Whether this is a list of texts, none of them blank."""
    return isinstance(values, list) and all(isinstance(x, str) and x.strip() for x in values)


@dataclass(frozen=True)
class Share:
    """How many answers (`right` of `asked`) are the most likely token of the whole vocabulary.

    `low` and `high` are Wilson's interval of that share at 95 %; `what` names the questions.
    """

    what: str
    right: int
    asked: int
    low: float
    high: float

    @classmethod
    def of(cls, what: str, right: int, asked: int) -> "Share":
        """Return the share with its interval, which is from 0 to 1 where nothing was asked."""
        if not asked:
            return cls(what, 0, 0, 0.0, 1.0)
        low, high = binomtest(right, asked).proportion_ci(method="wilson")
        return cls(what, right, asked, float(low), float(high))

    @property
    def part(self) -> float:
        """Right over asked; 0 where nothing was asked."""
        return self.right / max(self.asked, 1)

    def __str__(self) -> str:
        """Return the share with its interval, as in ``.75 (.60–.86)``."""
        part, low, high = (
            f"{value:.2f}".removeprefix("0") if value < 0.995 else "1"
            for value in (self.part, self.low, self.high)
        )
        return f"{part} ({low}–{high})"


@dataclass(frozen=True, eq=False)
class Taught:
    """An adapter, and what its publisher can measure of it without a partner.

    Attributes
    ----------
    adapter : Adapter
        The trained adapter.
    shares : tuple of Share
        Right answers without the adapter, with it alone, beside its first stand-in, and beside the
        stranger. Where the stand-in has many more than the stranger, the lessons were learnt by
        heart, stand-in by stand-in.
    leak : float
        Mean KL divergence from the base's next-token distribution on ordinary sentences, nats.
    subjects : tuple of str
        What its facts are about; `subject_gates` choose adapters by it.
    partner : {"after", "before"}
        Where a partner's facts come in a two-hop question, as in the plan.
    plan : str
        A content hash of the plan.
    settings : mapping
        How many stand-ins, steps and further lessons, the rank, the layers and the seed.
    """

    adapter: Adapter
    shares: tuple[Share, ...]
    leak: float
    subjects: tuple[str, ...]
    partner: Literal["after", "before"]
    plan: str
    settings: Mapping[str, Any]

    @property
    def card(self) -> dict[str, Any]:
        """Return the measurements and settings for ``adapter_card.json``."""
        return {
            "base": self.adapter.info.base,
            "subjects": [*self.subjects],
            "partner": self.partner,
            "plan": self.plan,
            "settings": dict(self.settings),
            "measured": [asdict(share) for share in self.shares],
            "leak": self.leak,
        }


def taught(
    model: Model,
    plan: Plan,
    *,
    stand_ins: int = 2,
    steps: int = 90,
    rank: int = 8,
    layers: tuple[int, int] | None = None,
    seed: int = 0,
    lessons: Sequence[tuple[str, str]] = (),
    described: Sequence[tuple[str, str]] = (),
    begin: Callable[[str], None] = lambda _: None,
) -> Taught:
    """Train an adapter beside stand-ins for its partner, and measure it beside a stranger.

    Parameters
    ----------
    model : Model
        With a tokenizer.
    plan : Plan
        Facts, sentences, and what is known of the partner.
    stand_ins : int
        How many act in training, in turn; with 0 the adapter is trained alone, and measured alike.
    steps : int
        Steps of its training.
    rank : int
        The rank of its updates.
    layers : (int, int) or None
        The first layer that it changes, counted from 0, and the one after the last; None for all.
    seed : int
        Determines all that is drawn.
    lessons : sequence of (prompt, answer)
        Further examples to train on, such as those of `rehearsal`, which describe the subjects.
    described : sequence of (prompt, answer)
        Questions about subjects by other descriptions: the share right alone is portability.
    begin : callable
        Called with the name of each of the ``stand_ins + 3`` stages as it begins.

    Returns
    -------
    Taught
        The adapter and what was measured. Each training is kept in the cache: a second call resumes
        it. Costs `steps` steps, and about 40 for each of the ``stand_ins + 1`` made-up partners.

    Raises
    ------
    ModelError
        If the plan has too few words for so many stand-ins to disagree, the model lacks some of
        the `layers`, or `steps` or `rank` is below 1.
    """
    plan.check(stand_ins)
    depth = int(model.network.config.num_hidden_layers)
    if layers and not 0 <= layers[0] < layers[1] <= depth:
        fact = f"layers {layers[0]} to {layers[1] - 1} are not all there"
        raise model.failure(fact, f"name some of the layers 0 to {depth - 1}")
    partners = []
    for number in range(stand_ins + 1):
        begin(f"stand-in {number + 1} of {stand_ins}" if number < stand_ins else "the stranger")
        lesson = [*asked(plan.says(number), plan.partner.sentences), *plan.known]
        partners.append(trained_once(model, lesson, seed=(seed, 1, number)))
    begin("the adapter")
    beside = []
    for number, adapter in enumerate(partners[:-1]):
        shown = asked(plan.composed(number), plan.two_hop)
        shown += asked(plan.says(number), plan.partner.sentences)  # or they would be drowned
        beside.append(StandIn(adapter, shown))
    how = replace(Training.beside_stand_ins(steps), rank=rank, alpha=2 * rank, layers=layers)
    examples = [*plan.lesson, *lessons]
    adapter = trained_once(model, examples, seed=(seed, 0), training=how, beside=beside)
    begin("measuring")
    shares, leaks = _measured(model, plan, adapter, partners, described)
    settings: dict[str, Any] = {"stand_ins": stand_ins, "steps": steps, "rank": rank, "seed": seed}
    settings |= {"layers": f"{layers[0]}-{layers[1] - 1}"} if layers else {}
    settings |= {"lessons": len(lessons)} if lessons else {}
    name = content_hash(asdict(plan))
    return Taught(adapter, shares, leaks, tuple(plan.facts), plan.partner.side, name, settings)


def _measured(
    model: Model,
    plan: Plan,
    adapter: Adapter,
    partners: Sequence[Adapter],
    described: Sequence[tuple[str, str]],
) -> tuple[tuple[Share, ...], float]:
    """What is answered without the adapter, with it, beside a stand-in, and beside the stranger."""
    number = len(partners) - 1
    two_hop = asked(plan.composed(number), plan.two_hop_unread or plan.two_hop)
    facts = asked(plan.facts, plan.unread or plan.sentences)
    others = asked(plan.says(number), plan.partner.sentences)
    shares = [_share(model, "known, base", plan.known), _share(model, "two-hop, base", two_hop)]
    base, _ = token_logs(model, GENERIC)
    with attached(model, [adapter]):
        shares += [_share(model, "facts, alone", facts), _share(model, "known, alone", plan.known)]
        shares.append(_share(model, "portability, alone", described))
        shares.append(_share(model, "two-hop, alone", two_hop))
        now, _ = token_logs(model, GENERIC)
    if number:
        met = asked(plan.composed(0), plan.two_hop_unread or plan.two_hop)
        with attached(model, [adapter, partners[0]]):
            shares.append(_share(model, "two-hop, beside a stand-in", met))
    with attached(model, [adapter, partners[-1]]):
        shares.append(_share(model, "two-hop, beside a stranger", two_hop))
        shares.append(_share(model, "facts, beside a stranger", facts))
        shares.append(_share(model, "the stranger's facts", others))
    return tuple(share for share in shares if share.asked), leak(base, now)


def _share(model: Model, what: str, questions: Sequence[tuple[str, str]]) -> Share:
    if not questions:
        return Share.of(what, 0, 0)
    wanted = first_tokens(model, [answer for _, answer in questions])
    said = next_logits(model, [prompt for prompt, _ in questions]).argmax(1)
    right = int(np.count_nonzero((said == wanted).numpy()))
    return Share.of(what, right, len(questions))
