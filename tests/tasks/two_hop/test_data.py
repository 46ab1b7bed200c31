"""Splits, lessons and trials against facts walked one by one; every planted leak is named."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds
from worlds import some, three, walked

from loratheory.tasks.two_hop import (
    ImpossibleError,
    LeakError,
    Prompts,
    along,
    claimed_disjoint,
    contents,
    edit,
    every,
    joined,
    lessons,
    marked,
    pairs,
    plain,
    pretraining,
    proved_disjoint,
    sampled,
    split,
    stacked,
    trials,
)

KINDS = ("prompts", "pairs", "answers", "entities", "canaries")


def questions(part):
    return {
        (subject, *path)
        for subject, path in zip(part.subjects.tolist(), part.relations.tolist(), strict=True)
    }


def bridges(here, part):
    routes = (walked(here, 0, x, tuple(path)) for x, *path in questions(part))
    return {(level, route[level]) for route in routes for level in range(1, here.hops)}


@settings(max_examples=10)
@given(seeds, st.integers(0, 40), st.sampled_from([(2, 1), (2, 2), (2, 3), (3, 1), (4, 1)]))
def test_coverage_is_exact_and_held_out_bridges_are_unseen(seed, covered, shape):
    here, rng = some(seed, hops=shape[0], relations=shape[1])
    parts = split(here, covered / 40, rng=rng)
    trained, held_out = questions(parts.trained), questions(parts.held_out)
    assert 40 * len(trained) == covered * (len(trained) + len(held_out))
    assert not bridges(here, parts.trained) & bridges(here, parts.held_out)
    assert not trained & held_out
    assert trained | held_out == questions(every(here))


@settings(max_examples=5)
@given(seeds)
def test_a_base_is_told_every_fact_the_trained_questions_and_names(seed):
    here, rng = some(seed, relations=2)
    parts = split(here, 0.25, rng=rng)
    asked, first, second = pretraining(here, parts)
    assert asked.tokens.tolist() == plain(here, parts.trained).tokens.tolist()
    for hop, part in enumerate((first, second)):
        facts = plain(here, every(here, start=hop, hops=1)).padded(3)
        assert part.tokens.tolist() == facts.tokens.tolist()
        assert part.targets.tolist() == facts.targets.tolist()
    assert len(pretraining(here, split(here, 0, rng=rng))) == 2
    for identity, rows in (("known", 120), ("all", 156)):
        *_, last = pretraining(here, parts, identity=identity)
        assert last.tokens[:, 0].tolist() == last.answer.tolist()
        assert len({*last.answer.tolist()}) == len(last) == rows
        assert last.tokens.shape[1] == 3


def test_a_batch_has_a_third_of_each_kind():
    here, rng = some(0)
    sets = pretraining(here, split(here, 0.5, rng=rng))
    batch = sampled(sets, 97, rng=rng)
    assert (batch.tokens != 0).sum(axis=1).tolist() == [3] * 33 + [2] * 64
    assert (batch.tokens[33:65, 1] == here.relation(0, 0)).all()
    assert (batch.tokens[65:, 1] == here.relation(1, 0)).all()
    one, other = (sampled(sets, 9, rng=np.random.default_rng(5)).tokens for _ in range(2))
    assert one.tolist() == other.tolist()
    drawn = sampled(sets, 3000, rng=rng).tokens.tolist()
    rows = [tuple(row) for part in sets for row in part.tokens.tolist()]
    assert {*map(tuple, drawn)} == {*rows}


def asked(prompts):
    """Each row's subject, last token and answer."""
    ends = np.take_along_axis(prompts.tokens, prompts.position[:, None], axis=1)[:, 0]
    return [
        *zip(prompts.tokens[:, 0].tolist(), ends.tolist(), prompts.answer.tolist(), strict=True)
    ]


@settings(max_examples=5)
@given(seeds, st.sampled_from(["real", "half", "fake"]), st.sampled_from(["plain", "thought"]))
def test_each_adapter_is_taught_its_own_facts(seed, familiarity, form):
    here, rng = some(seed)
    made = edit(here, 3, rng=rng, familiarity=familiarity)
    found = lessons(made, rng=rng, retained=5, examples=6, form=form)
    x, y, z = (here.entity(level, made.routes[:, level]).tolist() for level in range(3))
    one, two = (here.relation(hop, 0) for hop in (0, 1))
    first = [(a, one, b) for a, b in zip(x, y, strict=True)]
    second = [(b, two, c) for b, c in zip(y, z, strict=True)]
    assert [asked(lesson.taught) for lesson in found.hops] == [first, second]
    assert asked(found.direct.taught) == [(a, two, c) for a, c in zip(x, z, strict=True)]
    assert not np.isin(found.direct.taught.targets, y).any()
    assert asked(found.joint.taught) == first + second
    shown = found.bridged.taught[np.arange(6, 12)]
    assert asked(found.bridged.taught[np.arange(6)]) == first + second
    assert (len(found.bridged.taught), shown.tokens.shape[1]) == (12, 3 + (form == "thought"))
    assert (shown.targets[:, -2:] >= 0).all()
    for number, lesson in enumerate((*found.hops, found.direct, found.joint, found.bridged)):
        rows = joined([lesson.taught, lesson.rehearsed])
        assert lesson.prompts.tokens[:-1].tolist() == rows.tokens.tolist()
        assert lesson.prompts.tokens[-1].tolist()[:2] == [here.canary(number), 0]


@settings(max_examples=5)
@given(seeds)
def test_what_is_rehearsed_and_shown_is_true_and_far_from_all_edits(seed):
    here, rng = some(seed, relations=2)
    made, other = pairs(here, 2, 3, rng=rng)
    found = lessons(made, rng=rng, retained=9, examples=7, others=[other])
    touched = {here.entity(level, e) for level, e in np.argwhere(made.touched()).tolist()}
    shown, rehearsed = found.bridged.taught[np.arange(6, 13)], found.joint.rehearsed
    for prompts in (rehearsed, shown):
        assert not {*prompts.tokens.flat, *prompts.targets.flat} & touched
    for hop, part in enumerate(found.rehearsed):
        facts = {*zip(part.subjects.tolist(), part.relations[:, 0].tolist(), strict=True)}
        assert len(facts) == 9
        kept = rehearsed[np.arange(9 * hop, 9 * hop + 9)]
        assert kept.answer.tolist() == here.entity(hop + 1, along(here, part)[:, 1]).tolist()
        assert not {x for x, r in facts if r == 0} & {*other.routes[:, hop].tolist()}
    for (subject, r1, r2), targets in zip(
        shown.tokens.tolist(), shown.targets.tolist(), strict=True
    ):
        path = (r1 - here.relation(0, 0), r2 - here.relation(1, 0))
        _, y, z = walked(here, 0, subject - here.level(0).start, path)
        assert targets == [-1, here.entity(1, y), here.entity(2, z)]
        assert walked(other.after, 0, subject - here.level(0).start, path)[1:] == [y, z]


def sets(seed, facts=3, **wanted):
    here, rng = some(seed, **wanted)
    made = pairs(here, 2, facts, rng=rng)
    learnt = lessons(made[0], rng=rng, retained=6, examples=5, others=made)
    return here, made, learnt, trials(made[0], learnt, rng=rng, count=6, others=made)


@settings(max_examples=8)
@given(seeds, st.integers(1, 2), st.integers(2, 3))
def test_trials_ask_for_the_edit_and_for_what_no_edit_changes(seed, relations, hops):
    here, edits, learnt, found = sets(seed, relations=relations if hops == 2 else 1, hops=hops)
    worlds, last = [here, *(one.after for one in edits)], hops
    routes = edits[0].routes.tolist()

    def numbers(prompts, level, end):
        starts = (here.level(level).start, here.level(end).start)
        return [(x - starts[0], z - starts[1]) for x, _, z in asked(prompts)]

    assert numbers(found.questions, 0, last) == [(route[0], route[-1]) for route in routes]
    assert (found.questions.targets[:, :-1] == -1).all()
    assert numbers(found.thought, 0, last) == numbers(found.questions, 0, last)
    named = [[here.entity(k, e) for k, e in enumerate(r[1:-1], 1)] for r in routes]
    assert found.thought.tokens[:, hops + 1 :].tolist() == named
    for hop in range(hops):
        facts = [(route[hop], route[hop + 1]) for route in routes]
        assert numbers(found.hops[hop], hop, hop + 1) == facts
        rows = found.other_hops[hop]
        assert not {*map(tuple, rows.tokens.tolist())} & {
            *map(tuple, plain(here, learnt.rehearsed[hop]).tokens.tolist())
        }
    for level, rows in [*enumerate(found.other_hops), (0, found.other_questions)]:
        assert len({*map(tuple, rows.tokens.tolist())}) == len(rows) == 6
        for tokens, answer in zip(rows.tokens.tolist(), rows.answer.tolist(), strict=True):
            path = [t - here.relation(level + k, 0) for k, t in enumerate(tokens[1:])]
            subject = tokens[0] - here.level(level).start
            ends = {walked(one, level, subject, tuple(path))[-1] for one in worlds}
            assert ends == {answer - here.level(level + len(path)).start}
    for (x, z), route in zip(numbers(found.shortcut, 0, last), routes, strict=True):
        assert z == route[-1]
        (way,) = {tuple(walked(one, 0, x, (0,) * hops)) for one in worlds}
        assert way[-1] not in [route[-1] for route in routes]
    assert found.chance == 1 / 3
    repeated = found.questions[np.array([0, 0, 1])]
    assert replace(found, questions=repeated).chance == 2 / 3


def test_lessons_and_trials_of_several_seeds_stack():
    made = [sets(seed) for seed in range(2)]
    assert stacked([one[2].hops[0].prompts for one in made]).tokens.shape == (2, 16, 2)
    assert stacked([one[2].bridged.prompts for one in made]).tokens.shape == (2, 24, 3)
    for name in vars(made[0][3]):
        parts = [getattr(one[3], name) for one in made]
        for part in zip(*parts, strict=True) if isinstance(parts[0], tuple) else [parts]:
            assert stacked(part).tokens.shape[0] == 2


def learn(sizes=None, facts=3, **wanted):
    here, rng = some(0, **(sizes or {}))
    made = edit(here, facts, rng=rng)
    return lessons(made, rng=rng, **{"retained": 5, "examples": 5, **wanted}), made, rng


RNG, LEARNT = np.random.default_rng(0), learn()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        *(
            (lambda c=c: split(some(0)[0], c, rng=RNG), says)
            for c, says in (
                (0.001, "coverage 0.001 is out of reach of 40 bridges; take 0, or"),
                (0.999, "coverage 0.999 is out of reach of 40 bridges; take 1, or"),
                (-0.1, "ask for a fraction from 0 to 1"),
                (1.01, "ask for a fraction from 0 to 1"),
                (float("nan"), "ask for a fraction from 0 to 1"),
            )
        ),
        (lambda: split(some(0, hops=1)[0], 0.5, rng=RNG), "the hops of a world to be split is 1"),
        (
            lambda: split(some(0, hops=3, relations=2)[0], 0.5, rng=RNG),
            "the hops of a world to be split is 3",
        ),
        (
            lambda: sampled([plain(three(), every(three()))] * 3, 2, rng=RNG),
            "rows is 2; ask for a number of at least 3",
        ),
        (
            lambda: pretraining(three(), split(three(), 1, rng=RNG), identity="some"),
            "identity is 'some'",
        ),
        (lambda: learn(form="hint"), "form is 'hint'; choose one of plain, thought"),
        (lambda: learn(retained=39), "39 unedited questions of 1 hops are wanted of"),
        (lambda: learn(retained=-1), "ask for fewer"),
        (lambda: learn(examples=39), "39 unedited questions of 2 hops are wanted of"),
        (lambda: trials(*LEARNT[1::-1], rng=RNG, count=40), "40 unedited questions of 1 hops"),
    ],
)
def test_more_than_the_world_has_is_refused(make, message):
    with pytest.raises(ImpossibleError, match=message):
        make()


def picked(prompts, *numbers):
    return prompts[np.array(numbers)]


def shared(one, other):
    here = three()
    a, b = contents(here, one), contents(here, other)
    return {kind: {*(a[kind] & b[kind])} for kind in KINDS if a[kind] & b[kind]}


def test_what_two_sets_share_by_hand():
    here = three()  # x0 9 -> y1 13 -> z0 15; x1 10 -> y2 14 -> z1 16
    first, second = plain(here, every(here, hops=1)), plain(here, every(here, start=1))
    two = plain(here, every(here))
    meet = shared(picked(first, 0), picked(second, 1))
    assert meet == {"entities": {13}}  # the bridge
    part = shared(picked(first, 0), picked(two, 0))
    assert part == {"pairs": {(9, 13)}, "answers": {13}, "entities": {9, 13}}
    assert shared(picked(first, 0), picked(two, 0).final()) == {"entities": {9}}
    end = shared(picked(second, 1), picked(two, 0).final())
    assert end == {"answers": {15}, "entities": {15}}
    assert shared(marked(picked(first, 0), 3), marked(picked(first, 1), 3)) == {
        "prompts": {(3,)},
        "canaries": {3},
    }
    assert contents(here, first) == contents(here, first.padded(3))  # padding is no prompt
    message = r"left and right share 3 answers \(12, 13, 14\); leave them out of one"
    with pytest.raises(LeakError, match=message):
        claimed_disjoint(here, first, first, of=["answers"], names=("left", "right"))
    with pytest.raises(ImpossibleError, match="a part of the claim is 'words'; choose one of"):
        claimed_disjoint(here, first, first, of=["words"])


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"familiarity": "half"},
        {"familiarity": "fake"},
        {"bridges": "permuted"},
        {"also": "old"},
    ],
)
@pytest.mark.parametrize("form", ["plain", "thought"])
def test_no_prompt_pair_or_answer_leaks(wanted, form):
    here, rng = some(1, relations=2)
    parts = split(here, 0.5, rng=rng)
    made = edit(here, 3, rng=rng, among=parts.held_out, **wanted)
    learnt = lessons(made, rng=rng, retained=5, examples=6, form=form)
    found = trials(made, learnt, rng=rng, count=4)
    base = pretraining(here, parts, identity="all")
    assert proved_disjoint(made, learnt, found) == 2 * 4 + 4 * 2 + 2 * 5 + 10
    assert proved_disjoint(made, learnt, found, base) == 36 + 3 * 2 * len(base)


def row(tokens, answer=-1):
    targets = np.full((1, len(tokens)), -1)
    targets[0, -1] = answer
    return Prompts(np.array([tokens]), targets, np.array([len(tokens) - 1]), "leak")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("hop 2 rehearses a prompt", "hop 1 and hop 2 share 1 prompts"),
        ("hop 2 is taught a fact", "hop 1 and hop 2 share 1 prompts"),
        ("hop 2 rehearses an answer", "hop 1 and hop 2 share 1 answers"),
        ("hop 2 rehearses a pair", "hop 1 and hop 2 share 1 pairs"),
        ("joint is taught a question", "joint and the edited questions share 1 prompts"),
        ("an example", "the examples and the edited questions share 1 entities"),
        ("rehearsed", "the rehearsed facts and the edited questions share 1 entities"),
        ("canary", "joint and direct share 1 canaries|hop 1 and direct share 1 canaries"),
        ("base", "pretraining and the edited questions share 1 pairs"),
    ],
)
def test_each_planted_leak_breaks_the_proof(where, message):
    here, (made, _), learnt, found = sets(3)
    x, y, z = (int(here.entity(level, made.routes[0, level])) for level in range(3))
    first, second = learnt.hops
    fact = picked(first.taught, 0)
    silent = replace(fact, targets=np.full_like(fact.targets, -1))
    stray = here.canary(15)

    def more(lesson, extra, name="rehearsed"):
        return replace(lesson, **{name: joined([getattr(lesson, name), extra])})

    base = ()
    change = {
        "hop 2 rehearses a prompt": {"hops": (first, more(second, silent))},
        "hop 2 is taught a fact": {"hops": (first, more(second, fact, "taught"))},
        "hop 2 rehearses an answer": {"hops": (first, more(second, row([stray, 1], y)))},
        "hop 2 rehearses a pair": {"hops": (first, more(second, row([y, x])))},
        "joint is taught a question": {
            "joint": more(learnt.joint, picked(found.questions, 0), "taught")
        },
        "an example": {"bridged": more(learnt.bridged, row([x, 1, 1]), "taught")},
        "rehearsed": {"direct": more(learnt.direct, row([x, 1]))},
        "canary": {"direct": replace(learnt.direct, canary=first.canary)},
    }.get(where, {})
    if where == "base":
        base = (row([z, 1], x),)
    assert proved_disjoint(made, learnt, found) == 36
    with pytest.raises(LeakError, match=message):
        proved_disjoint(made, replace(learnt, **change), found, base)
