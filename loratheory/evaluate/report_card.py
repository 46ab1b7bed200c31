"""Evaluate a combination method on a language model.

Six adapters of different tasks are active together, and pairs of single-hop adapters are evaluated
on two-hop questions. Adapters are trained once and cached, and so are the results of the known
methods of `loratheory.pretrained.methods.METHODS`. An answer is right if its first token is the
most likely of all tokens.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from loratheory.adapters import Adapter
from loratheory.evaluate.answers import answers
from loratheory.evaluate.fact_adapters import AllPairsFacts, Authors, authors, draw_all_pairs
from loratheory.evaluate.fact_sets import HELD_OUT, TEXT, items, questions
from loratheory.evaluate.own_rule import OwnRule
from loratheory.evaluate.task_library import CHOOSING, NAMES, Collection
from loratheory.pretrained import Attached, Model, attach, kl_to_base, load_model
from loratheory.pretrained.attach import collect_inputs
from loratheory.pretrained.methods import METHODS, Subjects, attach_method
from loratheory.pretrained.metrics import Share, batch, measure_accuracy, token_log_probs
from loratheory.pretrained.models import GENERIC
from loratheory.pretrained.train import identify_model
from loratheory.store import cache_folder, code, content_hash, write_whole

# the seed of the tasks' adapters
SEED = 300
# six tasks of different kinds
TASKS = ("births A", "capitals", "parity", "Zorvan", "verdict", "first")
# questions per task: six adapters limit the precision, not the number of questions
EACH = 16
CONDITIONS = {"standard": "standard, early-stopped", "stand_ins": "two stand-ins"}
# held-out templates; they are short, because the cost of methods grows with the tokens
TEMPLATES = {
    "hop_1": HELD_OUT["hop_1"][2:3],
    "hop_2": HELD_OUT["hop_2"][1:2],
    "two_hop": (*HELD_OUT["two_hop"][:2], HELD_OUT["two_hop"][4]),
}

# Attaches adapters to a model by one combination method.
Method = Callable[[Model, Sequence[Adapter]], Attached]


@dataclass(frozen=True)
class LanguageMark:
    """The results of one method on a language model.

    Attributes
    ----------
    rule : str
        Its name.
    pairs, six : Share or None
        Retention of six adapters, with two of them active at once, and with all.
    standard, stand_ins, facts : Share
        Two-hop questions answered with two single-hop adapters, after standard training and after
        stand-in training; and their single facts, in held-out templates.
    drift, cost : float or None
        Drift with all six adapters, in nats per token of generic text; and the number of
        multiplications on that text relative to one adapter, without multiplications in NumPy.
    all_pairs : Share or None
        All-pairs evaluation: two-hop questions answered with twelve adapters, where any hop-1
        adapter may be needed with any hop-2 adapter. None if it was not run.
    """

    rule: str
    pairs: Share | None = None
    six: Share | None = None
    standard: Share | None = None
    stand_ins: Share | None = None
    facts: Share | None = None
    drift: float | None = None
    cost: float | None = None
    all_pairs: Share | None = None


# the user's method and the methods of the table


def own_method(rule: OwnRule) -> Method:
    """Return the method that applies a user's merge or router module by module."""

    def _merge(model: Model, adapters: Sequence[Adapter]) -> Attached:
        merged, weights = {}, [1.0] * len(adapters)
        for name in adapters[0]:
            merged[name] = rule.merge([adapter[name] for adapter in adapters], weights)
        return attach(model, [Adapter.of(merged)])

    def _route(model: Model, adapters: Sequence[Adapter]) -> Attached:
        # coefficients of 0: the router gets the activations of the base without adapters
        active = attach(model, adapters, 0.0)
        fed = collect_inputs(model, [batch(model, [text]) for text in GENERIC], active.names)
        weigh = {}
        for name, updates in active.updates.items():
            # NumPy has no bfloat16
            weigh[name] = rule.route(updates, fed[name].float())
        active.set(1.0)
        active.follow(lambda module, x: x.new_tensor(weigh[module](x.float())))
        return active

    return _merge if rule.form == "merge" else _route


def _by_name(name: str, **needed: Any) -> Method:
    return lambda model, adapters: attach_method(model, adapters, METHODS[name], **needed)


def _by_subject(made: AllPairsFacts) -> Method:
    about = list[Subjects]()
    for persons, countries in zip(made.firsts, made.seconds, strict=True):
        about += [Subjects(tuple(persons), 1), Subjects(tuple(countries), 2)]
    return _by_name("subject routing", about=about)


def known_methods() -> dict[str, Method]:
    """Return the methods of `METHODS` that need nothing but the adapters, by name.

    Per-block gating is left out, because it takes eight passes per prompt for six adapters.
    """
    found: dict[str, Method] = {"base": lambda model, adapters: attach(model, adapters, 0.0)}
    for name, method in METHODS.items():
        # without prompts to optimise on, these methods are the sum
        chosen = method.rule == "cat" and method.free
        if not chosen and name not in ("regmean", "per-block gating", "subject routing"):
            found[name] = _by_name(name)
    return found


@dataclass(frozen=True)
class Exam:
    """The language model, its tasks, and two-hop questions of the fact set with this `seed`.

    With `all_pairs`, all pairs of six hop-1 and six hop-2 adapters are evaluated as well.
    """

    seed: int = 200
    all_pairs: bool = False
    base: str | None = None  # this and the next as `load_model` takes them
    download: bool = False

    @cached_property
    def model(self) -> Model:
        """The base in bfloat16."""
        return load_model(self.base, dtype="bfloat16", download=self.download)

    @cached_property
    def tasks(self) -> Collection:
        """The tasks' adapters and questions."""
        return Collection(self.model, SEED)

    @cached_property
    def both(self) -> Authors:
        """The adapter authors of the two-hop questions."""
        return authors(self.model, self.seed)

    @cached_property
    def all_pairs_facts(self) -> AllPairsFacts:
        """The facts of six adapter authors of each hop."""
        return draw_all_pairs(self.seed)

    @cached_property
    def library(self) -> list[Adapter]:
        """The twelve adapters of `all_pairs_facts`."""
        return self.all_pairs_facts.adapters(self.model, CONDITIONS["stand_ins"])

    @cached_property
    def text(self) -> tuple[Any, float]:
        """The base's log-probabilities on generic text; the multiplications with one adapter."""
        with attach(self.model, [self.tasks.adapter(NAMES.index(TASKS[0]))]):
            _, cost = self.pass_text()
        return self.pass_text()[0], cost

    def pass_text(self) -> tuple[Any, float]:
        """Return log-probabilities on generic text and multiplications, with active adapters."""
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            said, _ = token_log_probs(self.model, TEXT, at_once=True)
        # the counter counts an addition with each multiplication
        return said, counter.get_total_flops() / 2

    def mark(self, name: str, method: Method, *, other: bool = False) -> LanguageMark:
        """Return a method's results; with `other`, hop-2 adapters are of another fact set."""
        found, facts = dict[str, Any](), np.zeros(2, int)
        # tasks have no hops, so that `other` does not apply to them
        if not other:
            numbers = list(map(NAMES.index, TASKS))
            found["pairs"] = self.retention(method, np.reshape(numbers, (-1, 2)).tolist())
            found["six"] = self.retention(method, [numbers])
            with method(self.model, list(map(self.tasks.adapter, numbers))):
                said, passed = self.pass_text()
            base, alone = self.text
            found |= {"drift": kl_to_base(base, said), "cost": passed / alone}
        for key, condition in CONDITIONS.items():
            counts = self.count_answers(method, condition, other=other)
            found[key] = Share.of(key, *counts["two_hop"].tolist())
            facts += counts["hop_1"] + counts["hop_2"]
        # the twelve adapters have no partner of another fact set
        if self.all_pairs and not other:
            found["all_pairs"] = self.evaluate_all_pairs(method)
        return LanguageMark(name, facts=Share.of("facts", *facts.tolist()), **found)

    def evaluate_all_pairs(self, method: Method) -> Share:
        """Return the accuracy of twelve adapters on two-hop questions."""
        prompts = items(self.all_pairs_facts.all_facts.two_hop, TEMPLATES["two_hop"][:1])
        with method(self.model, self.library):
            return measure_accuracy(self.model, "all pairs", prompts)

    @cached_property
    def _alone(self) -> dict[int, Any]:
        """The masks of questions that each adapter alone answers right, by task number."""
        found = {}
        for number in map(NAMES.index, TASKS):
            with attach(self.model, [self.tasks.adapter(number)]):
                found[number] = self._right(number)
        return found

    def _right(self, number: int) -> Any:
        """Return the mask of a task's questions that the active adapters answer right."""
        prompts = self.tasks.questions(number)[CHOOSING : CHOOSING + EACH]
        return answers(self.model, prompts).vocabulary_right

    def retention(self, method: Method, groups: Sequence[Sequence[int]]) -> Share:
        """Return the share of answers of single adapters that remain right with a group active."""
        kept, total = 0, 0
        for group in groups:
            with method(self.model, list(map(self.tasks.adapter, group))):
                now = list(map(self._right, group))
            # outside the block, because `_alone` attaches an adapter on its first use
            for number, right in zip(group, now, strict=True):
                kept += int((self._alone[number] & right).sum())
                total += int(self._alone[number].sum())
        return Share.of("kept", kept, total)

    def count_answers(self, method: Method, condition: str, *, other: bool) -> dict[str, Any]:
        """Return the numbers of right answers and of questions, by kind of question."""
        one, counts = self.both, dict[str, Any]()
        partner = authors(self.model, one.seed + 1) if other else one
        prompts = questions(one.facts, TEMPLATES)
        with method(self.model, [one.adapter(0, condition), partner.adapter(1, condition)]):
            for kind in TEMPLATES:
                share = measure_accuracy(self.model, kind, prompts[kind])
                counts[kind] = np.array([share.right, share.total])
        return counts


def own_marks(
    rule: OwnRule, exam: Exam, progress: Callable[[str], None] = lambda _: None
) -> list[LanguageMark]:
    """Return the results of a user's method, and of its control, ``METHOD, shuffled``.

    In the control each hop-2 adapter is of another fact set.
    """
    from threadpoolctl import threadpool_limits

    marks = []
    for name, other in ((rule.name, False), (f"{rule.name}, shuffled", True)):
        progress(f"{name} on the language model")
        # NumPy and PyTorch take turns in a router, and idle threads of one slow the other
        with threadpool_limits(1 if rule.form == "router" else None):
            marks.append(exam.mark(name, own_method(rule), other=other))
    return marks


def known_marks(exam: Exam, progress: Callable[[str], None] = lambda _: None) -> list[LanguageMark]:
    """Return the results of known methods, which are cached until this package's code changes."""
    methods = known_methods()
    if exam.all_pairs:
        # it needs the subjects of each adapter, which are known for these adapters alone
        methods["subject routing"] = _by_subject(exam.all_pairs_facts)
    marks = []
    for name, method in methods.items():
        progress(f"{name} on the language model")
        made = {"code": code(), "rule": name, **asdict(exam), "model": identify_model(exam.model)}
        # known methods depend on code alone, and take most of the time
        file = cache_folder() / "marks" / f"{content_hash(made)}.json"
        if not file.exists():
            if name == "subject routing":
                mark = LanguageMark(name, all_pairs=exam.evaluate_all_pairs(method))
            else:
                mark = exam.mark(name, method)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, json.dumps(asdict(mark)))
        values = json.loads(file.read_text("utf-8"))
        for key, value in values.items():
            values[key] = Share(**value) if isinstance(value, dict) else value
        marks.append(LanguageMark(**values))
    return marks
