"""A stranger's rule on a language model, here a small one: what is asked, kept, leaked and paid."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from worded import small, small_model

from loratheory.bench import collection, portable
from loratheory.bench.crossings import crossings
from loratheory.bench.language import acting, answers
from loratheory.bench.language_facts import items
from loratheory.bench.portable import publishers, questions
from loratheory.bench.rules import coefficients, rule
from loratheory.bench.sentences import TEXT
from loratheory.bench.tasks import CHOOSING, NAMES
from loratheory.evaluate import (
    KNOWN,
    OwnRule,
    _language,
)
from loratheory.evaluate._known import reused
from loratheory.evaluate._language import (
    RECIPES,
    SENTENCES,
    TASKS,
    Exam,
    known_apart,
    known_marks,
    own_marks,
)
from loratheory.lowrank import LowRank
from loratheory.pretrained import Training, attach, kl_to_base, next_token_logits
from loratheory.pretrained.metrics import Share, batch
from paper.studies._shared.measures import ordinary


def _short(**how):
    """A few large steps, so that adapters differ by more than rounding."""
    return Training(**{**how, "steps": 3, "batch": 4, "rate": 0.03})


@pytest.fixture(scope="module")
def exam(tmp_path_factory):
    """Questions of tasks are made so that each adapter alone is right at every second one."""
    with pytest.MonkeyPatch.context() as patch:
        small(patch, tmp_path_factory.mktemp("cache"), 2)
        patch.setattr(collection, "Training", _short)
        patch.setattr(portable.Recipe, "training", property(lambda _: _short()))
        made = Exam()
        vars(made)["model"] = small_model(2)
        for number in map(NAMES.index, TASKS):
            prompts = [prompt for prompt, _ in made.tasks.questions(number)][: CHOOSING + 8]
            with attach(made.model, [made.tasks.adapter(number)]):
                says = next_token_logits(made.model, prompts).argmax(1).tolist()
            asked[number] = [
                (prompt, f"N{token if i % 2 else token + 1}")
                for i, (prompt, token) in enumerate(zip(prompts, says, strict=True))
            ]
        vars(made)["tasks"].questions = asked.__getitem__
        yield made


asked = {}


def summed(updates, weights):
    ups = [w * low.up for w, low in zip(weights, updates, strict=True)]
    return LowRank(np.concatenate(ups, 1), np.concatenate([low.down for low in updates]))


class Constant:
    """Weighs each adapter alike at every token."""

    def __init__(self, each):
        self.each = each

    def weights(self, x):
        """The same for each of these tokens."""
        return np.tile(self.each, (len(x), 1))


def test_kept_and_leak_are_what_the_adapters_do_by_hand(exam):
    mark = exam.mark("sum", coefficients(1.0))
    numbers = [NAMES.index(task) for task in TASKS]
    for groups, found in (
        ([numbers[:2], numbers[2:4], numbers[4:]], mark.pairs),
        ([numbers], mark.six),
    ):
        kept = total = 0
        for group in groups:
            with attach(exam.model, [exam.tasks.adapter(i) for i in group]):
                for i in group:
                    prompts, words = zip(*asked[i][CHOOSING:], strict=True)
                    says = next_token_logits(exam.model, prompts).argmax(1).tolist()
                    pairs = zip(says, words, strict=True)
                    right = [f"N{token}" == word for token, word in pairs]
                    kept += sum(right[1::2])  # right alone, by how they were made
                    total += len(right) // 2
        assert (found.right, found.asked) == (kept, total)
        assert 0 <= kept < total
    base, _ = ordinary(exam.model)
    with attach(exam.model, [exam.tasks.adapter(i) for i in numbers]):
        now, _ = ordinary(exam.model)
    assert mark.leak == pytest.approx(kl_to_base(base, now), rel=1e-5)


def test_alone_everything_is_kept_and_the_cost_is_that_of_the_factors(exam):
    number = NAMES.index(TASKS[0])
    share, _ = exam._kept(coefficients(1.0), [[number]])
    assert share.right == share.asked == 4
    base, six = (exam.mark("x", coefficients(c)).cost * exam.text[1] for c in (0.0, 1.0))
    adapter = exam.tasks.adapter(number)
    tokens = batch(exam.model, TEXT)["input_ids"].numel()  # padding is passed too
    factors = sum(low.width * sum(low.shape) for low in adapter.values()) * tokens
    assert exam.text[1] - base == pytest.approx(factors)
    assert six - base == pytest.approx(6 * factors)


def test_what_an_adapter_alone_gets_wrong_does_not_count(exam, monkeypatch):
    number = NAMES.index(TASKS[0])
    knew = exam._alone[number]
    monkeypatch.setattr(Exam, "_right", lambda *_: np.ones(len(knew), bool))
    share, _ = exam._kept(coefficients(1.0), [[number]])
    assert (share.right, share.asked, len(knew)) == (4, 4, 8)


@pytest.mark.parametrize(
    "own",
    [
        OwnRule("a:sum", "merge", summed),
        OwnRule("a:ones", "router", lambda updates, _: Constant([1.0] * len(updates))),
    ],
    ids=["merge", "router"],
)
def test_a_rule_of_ones_own_is_the_known_rule_that_it_equals(own, exam):
    mine, same = exam.mark("x", reused(own)), exam.mark("x", coefficients(1.0))
    assert replace(mine, leak=0.0, cost=0.0) == replace(same, leak=0.0, cost=0.0)
    assert mine.leak == pytest.approx(same.leak, rel=1e-3)


@pytest.mark.parametrize(
    "name", [name for name, row in KNOWN.items() if row.language and not row.method[0]]
)
def test_every_known_rule_that_is_no_merge_gets_a_mark(name, exam):
    mark = exam.mark(name, KNOWN[name].language, told=KNOWN[name].told)
    assert (mark.plain.asked, mark.taught.asked, mark.facts.asked) == (60, 60, 80)
    assert (mark.six is None) == KNOWN[name].told


def test_ordinary_text_is_passed_under_block_gates_too(exam):
    adapters = [exam.tasks.adapter(NAMES.index(task)) for task in TASKS[:2]]
    with acting(exam.model, adapters, rule("block gates, z = 2")):
        _, cost = exam.passed()
    assert cost > 1.1 * exam.text[1]  # most of which is the head's, once


def test_two_hop_questions_and_facts_are_asked_of_both_kinds_of_pairs(exam):
    act = coefficients(1.0)
    mark = exam.mark("sum", act, told=True)
    assert (mark.pairs, mark.six, mark.leak, mark.cost) == (None,) * 4
    [one] = exam.worlds
    facts = 0
    for key, recipe in RECIPES.items():
        adapters = [one.adapter(hop, recipe) for hop in range(2)]
        with acting(exam.model, adapters, act):
            found = {
                kind: answers(exam.model, items).vocabulary_right
                for kind, items in questions(one.world, SENTENCES).items()
            }
        share = getattr(mark, key)
        assert (share.right, share.asked) == (found["two_hop"].sum(), 60)
        facts += found["hop_1"].sum() + found["hop_2"].sum()
    assert (mark.facts.right, mark.facts.asked) == (facts, 80)


def test_in_the_control_the_second_hop_is_another_worlds(exam, monkeypatch):
    seen = []
    own = acting

    def _seen(model, adapters, act):
        seen.append(adapters)
        return own(model, adapters, act)

    monkeypatch.setattr(_language, "acting", _seen)
    exam.mark("x", coefficients(1.0), other=True)
    other = publishers(exam.model, exam.seeds[0] + 1)
    wanted = [[exam.worlds[0].adapter(0, r), other.adapter(1, r)] for r in RECIPES.values()]
    assert len(seen) == len(wanted)
    for one, two in zip(seen, wanted, strict=True):
        for mine, theirs in zip(one, two, strict=True):
            name = next(iter(theirs))
            np.testing.assert_array_equal(mine[name].up, theirs[name].up)


def test_known_rules_are_marked_once_until_code_changes(exam, monkeypatch):
    share = Share.of("x", 1, 2)
    made = []

    def _mark(_, name, act, **how):
        assert callable(act)
        made.append((name, how.get("told", False)))
        return _language.LanguageMark(name, None, share, share, share, share, 0.5, None)

    monkeypatch.setattr(Exam, "mark", _mark)
    names = [name for name, row in KNOWN.items() if row.language is not None]
    first = known_marks(exam)
    assert made == [(name, KNOWN[name].told) for name in names]
    with known_apart(exam):  # nothing is left for processes
        assert known_marks(exam) == first
    assert len(made) == len(names)
    own = OwnRule("a:sum", "merge", summed)
    assert [mark.rule for mark in own_marks([own], exam)] == ["a:sum", "a:sum, shuffled"]
    monkeypatch.setattr(_language, "code", lambda _: "other")
    assert known_marks(exam) == first
    assert len(made) == 2 * len(names) + 2


def test_missing_results_are_asked_elsewhere_the_slowest_rules_first(exam, monkeypatch):
    monkeypatch.setattr(_language, "code", lambda _: "elsewhere")
    monkeypatch.setattr(_language, "processes", lambda: ThreadPoolExecutor(1))
    elsewhere = replace(exam)
    vars(elsewhere)["model"] = exam.model
    monkeypatch.setattr(_language, "_exam", lambda *_: elsewhere)
    share = Share.of("x", 1, 2)
    here, steps = threading.get_ident(), []
    made = []

    def _mark(asked, name, *_, **__):
        assert (asked is exam) == (name.startswith("a:")) == (threading.get_ident() == here)
        made.append(name)
        return _language.LanguageMark(name, None, share, share, share, share, 0.5, None)

    monkeypatch.setattr(Exam, "mark", _mark)
    own = OwnRule("a:sum", "merge", summed)
    with known_apart(exam, steps.append):
        mine = own_marks([own], exam)
    names = [name for name, row in KNOWN.items() if row.language is not None]
    assert [mark.rule for mark in mine] == ["a:sum", "a:sum, shuffled"]
    assert [mark.rule for mark in known_marks(exam)] == names
    assert [name for name in made if not name.startswith("a:")] == names[::-1]
    assert f"{names[0]} on the language model, {len(names)} of {len(names)} known rules" in steps


@pytest.mark.parametrize("told", [False, True])
def test_crossings_are_asked_of_all_adapters_or_of_the_right_pair(told, exam, monkeypatch):
    monkeypatch.setattr(_language, "crossings", lambda seed: crossings(seed, count=2, size=4))
    both = Exam(exam.seeds, twelve=True)
    vars(both)["model"] = exam.model
    made, act = both.crossings, coefficients(9.0)
    right = 0
    for i in range(2):
        for j in range(2):
            asked = items(made.crossing(i, j).two_hop, SENTENCES["two_hop"][:1])
            some = [both.library[2 * i], both.library[2 * j + 1]] if told else both.library
            with acting(exam.model, some, act):
                right += answers(exam.model, asked).vocabulary_right.sum()
    share = both.crossed(act, told=told)
    assert (share.right, share.asked) == (right, 8)
    assert exam.crossed(act) is None
    read = exam.model.tokenizer
    names = {read(name)["input_ids"][0]: name for name in made.everything.first}
    spelt = staticmethod(lambda ids: " ".join(names.get(int(one), "?") for one in ids))
    monkeypatch.setattr(type(read), "decode", spelt)
    for name, row in KNOWN.items():
        if row.crossed:
            mark = _language._known_mark(both, row)
            assert (mark.rule, mark.crossed.asked, mark.plain, mark.six) == (name, 8, None, None)


# the leaderboard


def test_each_known_merge_is_the_method_that_it_names():
    rng = np.random.default_rng(0)
    updates = [LowRank(rng.normal(size=(6, 2)), rng.normal(size=(2, 5))) for _ in range(2)]
    dense = sum(low.dense() for low in updates)
    for name, wanted in (("sum", dense), ("mean", dense / 2)):
        np.testing.assert_allclose(KNOWN[name].asked.merge(updates, [1, 1]).dense(), wanted)
    assert KNOWN["svd, rank of one"].asked.merge(updates, [1, 1]).width == 2
    for name, row in KNOWN.items():
        if row.method[0]:
            assert row.asked.merge(updates, [1, 1]).shape == (6, 5), name
            assert {law.holds for law in row.laws} <= {True, False}
            assert len(row.laws) > 5
