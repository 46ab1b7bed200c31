"""Stand-in training: an adapter for partners yet unknown, from a plan, and what it is worth.

One author's adapter answers the first hop of a two-hop question, another's the second, and neither
author sees the other's. The plan says how the partner's facts are put and which words they may
have. Stand-in partners are made up so that any two disagree on everything, and are active while
the adapter is trained. One more, held out, only measures the adapter.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from loratheory.adapters import Adapter
from loratheory.pretrained.attach import attach
from loratheory.pretrained.fresh import FreshStandIns, Texts, make_fresh_stand_ins
from loratheory.pretrained.metrics import Share, measure_accuracy, measure_drift
from loratheory.pretrained.models import Model, failure, read_json
from loratheory.pretrained.train import Examples, StandIn, Training, fit_rate, train_once
from loratheory.store import content_hash

# What is measured with a stand-in that was active in training, and with one that was not.
TRAINED, HELD_OUT = "two-hop, with a stand-in", "two-hop, with the held-out stand-in"
REMEDY = "`loratheory train --help` and `loratheory augment --help` show such files"


@dataclass(frozen=True)
class Partner:
    """What is known of the partner's facts, from which stand-ins are made.

    Attributes
    ----------
    hop : {1, 2}
        2 if the partner's facts are about this adapter's answers; 1 if the partner's answers are
        this adapter's subjects.
    templates : tuple of str
        Prompt templates of the partner's facts, with ``{}`` for the subject.
    words : tuple of str
        The answers that a hop-2 partner may give, or the subjects that a hop-1 partner may have;
        they may be made up.
    """

    hop: Literal[1, 2]
    templates: tuple[str, ...]
    words: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What an adapter is trained on, and for what kind of partner.

    Attributes
    ----------
    facts : mapping of str to str
        The answer for each subject.
    templates, two_hop_templates : tuple of str
        Prompt templates of the facts, and of two-hop questions, which also need the partner's fact.
        ``{}`` is the subject of the first hop.
    partner : Partner
        What is known of the other adapter's facts.
    held_out_templates, held_out_two_hop_templates : tuple of str
        Further templates, only for measuring.
    replay : tuple of (str, str)
        Prompts and answers that the base knows and should keep; they are trained on, too.
    """

    facts: Mapping[str, str]
    templates: tuple[str, ...]
    two_hop_templates: tuple[str, ...]
    partner: Partner
    held_out_templates: tuple[str, ...] = ()
    held_out_two_hop_templates: tuple[str, ...] = ()
    replay: tuple[tuple[str, str], ...] = ()

    @property
    def examples(self) -> list[tuple[str, str]]:
        """Return training pairs: every fact in every template, and those of `replay`."""
        return [*fill(self.facts, self.templates), *self.replay]

    def check(self, stand_ins: int | None, held_out: int = 1) -> None:
        """Raise `ModelError` if there are too few words for so many trained stand-ins to disagree.

        None stands for a fresh stand-in at each step, of which none is trained.
        """
        most, trained = len(self.partner_answers), stand_ins or 0
        # With a single answer every fresh stand-in would be the same.
        least = max(trained + held_out, 2)
        if trained < 0 or held_out < 1 or least > most:
            what = "answers of the partner" if self.partner.hop == 2 else "facts"
            place, count = "the plan", f"{trained} stand-ins and {held_out} held out"
            fact = f"{count} cannot all disagree on {most} {what}"
            raise failure(place, fact, f"give more {what}, or ask for fewer stand-ins")

    @property
    def partner_subjects(self) -> list[str]:
        """The subjects of the partner's facts."""
        # Two facts may have one answer; the partner is about each answer once.
        return (
            [*self.partner.words] if self.partner.hop == 1 else [*{}.fromkeys(self.facts.values())]
        )

    @property
    def partner_answers(self) -> list[str]:
        """The answers that the partner's facts may have."""
        return [*self.facts] if self.partner.hop == 1 else [*self.partner.words]

    @property
    def partner_texts(self) -> Texts:
        """What fresh stand-ins are made from; they leave the plan's own examples alone."""
        other = tuple(prompt for prompt, _ in self.examples)
        subjects, words = tuple(self.partner_subjects), tuple(self.partner_answers)
        return Texts(subjects, words, self.partner.templates, other)

    def partner_facts(self, number: int) -> dict[str, str]:
        """Return the made-up facts of one stand-in: its answer for each of its subjects."""
        return assign_disagreeing(self.partner_subjects, self.partner_answers, number)

    def two_hop_facts(self, says: Mapping[str, str]) -> dict[str, str]:
        """Return the right answers to two-hop questions while a partner says this."""
        if self.partner.hop == 2:
            return {subject: says[answer] for subject, answer in self.facts.items()}
        return {word: self.facts[subject] for word, subject in says.items()}

    def shown_with(self, says: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return training pairs that are right while a partner says this."""
        # With the partner's own facts, or the adapter would overwrite them.
        two_hop = fill(self.two_hop_facts(says), self.two_hop_templates)
        return [*two_hop, *fill(says, self.partner.templates)]


def assign_disagreeing(names: Iterable[str], words: Sequence[str], number: int) -> dict[str, str]:
    """Return a word for every name, such that different numbers give every name different words.

    Name ``i`` gets word ``i + number``, counted around; numbers go up to ``len(words) - 1``.
    """
    return {name: words[(i + number) % len(words)] for i, name in enumerate(names)}


def fill(facts: Mapping[str, str], templates: Sequence[str]) -> list[tuple[str, str]]:
    """Return every fact in every template, as (prompt, answer)."""
    return [(t.replace("{}", name), answer) for t in templates for name, answer in facts.items()]


def load_plan(file: Path) -> Plan:
    """Return the plan in a JSON file, whose keys are the fields of `Plan` and `Partner`.

    In the file the partner's words are ``answers`` if its hop is 2, and ``subjects`` if it is 1.

    Raises
    ------
    ModelError
        If the file cannot be read or a field is wrong; the message names the field.
    """
    content = read_facts(file)
    partner = content.pop("partner", None)
    if not isinstance(partner, dict) or partner.get("hop") not in (1, 2):
        raise failure(file, "'partner' is no object whose 'hop' is 1 or 2", REMEDY)
    kind = "answers" if partner["hop"] == 2 else "subjects"
    if {*partner} != {"hop", "templates", kind}:
        keys = f"'hop', 'templates' and {kind!r}"
        fact = f"'partner' of hop {partner['hop']} needs exactly the keys {keys}"
        raise failure(file, fact, REMEDY)
    words = partner[kind]
    if not are_texts(words) or len({*words}) < len(words):
        raise failure(file, f"{kind!r} of the partner is no list of different words", REMEDY)
    require_templates(file, "templates of the partner", partner["templates"])
    require_templates(file, "two_hop_templates", content.get("two_hop_templates"))
    # What the base knows of the answers is for `augment` alone.
    content.pop("answer_attributes", None)
    content["replay"] = map(tuple, content.get("replay", ()))
    # Tuples, so that nobody changes a plan whose hash names what was trained.
    about = Partner(partner["hop"], tuple(partner["templates"]), tuple(words))
    facts = content.pop("facts")
    texts: dict[str, Any] = {key: tuple(value) for key, value in content.items()}
    return Plan(facts, partner=about, **texts)


def read_facts(file: Path) -> dict[str, Any]:
    """Return the content of a file of facts, such as a plan, all but its partner checked.

    Raises
    ------
    ModelError
        If the file cannot be read or a field is wrong; the message names the field.
    """
    content = read_json(file, REMEDY)
    facts, replay = content.get("facts"), content.get("replay", [])
    attributes = content.get("answer_attributes", {})
    if unknown := {*content} - {*Plan.__dataclass_fields__, "answer_attributes"}:
        raise failure(file, f"there is no field {min(unknown)!r}", REMEDY)
    if not isinstance(facts, dict) or not are_texts([*facts, *facts.values()]):
        raise failure(file, "'facts' is no object from subjects to answers", REMEDY)
    if not isinstance(replay, list) or not all(are_texts(x) and len(x) == 2 for x in replay):
        raise failure(file, "'replay' is no list of pairs of prompt and answer", REMEDY)
    if not isinstance(attributes, dict):
        fact = "'answer_attributes' is no object from templates about answers to lists of templates"
        raise failure(file, fact, REMEDY)
    for about_answer, templates in attributes.items():
        require_templates(file, "answer_attributes", [about_answer])
        require_templates(file, about_answer, templates)
    require_templates(file, "templates", content.get("templates"))
    for key in ("held_out_templates", "held_out_two_hop_templates"):
        if content.get(key, []) != []:
            require_templates(file, key, content[key])
    return content


def require_templates(place: str | Path, name: str, value: Any) -> None:
    """Raise `ModelError` unless this is a list of templates with one ``{}`` each, for a subject."""
    if not are_texts(value):
        raise failure(place, f"{name!r} is no list of prompt templates", REMEDY)
    # One place for the subject, or it would be said twice or never.
    for text in value:
        if text.count("{}") != 1:
            fact = f"{name!r} holds {text!r}, which has no single {{}} to fill in"
            raise failure(place, fact, REMEDY)


def are_texts(values: Any) -> bool:
    """Return whether this is a list of texts, at least one and none of them blank."""
    if not isinstance(values, list) or not values:
        return False
    return all(isinstance(x, str) and x.strip() for x in values)


@dataclass(frozen=True, eq=False)
class Composed:
    """An adapter, and what its author can measure of it without a partner.

    Attributes
    ----------
    adapter : Adapter
        The trained adapter.
    shares : tuple of Share
        Right answers without the adapter, with it alone, with a stand-in like those of its
        training, and with the held-out one with which it answers least. Where the first has many
        more, the adapter memorised its stand-ins, or works with partners trained like them only.
    card : dict
        What ``adapter_card.json`` holds: the `base`, the `subjects` of the facts, by which subject
        routing chooses adapters; its `hop` in a two-hop question; a content hash of the `plan`;
        `settings`, how many stand-ins, steps and further examples, the rank, the layers and the
        seed; the shares as `measured`; a `promise`, the two-hop accuracy that a partner
        exchangeable with the held-out stand-ins stays below with the given probability at most;
        and the `drift` on generic text, in nats per token.
    """

    adapter: Adapter
    shares: tuple[Share, ...]
    card: dict[str, Any]


def train_for_composition(
    model: Model,
    plan: Plan,
    *,
    stand_ins: int | None = None,
    steps: int = 180,
    rank: int = 8,
    layers: tuple[int, int] | None = None,
    rate: float | None = None,
    seed: int = 0,
    held_out: int = 1,
    augmented: Examples = (),
    descriptions: Examples = (),
    begin: Callable[[str], None] = lambda _: None,
) -> Composed:
    """Train an adapter together with stand-ins, and measure it with one held out.

    Parameters
    ----------
    model : Model
        With a tokenizer.
    plan : Plan
        Facts, prompt templates, and what is known of the partner.
    stand_ins : int or None
        None for a fresh stand-in at each step; a number to train so many, which are active in turn.
        0 is standard training, measured alike.
    steps : int
        Steps of its training.
    rank : int
        The rank of its updates.
    layers : (int, int) or None
        The first layer that it changes, counted from 0, and the one after the last; None for all.
    rate : float, optional
        The learning rate, which falls to a tenth; stand-ins are trained at 1.5 times this rate.
        By default the one of `train.fit_rate`.
    seed : int
        Determines all that is drawn.
    held_out : int
        How many stand-ins are trained for measuring only, 1 or more.
    augmented : sequence of (prompt, answer)
        Further examples to train on, such as those of `augment`, which describe the subjects.
    descriptions : sequence of (prompt, answer)
        Prompts that only describe their subject: the adapter's accuracy on them is portability.
    begin : callable
        Called with the name of each stage as it begins: four, or ``stand_ins + 3``.

    Returns
    -------
    Composed
        The adapter and what was measured. Each adapter is kept in the cache: a second call reads
        it. Costs `steps` steps, 60 for fresh stand-ins, and about 40 for each of the ``stand_ins``
        trained ones and for the held-out one.

    Raises
    ------
    ModelError
        If the plan has too few words for so many stand-ins to disagree, the model lacks some of
        the `layers`, or `steps` or `rank` is below 1.
    """
    plan.check(stand_ins, held_out)
    rate = fit_rate(model) if rate is None else rate
    # The update is alpha / rank times the product: twice the rank keeps its size at any rank.
    how = replace(Training.with_stand_ins(steps, rate), rank=rank, alpha=2 * rank, layers=layers)
    # Training would take minutes before it found out.
    depth = int(model.network.config.num_hidden_layers)
    if layers and not 0 <= layers[0] < layers[1] <= depth:
        fact = f"layers {layers[0]} to {layers[1] - 1} are not all there"
        raise failure(model, fact, f"name some of the layers 0 to {depth - 1}")
    unseen, active = dict[int, Adapter](), list[StandIn]()
    for number in range((stand_ins or 0) + held_out):
        measures = number >= (stand_ins or 0)
        begin("held-out stand-in" if measures else f"stand-in {number + 1} of {stand_ins}")
        says = plan.partner_facts(number)
        theirs = fill(says, plan.partner.templates)
        usual = Training(rate=float(f"{1.5 * rate:.2g}"))
        partner = train_once(model, [*theirs, *plan.replay], seed=(seed, 1, number), training=usual)
        # Active in no training: these only measure.
        if measures:
            unseen[number] = partner
        else:
            active.append(StandIn(partner, plan.shown_with(says)))
    fresh = None
    if stand_ins is None:
        begin("fresh stand-ins")
        fresh = make_fresh_stand_ins(model, plan.partner_texts, plan.shown_with, seed=(seed, 1))
    begin("the adapter")
    examples = [*plan.examples, *augmented]
    adapter = train_once(model, examples, seed=(seed, 0), training=how, stand_ins=fresh or active)
    begin("measuring")
    shares = _measure(model, plan, adapter, active, fresh, unseen, descriptions)
    kind = "fresh" if stand_ins is None else stand_ins
    settings: dict[str, Any] = {"stand_ins": kind, "steps": steps, "rank": rank, "seed": seed}
    settings |= {"rate": rate}
    settings |= {"layers": f"{layers[0]}-{layers[1] - 1}"} if layers else {}
    settings |= {"augmented": len(augmented)} if augmented else {}
    card = {
        "base": adapter.info.base,
        "base_digest": model.digest,
        "subjects": [*plan.facts],
        "hop": 3 - plan.partner.hop,
        "plan": content_hash(asdict(plan)),
        "settings": settings,
        "measured": list(map(asdict, shares)),
        "promise": {
            "two_hop": next(share.part for share in shares if share.what == HELD_OUT),
            "probability_of_less": 1 / (held_out + 1),
        },
        "drift": measure_drift(model, [adapter])[0],
    }
    return Composed(adapter, shares, card)


def _measure(
    model: Model,
    plan: Plan,
    adapter: Adapter,
    active: Sequence[StandIn],
    fresh: FreshStandIns | None,
    unseen: Mapping[int, Adapter],
    descriptions: Examples,
) -> tuple[Share, ...]:
    """Return what is answered without the adapter, with it alone, and with partners.

    Of the partners that were active in no training the one counts with which it answers least.
    """
    # Held-out templates where there are some: others measure what was memorised.
    templates = plan.held_out_two_hop_templates or plan.two_hop_templates
    facts = fill(plan.facts, plan.held_out_templates or plan.templates)
    ask = partial(measure_accuracy, model)

    def _two_hop(says: Mapping[str, str]) -> list[tuple[str, str]]:
        return fill(plan.two_hop_facts(says), templates)

    two_hop = _two_hop(plan.partner_facts(min(unseen)))
    shares = [ask("replay, base", plan.replay), ask("two-hop, base", two_hop)]
    with attach(model, [adapter]):
        shares += [ask("facts, alone", facts), ask("replay, alone", plan.replay)]
        shares += [ask("portability, alone", descriptions), ask("two-hop, alone", two_hop)]
    # Without stand-ins in training there is none to compare the held-out one with.
    if active:
        with attach(model, [adapter, active[0].adapter]):
            shares.append(ask(TRAINED, _two_hop(plan.partner_facts(0))))
    if fresh:
        # Another than those of the training, drawn from the same ones.
        says = fresh.write(fresh.texts.assign(np.random.default_rng(len(plan.facts))))
        with attach(model, [adapter]), fresh.acting(1.0):
            shares.append(ask(TRAINED, _two_hop(says)))
    rows = list[list[Share]]()
    for number, partner in unseen.items():
        says = plan.partner_facts(number)
        with attach(model, [adapter, partner]):
            theirs = fill(says, plan.partner.templates)
            row = [ask(HELD_OUT, _two_hop(says)), ask("facts, with the held-out stand-in", facts)]
            rows.append([*row, ask("the held-out stand-in's facts", theirs)])
    rows.sort(key=lambda row: row[0].part)
    shares += rows[0]
    # A plan may leave some out, and what has no questions has no share.
    return tuple(share for share in shares if share.total)
