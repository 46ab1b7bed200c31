"""A user's method on a small language model: what is answered, kept, changed and paid."""

from dataclasses import replace

import numpy as np
import pytest
from language import small, small_model

from loratheory.evaluate import OwnRule, fact_adapters, report_card, rule_named, task_library
from loratheory.evaluate.answers import answers
from loratheory.evaluate.fact_adapters import authors, draw_all_pairs
from loratheory.evaluate.fact_sets import TEXT, items, questions
from loratheory.evaluate.report_card import CONDITIONS, TEMPLATES, Exam, known_methods
from loratheory.evaluate.task_library import CHOOSING, NAMES
from loratheory.lowrank import LowRank
from loratheory.pretrained import Training, attach, kl_to_base, next_token_logits
from loratheory.pretrained.metrics import batch, token_log_probs

NUMBERS = [NAMES.index(task) for task in report_card.TASKS]


def _short(**how):
    """A few large steps, so that adapters differ by more than rounding."""
    return Training(**{**how, "steps": 3, "batch": 4, "rate": 0.03})


@pytest.fixture(scope="module")
def exam(tmp_path_factory):
    """Questions of tasks are made so that each adapter alone is right at every second one."""
    asked = {}
    with pytest.MonkeyPatch.context() as patch:
        small(patch, tmp_path_factory.mktemp("cache"), 2)
        patch.setattr(task_library, "Training", _short)
        patch.setattr(fact_adapters.Condition, "training", property(lambda _: _short()))
        made = Exam()
        vars(made)["model"] = small_model(2)
        for number in NUMBERS:
            prompts = [prompt for prompt, _ in made.tasks.questions(number)][: CHOOSING + 8]
            with attach(made.model, [made.tasks.adapter(number)]):
                says = next_token_logits(made.model, prompts).argmax(1).tolist()
            asked[number] = [
                (prompt, f"N{token if i % 2 else token + 1}")
                for i, (prompt, token) in enumerate(zip(prompts, says, strict=True))
            ]
        vars(made)["tasks"].questions = asked.__getitem__
        yield made


def summed(updates, weights):
    ups = [w * low.up for w, low in zip(weights, updates, strict=True)]
    return LowRank(np.concatenate(ups, 1), np.concatenate([low.down for low in updates]))


def active(coefficient):
    return lambda model, adapters: attach(model, adapters, coefficient)


def test_kept_and_drift_are_what_the_adapters_do_by_hand(exam):
    mark = exam.mark("sum", active(1.0))
    for groups, found in (
        ([NUMBERS[:2], NUMBERS[2:4], NUMBERS[4:]], mark.pairs),
        ([NUMBERS], mark.six),
    ):
        kept = total = 0
        for group in groups:
            with attach(exam.model, [exam.tasks.adapter(i) for i in group]):
                for i in group:
                    prompts, words = zip(*exam.tasks.questions(i)[CHOOSING:], strict=True)
                    says = next_token_logits(exam.model, prompts).argmax(1).tolist()
                    right = [f"N{x}" == word for x, word in zip(says, words, strict=True)]
                    kept += sum(right[1::2])  # right alone, by how they were made
                    total += len(right) // 2
        assert (found.right, found.total) == (kept, total)
        assert 0 <= kept < total
    base, _ = token_log_probs(exam.model, TEXT)
    with attach(exam.model, [exam.tasks.adapter(i) for i in NUMBERS]):
        now, _ = token_log_probs(exam.model, TEXT)
    assert mark.drift == pytest.approx(kl_to_base(base, now), rel=1e-5)


def test_alone_everything_is_kept_and_the_cost_is_that_of_the_factors(exam):
    share = exam.retention(active(1.0), [NUMBERS[:1]])
    assert share.right == share.total == 4
    base, six = (exam.mark("x", active(c)).cost * exam.text[1] for c in (0.0, 1.0))
    adapter = exam.tasks.adapter(NUMBERS[0])
    tokens = batch(exam.model, TEXT)["input_ids"].numel()  # padding is passed too
    factors = sum(low.width * sum(low.shape) for low in adapter.values()) * tokens
    assert exam.text[1] - base == pytest.approx(factors)
    assert six - base == pytest.approx(6 * factors)


@pytest.mark.parametrize(
    "own",
    [OwnRule("a:sum", "merge", summed), rule_named("my_rules:everything")],
    ids=lambda one: one.name,
)
def test_a_method_of_ones_own_is_the_known_one_that_it_equals(own, exam):
    mine, same = exam.mark("x", report_card.own_method(own)), exam.mark("x", active(1.0))
    assert replace(mine, drift=0.0, cost=0.0) == replace(same, drift=0.0, cost=0.0)
    assert mine.drift == pytest.approx(same.drift, rel=1e-3)


def test_a_router_is_shown_activations_of_the_bare_base(exam):
    seen = {}

    def _spy(updates, activations):
        seen[len(seen)] = activations
        return rule_named("my_rules:everything").rule(updates, activations)

    adapters = [exam.tasks.adapter(number) for number in NUMBERS[:2]]
    for scale in (1.0, 100.0):
        larger = [type(a).of({name: scale * low for name, low in a.items()}) for a in adapters]
        report_card.own_method(OwnRule("a:spy", "router", _spy))(exam.model, larger).remove()
    half = len(seen) // 2
    for number in range(half):
        np.testing.assert_array_equal(seen[number], seen[half + number])


@pytest.mark.parametrize("name", known_methods())
def test_every_known_method_gets_a_mark(name, exam):
    mark = exam.mark(name, known_methods()[name])
    assert (mark.standard.total, mark.stand_ins.total, mark.facts.total) == (60, 60, 80)


def test_two_hop_questions_and_facts_are_asked_of_both_kinds_of_pairs(exam):
    mark = exam.mark("sum", active(1.0))
    one = exam.both
    facts = 0
    for key, condition in CONDITIONS.items():
        with attach(exam.model, [one.adapter(hop, condition) for hop in range(2)]):
            found = {
                kind: answers(exam.model, some).vocabulary_right
                for kind, some in questions(one.facts, TEMPLATES).items()
            }
        share = getattr(mark, key)
        assert (share.right, share.total) == (found["two_hop"].sum(), 60)
        facts += found["hop_1"].sum() + found["hop_2"].sum()
    assert (mark.facts.right, mark.facts.total) == (facts, 80)


def test_in_the_control_the_second_hop_is_another_worlds(exam):
    seen = []

    def _seen(model, adapters):
        seen.append(adapters)
        return attach(model, adapters)

    mark = exam.mark("x", _seen, other=True)
    assert (mark.pairs, mark.six, mark.drift, mark.cost) == (None,) * 4
    other = authors(exam.model, exam.seed + 1)
    wanted = [[exam.both.adapter(0, r), other.adapter(1, r)] for r in CONDITIONS.values()]
    for one, two in zip(seen, wanted, strict=True):
        for mine, theirs in zip(one, two, strict=True):
            name = next(iter(theirs))
            np.testing.assert_array_equal(mine[name].up, theirs[name].up)


def test_known_methods_are_evaluated_once(exam, monkeypatch):
    few = {"base": active(0.0), "sum": active(1.0)}
    monkeypatch.setattr(report_card, "known_methods", lambda: few)
    first = report_card.known_marks(exam)
    assert [mark.rule for mark in first] == ["base", "sum"]
    monkeypatch.setattr(Exam, "mark", lambda *_, **__: pytest.fail("evaluated again"))
    assert report_card.known_marks(exam) == first
    # Another model of the same name is measured itself.
    other = Exam(exam.seed, exam.all_pairs, exam.base)
    vars(other)["model"] = replace(exam.model, revision="other")
    with pytest.raises(pytest.fail.Exception, match="evaluated again"):
        report_card.known_marks(other)
    monkeypatch.undo()
    own = OwnRule("a:sum", "merge", summed)
    assert [mark.rule for mark in report_card.own_marks(own, exam)] == ["a:sum", "a:sum, shuffled"]


def test_all_pairs_are_asked_of_all_adapters(exam, monkeypatch):
    monkeypatch.setattr(
        report_card, "draw_all_pairs", lambda seed: draw_all_pairs(seed, count=2, size=4)
    )
    both = Exam(exam.seed, all_pairs=True)
    vars(both)["model"] = exam.model
    made, act = both.all_pairs_facts, active(9.0)
    whose = {who: made.all_facts.second[where] for one in made.firsts for who, where in one.items()}
    with act(exam.model, both.library):
        asked = items(whose, TEMPLATES["two_hop"][:1])
        right = answers(exam.model, asked).vocabulary_right.sum()
    share = both.evaluate_all_pairs(act)
    assert (share.right, share.total) == (right, 8)
    # subject routing reads a prompt back, which needs its words
    read = exam.model.tokenizer
    names = {read(name)["input_ids"][0]: name for name in made.all_facts.first}
    spelt = staticmethod(lambda ids: " ".join(names.get(int(one), "?") for one in ids))
    monkeypatch.setattr(type(read), "decode", spelt)
    assert both.evaluate_all_pairs(report_card._by_subject(made)).total == 8
