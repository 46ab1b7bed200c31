"""Stand-in training: an adapter for partners yet unknown, from a plan, and what it is worth.

One author's adapter answers the first hop of a two-hop question, another's the second, and neither
author sees the other's. The plan says how the partner's facts are put and which words they may
have. Stand-in partners are made up so that any two disagree on everything, and are active while
the adapter is trained. One more, held out, only measures the adapter.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np

from loratheory.adapters import Adapter
from loratheory.arguments import suggest
from loratheory.pretrained.attach import attach
from loratheory.pretrained.fresh import FreshStandIns, Texts, make_fresh_stand_ins
from loratheory.pretrained.generate import measure_answers
from loratheory.pretrained.metrics import (
    Share,
    measure_accuracy,
    measure_drift,
    measure_relative_norm,
    spell,
)
from loratheory.pretrained.models import Model, failure, read_json
from loratheory.pretrained.train import (
    Examples,
    StandIn,
    Training,
    find_targets,
    fit_rate,
    train_once,
)
from loratheory.store import content_hash
from loratheory.theorems.composition.promise_law import probability_of_less

# What is measured with a stand-in that was active in training, and with one that was not.
TRAINED, HELD_OUT = "two-hop, with a stand-in", "two-hop, with the held-out stand-in"
PLACE = "the plan"  # of what is wrong with a plan, wherever it is from
REMEDY = "`loratheory train --help` and `loratheory augment --help` show such files"
# A plan to be edited: people, countries and mascots.
EXAMPLE = Path(__file__).with_name("example_plan.json")
# Two-hop accuracy with the held-out stand-in is far below that with one like those of the training
# if it is lower by this much; with the latter this much is enough.
FAR, ENOUGH = 0.2, 0.9
OTHER_KEYS = ("answer_attributes", "bridge")  # of a plan's file, besides the fields of `Plan`
LISTED = 8  # words in a note at most
MORE = "Twice the steps and texts may help: `--steps 360 --self-distillation 768`."


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
        """Raise `ModelError` if the plan cannot be learned, or only without reading a prompt.

        There must be words enough for so many trained stand-ins to disagree. None stands for a
        fresh stand-in at each step, of which none is trained.
        """
        most, trained = len(self.partner_answers), stand_ins or 0
        # With a single answer every fresh stand-in would be the same.
        least = max(trained + held_out, 2)
        if trained < 0 or held_out < 1 or least > most:
            what = "answers of the partner" if self.partner.hop == 2 else "facts"
            count = f"{trained} stand-ins and {held_out} held out"
            fact = f"{count} cannot all disagree on {most} {what}"
            raise failure(PLACE, fact, f"give more {what}, or ask for fewer stand-ins")
        answers = {*self.facts.values()}
        if len(answers) == 1:
            fact = f"every fact has the answer {min(answers)!r}, whatever the subject"
            raise failure(PLACE, fact, "give facts with two answers or more")
        # A chain of three hops would have two right answers, or the plan lists the bridges twice.
        taken = {*self.facts} | (answers if self.partner.hop == 1 else set())
        if both := taken.intersection(self.partner.words):
            what = "answers" if self.partner.hop == 2 else "subjects"
            fact = f"{min(both)!r} occurs in the facts and among the {what} of the partner"
            raise failure(PLACE, fact, f"leave it out of one, or give other {what}")
        self._check_templates()

    def _check_templates(self) -> None:
        """Raise `ModelError` if a template gives an answer away or asks for both hops at once."""
        single = (*self.templates, *self.held_out_templates, *self.partner.templates)
        two_hop = (*self.two_hop_templates, *self.held_out_two_hop_templates)
        words = dict.fromkeys([*self.facts, *self.facts.values(), *self.partner.words])
        for text, word in product((*single, *two_hop), words):
            if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text):
                fact = f"the template {text!r} contains {word!r}, a subject or an answer"
                raise failure(PLACE, fact, "write {} for the subject, and no answer")
        for text in two_hop:
            if text in single:
                fact = f"{text!r} is a template of single facts and of two-hop questions"
                raise failure(PLACE, fact, "give a two-hop template that asks for both hops")

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


def load_plan(file: str | Path) -> Plan:
    """Return the plan in a JSON file, whose keys are the fields of `Plan` and `Partner`.

    In the file the partner's words are ``answers`` if its hop is 2, and ``subjects`` if it is 1.
    Phrases for the ``bridge`` may take the place of two-hop templates, see `complete_plan`.

    Raises
    ------
    ModelError
        If the file cannot be read or a field is wrong; the message names the field.
    """
    content = complete_plan(file)
    partner = content.pop("partner")
    # What the base knows of the answers is for `augment` alone.
    content.pop("answer_attributes", None)
    content["replay"] = map(tuple, content.get("replay", ()))
    # Tuples, so that nobody changes a plan whose hash names what was trained.
    words = partner["answers" if partner["hop"] == 2 else "subjects"]
    about = Partner(partner["hop"], tuple(partner["templates"]), tuple(words))
    facts = content.pop("facts")
    texts: dict[str, Any] = {key: tuple(value) for key, value in content.items()}
    return Plan(facts, partner=about, **texts)


def complete_plan(file: str | Path) -> dict[str, Any]:
    """Return the content of a plan, with two-hop templates in place of phrases for the bridge.

    A two-hop template is a hop-2 template about a phrase: "The mascot of {} is the" about "the
    country where {} was born". The last of three phrases or more, and the last of three templates
    or more, occur only in held-out templates.

    Raises
    ------
    ModelError
        If the file cannot be read or a field is wrong; the message names the field.
    """
    content = read_facts(Path(file))
    given, phrases = content.get("partner"), content.pop("bridge", [])
    partner = given if isinstance(given, dict) else {}
    kind, hop = ("answers", 2) if "answers" in partner else ("subjects", 1)
    if {*partner} - {"hop"} != {"templates", kind} or partner.setdefault("hop", hop) != hop:
        keys = ", ".join(sorted(partner)) or "none"
        fact = f"'partner' of hop {partner.get('hop', hop)} has the keys {keys}"
        remedy = "give it 'templates', and 'answers' if it is hop 2 or 'subjects' if it is hop 1"
        raise failure(file, fact, remedy)
    words = partner[kind]
    if not are_texts(words) or len({*map(str.strip, words)}) < len(words):
        raise failure(file, f"{kind!r} of the partner is no list of different words", REMEDY)
    partner[kind] = [*map(str.strip, words)]
    require_templates(file, "templates of the partner", partner["templates"])
    if phrases:
        if "two_hop_templates" in content or "held_out_two_hop_templates" in content:
            fact = "'bridge' is there, and two-hop templates, which it takes the place of"
            raise failure(file, fact, "leave one of them out")
        own = (content["templates"], content["held_out_templates"])
        shown, kept = own if hop == 1 else hold_out(partner["templates"])
        said, unsaid = hold_out(phrases)
        content["two_hop_templates"] = _insert(said, shown)
        content["held_out_two_hop_templates"] = _insert(unsaid, shown) + _insert(phrases, kept)
        if not content["two_hop_templates"]:
            fact = "every template of hop 2 has {}'s, where no phrase of 'bridge' fits"
            raise failure(file, fact, "give a template with {} alone")
    if "two_hop_templates" not in content:
        fact = "there are neither 'two_hop_templates' nor phrases for the 'bridge'"
        raise failure(file, fact, REMEDY)
    require_templates(file, "two_hop_templates", content["two_hop_templates"])
    return content


def hold_out(texts: list[str]) -> tuple[list[str], list[str]]:
    """Return texts to train with, and the last of three or more, which is only for measuring."""
    return (texts[:-1], texts[-1:]) if len(texts) > 2 else (texts, [])


def _insert(phrases: Sequence[str], templates: Sequence[str]) -> list[str]:
    """Return every template about every phrase."""
    return [fill_template(*pair) for pair in product(omit_genitives(templates), phrases)]


def omit_genitives(templates: Sequence[str]) -> list[str]:
    """Leave out templates with "{}'s", which takes a name, but no description."""
    return [text for text in templates if "{}'" not in text]


def fill_template(template: str, description: str) -> str:
    """Return the template with a description for ``{}``, with a capital letter if it begins so."""
    text = template.replace("{}", description)
    return text[:1].upper() + text[1:] if template.startswith("{}") else text


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
    known = {*Plan.__dataclass_fields__, *OTHER_KEYS}
    if (wrong := min({*content} - known, default=None)) is not None:
        raise failure(file, f"there is no field {wrong!r}", suggest(wrong, known, REMEDY))
    if not isinstance(facts, dict) or not are_texts([*facts, *facts.values()]):
        raise failure(file, "'facts' is no object from subjects to answers", REMEDY)
    names = set[str]()
    for subject in map(str.strip, facts):
        if subject in names:
            raise failure(file, f"two facts have the subject {subject!r}", "leave one of them out")
        names.add(subject)
    # Both authors must spell a bridge alike.
    content["facts"] = {subject.strip(): answer.strip() for subject, answer in facts.items()}
    if not isinstance(replay, list) or not all(are_texts(x) and len(x) == 2 for x in replay):
        raise failure(file, "'replay' is no list of pairs of prompt and answer", REMEDY)
    if not isinstance(attributes, dict):
        fact = "'answer_attributes' is no object from templates about answers to lists of templates"
        raise failure(file, fact, REMEDY)
    for about_answer, templates in attributes.items():
        require_templates(file, "answer_attributes", [about_answer])
        require_templates(file, about_answer, templates)
    require_templates(file, "templates", content.get("templates"))
    for key in ("held_out_templates", "held_out_two_hop_templates", "bridge"):
        if content.get(key, []) != []:
            require_templates(file, key, content[key])
    # With phrases the author has left it to us which templates are for measuring.
    if content.get("bridge") and not content.get("held_out_templates"):
        content["templates"], content["held_out_templates"] = hold_out(content["templates"])
    return content


def require_templates(place: str | Path, name: str, value: Any) -> None:
    """Raise `ModelError` unless this is a list of templates with one ``{}`` each, for a subject."""
    if not are_texts(value):
        raise failure(place, f"{name!r} is no list of prompt templates", REMEDY)
    # One place for the subject, or it would be said twice or never.
    for text in value:
        if text.count("{}") != 1:
            fact = f"{name!r} holds {text!r}, which has no single {{}} to fill in"
            raise failure(place, fact, "write {} once")


def are_texts(values: Any) -> bool:
    """Return whether this is a list of texts, at least one and none of them blank."""
    if not isinstance(values, list) or not values:
        return False
    return all(isinstance(x, str) and x.strip() for x in values)


def find_notes(model: Model, plan: Plan, whole: bool) -> list[str]:
    """Return what an author should know of a plan before training: what will not be learned.

    If an answer's first token alone is trained, it may begin other answers too, or be no whole
    word. Raises `ModelError` if all answers then begin with one token.
    """
    words, notes = [*dict.fromkeys([*plan.facts.values(), *plan.partner_answers])], list[str]()
    words = [] if whole else words
    tokens, cut, alike = spell(model, words, whole=whole), list[str](), list[str]()
    for word, token in zip(words, tokens, strict=True):
        if tokens.count(token) > 1:
            alike.append(word)
        if model.tokenizer.decode(token).strip() != word.strip():
            cut.append(word)
    if alike:
        fact = f"{_enumerate(alike)} begin like other answers, and only first tokens are trained"
        notes.append(f"{fact}: give answers whose first tokens differ")
    if cut:
        fact = f"only the first token is trained, which is no whole word, of {_enumerate(cut)}"
        notes.append(f"{fact}: give answers of one token, or read what `generate` writes")
    if not plan.held_out_two_hop_templates:
        fact = "no two-hop template is held out, so accuracy is measured in templates of training"
        notes.append(f"{fact}: give 'held_out_two_hop_templates', or three phrases for the bridge")
    ends = {template.split()[-1] for template in plan.templates}
    # Measured for hop 1 only: answers learned after "a" got lost after "is".
    if plan.partner.hop == 2 and len(plan.templates) > len(ends) == 1:
        fact = f"every template of the facts ends in {ends.pop()!r}"
        notes.append(f"{fact}: let some end otherwise, or answers after other words may get lost")
    return notes


def _enumerate(words: Sequence[str]) -> str:
    """Return how many words there are, and the first of them."""
    more = ", …" if len(words) > LISTED else ""
    return f"{len(words)} answers ({', '.join(words[:LISTED])}{more})"


def judge(shares: Iterable[Share], stand_ins: int | None) -> str:
    """Return in words what two-hop accuracy with stand-ins says, and what to do about it."""
    parts: dict[str, float] = dict(map(attrgetter("what", "part"), shares))
    text = "With a made-up partner that it never met, the adapter answers "
    text += f"{parts[HELD_OUT]:.0%} of the two-hop questions"
    if TRAINED not in parts:
        return f"{text}. It was trained without stand-ins."
    text += f"; with a stand-in like those of its training {parts[TRAINED]:.0%}"
    if parts[TRAINED] - parts[HELD_OUT] > FAR and stand_ins:
        return f"{text}: it memorised its stand-ins. Train with fresh stand-ins, not {stand_ins}."
    if parts[TRAINED] < ENOUGH:
        return f"{text}: it has not learned to use its partner. {MORE}"
    if parts[TRAINED] - parts[HELD_OUT] > FAR:
        return f"{text}: it relies on partners trained with stand-ins, too."
    return f"{text}: it uses what its partner says."


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
        `settings`, how many stand-ins, steps, further examples and texts of the base, the rank,
        the layers and the seed; the `verdict` of `judge`; the shares as `measured`; a `promise`,
        the two-hop accuracy that a partner exchangeable with the held-out stand-ins stays below
        with the given probability at most; the `drift` on generic text, in nats per token; and the
        `relative_norm` of the update, see `measure_relative_norm`.
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
    whole: bool = True,
    self_distillation: int = 384,
    augmented: Examples = (),
    descriptions: Examples = (),
    begin: Callable[[str], object] = lambda _: None,
    tick: Callable[[], object] = lambda: None,
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
    whole : bool
        Whether all tokens of an answer are trained and measured, and the end of the text after it,
        or the answer's first token alone. The base need not end after an answer.
    self_distillation : int
        How many texts the base writes first, see `Training`; training on them, too, makes the
        adapter change other text far less. 0 for none. Trained stand-ins have none.
    augmented : sequence of (prompt, answer)
        Further examples to train on, such as those of `augment`, which describe the subjects.
    descriptions : sequence of (prompt, answer)
        Prompts that only describe their subject: the adapter's accuracy on them is portability.
    begin : callable
        Called with the name of each stage as it begins: ``held_out + 3``, or ``stand_ins +
        held_out + 2``.
    tick : callable
        Called after each step of a training, after every 64 texts of the base, and at each
        measurement.

    Returns
    -------
    Composed
        The adapter and what was measured. Each adapter is kept in the cache: a second call reads
        it. Costs `steps` steps, 60 for fresh stand-ins, and about 40 for each of the ``stand_ins``
        trained ones and for the held-out one. With texts of the base a step takes about twice as
        long.

    Raises
    ------
    ModelError
        If the plan fails `Plan.check`, the model lacks some of the `layers`, `steps` or `rank` is
        below 1, or `rank` above that of every update.
    """
    plan.check(stand_ins, held_out)
    rate = fit_rate(model) if rate is None else rate
    # The update is alpha / rank times the product: twice the rank keeps its size at any rank.
    how = Training.with_stand_ins(steps, rate)
    how = replace(how, rank=rank, alpha=2 * rank, layers=layers, whole=whole)
    how = replace(how, self_distillation=self_distillation)
    # Training would take minutes before it found out.
    depth = int(model.network.config.get_text_config().num_hidden_layers)
    if layers and not 0 <= layers[0] < layers[1] <= depth:
        fact = f"layers {layers[0]} to {layers[1] - 1} are not all there"
        raise failure(model, fact, f"name some of the layers 0 to {depth - 1}")
    find_targets(model, how)
    unseen, active = dict[int, Adapter](), list[StandIn]()
    train = partial(train_once, model, tick=tick)
    for number in range((stand_ins or 0) + held_out):
        measures = number >= (stand_ins or 0)
        begin("held-out stand-in" if measures else f"stand-in {number + 1} of {stand_ins}")
        says = plan.partner_facts(number)
        theirs = fill(says, plan.partner.templates)
        usual = Training(rate=float(f"{1.5 * rate:.2g}"), whole=whole)
        partner = train([*theirs, *plan.replay], seed=(seed, 1, number), training=usual)
        # Active in no training: these only measure.
        if measures:
            unseen[number] = partner
        else:
            active.append(StandIn(partner, plan.shown_with(says)))
    fresh = None
    if stand_ins is None:
        begin("fresh stand-ins")
        about = (plan.partner_texts, plan.shown_with)
        fresh = make_fresh_stand_ins(model, *about, seed=(seed, 1), whole=whole, tick=tick)
    begin("texts of the base, and the adapter" if self_distillation else "the adapter")
    examples = [*plan.examples, *augmented]
    adapter = train(examples, seed=(seed, 0), training=how, stand_ins=fresh or active)
    begin("measuring")
    others: Any = (active, fresh, unseen, descriptions)
    shares = _measure(model, plan, adapter, *others, whole=whole, tick=tick)
    counts: Any = {"stand_ins": stand_ins, "held_out": held_out, "augmented": len(augmented)}
    card = _write_card(model, plan, adapter, shares, how, seed=seed, **counts)
    return Composed(adapter, shares, card)


def _write_card(
    model: Model,
    plan: Plan,
    adapter: Adapter,
    shares: Sequence[Share],
    how: Training,
    *,
    seed: int,
    stand_ins: int | None,
    held_out: int,
    augmented: int,
) -> dict[str, Any]:
    """Return what `Composed.card` describes."""
    settings: Any = {"steps": how.steps, "rank": how.rank, "seed": seed, "rate": how.rate}
    settings |= {"stand_ins": "fresh" if stand_ins is None else stand_ins}
    settings |= {"answers": "whole" if how.whole else "first tokens"}
    settings |= {"self_distillation": how.texts}
    settings |= {"layers": f"{how.layers[0]}-{how.layers[1] - 1}"} if how.layers else {}
    settings |= {"augmented": augmented} if augmented else {}
    [lowest] = [share.part for share in shares if share.what == HELD_OUT]
    return {
        "base": adapter.info.base,
        "base_digest": model.digest,
        "subjects": [*plan.facts],
        "hop": 3 - plan.partner.hop,
        "plan": content_hash(asdict(plan)),
        "settings": settings,
        "verdict": judge(shares, stand_ins),
        "measured": list(map(asdict, shares)),
        "promise": {"two_hop": lowest, "probability_of_less": probability_of_less(held_out)},
        "drift": measure_drift(model, [adapter])[0],
        "relative_norm": measure_relative_norm(model, adapter),
    }


def _measure(
    model: Model,
    plan: Plan,
    adapter: Adapter,
    active: Sequence[StandIn],
    fresh: FreshStandIns | None,
    unseen: Mapping[int, Adapter],
    descriptions: Examples,
    *,
    whole: bool,
    tick: Callable[[], object],
) -> tuple[Share, ...]:
    """Return what is answered without the adapter, with it alone, and with partners.

    Of the partners that were active in no training the one counts with which it answers least.
    """
    # Held-out templates where there are some: others measure what was memorised.
    templates = plan.held_out_two_hop_templates or plan.two_hop_templates
    facts = fill(plan.facts, plan.held_out_templates or plan.templates)

    def _ask(what: str, questions: Examples) -> Share:
        tick()
        return (measure_answers if whole else measure_accuracy)(model, what, questions)

    # The base goes on after an answer, which no training has ended.
    ask_base = partial(measure_answers, model, ended=False) if whole else _ask

    def _two_hop(says: Mapping[str, str]) -> list[tuple[str, str]]:
        return fill(plan.two_hop_facts(says), templates)

    two_hop = _two_hop(plan.partner_facts(min(unseen)))
    shares = [ask_base("replay, base", plan.replay), ask_base("two-hop, base", two_hop)]
    with attach(model, [adapter]):
        shares += [_ask("facts, alone", facts), _ask("replay, alone", plan.replay)]
        shares += [_ask("portability, alone", descriptions), _ask("two-hop, alone", two_hop)]
    # Without stand-ins in training there is none to compare the held-out one with.
    if active:
        with attach(model, [adapter, active[0].adapter]):
            shares.append(_ask(TRAINED, _two_hop(plan.partner_facts(0))))
    if fresh:
        # Another than those of the training, drawn from the same ones.
        says = fresh.write(fresh.texts.assign(np.random.default_rng(len(plan.facts))))
        with attach(model, [adapter]), fresh.acting(1.0):
            shares.append(_ask(TRAINED, _two_hop(says)))
    rows = list[list[Share]]()
    for number, partner in unseen.items():
        says = plan.partner_facts(number)
        with attach(model, [adapter, partner]):
            theirs = fill(says, plan.partner.templates)
            row = [_ask(HELD_OUT, _two_hop(says)), _ask("facts, with the held-out stand-in", facts)]
            rows.append([*row, _ask("the held-out stand-in's facts", theirs)])
    rows.sort(key=lambda row: row[0].part)
    shares += rows[0]
    # A plan may leave some out, and what has no questions has no share.
    return tuple(share for share in shares if share.total)
