"""Two-hop data against facts walked one by one; what sets may not share; every form in words."""

import json
from dataclasses import replace
from itertools import combinations, permutations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds
from synthetic import some, three, walked

from loratheory.tasks import ImpossibleError
from loratheory.tasks.prompts import Prompts, joined, sampled, stacked
from loratheory.tasks.two_hop import (
    Edit,
    FactSet,
    Questions,
    all_questions,
    along,
    draw_facts,
    edit,
    encode,
    export,
    marked,
    pairs,
    pretraining,
    split,
    training_sets,
    trials,
)


def questions(start, subjects, hops=2):
    return Questions(start, np.array(subjects), np.zeros((len(subjects), hops), dtype=np.int64))


@settings(max_examples=10)
@given(seeds, st.integers(1, 4), st.integers(1, 3), st.integers(0, 3))
def test_every_token_means_one_thing_and_every_map_is_a_permutation(seed, hops, relations, spare):
    here = draw_facts(seed, hops=hops, entities=5, relations=relations, spare=spare)
    numbers = np.arange(relations)
    tokens = [*range(19)]  # padding, identity, not used, canaries
    for hop in range(hops):
        tokens += here.relation(hop, numbers).tolist()
    tokens += range(tokens[-1] + 1, tokens[-1] + 1 + hops * relations)  # not used
    for level in range(hops + 1):
        tokens += here.entity(level, np.arange(here.size)).tolist()
        assert [*here.level(level)] == tokens[-here.size :]
    assert tokens == [*range(here.vocabulary)]
    for table in here.maps.reshape(hops * relations, -1).tolist():
        assert sorted(table[:5]) == [*range(5)]
        assert table[5:] == [-1] * spare


@settings(max_examples=5)
@given(seeds)
def test_every_question_is_asked_once_and_followed_fact_by_fact(seed):
    here, rng = some(seed, hops=3, entities=6, relations=2)
    for start, hops in ((0, None), (0, 1), (1, 2), (2, None)):
        made = all_questions(here, start=start, hops=hops)
        asked = [*zip(made.subjects.tolist(), map(tuple, made.relations.tolist()), strict=True)]
        assert made.hops == (hops or 3 - start)
        assert sorted(asked) == sorted(product(range(6), product(range(2), repeat=made.hops)))
        routes = [walked(here, start, subject, path) for subject, path in asked]
        assert along(here, made).tolist() == routes
        rows = rng.permutation(len(made))[:7]
        assert along(here, made[rows]).tolist() == [routes[row] for row in rows]
        for hop in range(made.hops):
            fact = made.fact(hop, np.array(routes))
            assert along(here, fact).tolist() == [route[hop : hop + 2] for route in routes]
    assert along(here, questions(0, [6, 0]))[0].tolist() == [6, -1, -1]


def drawn(rng, rows, length, kind="some"):
    tokens = rng.integers(1, 50, size=(rows, length))
    targets = np.where(rng.random((rows, length)) < 0.5, -1, rng.integers(50, size=(rows, length)))
    return Prompts(tokens, targets, rng.integers(length, size=rows), kind)


@settings(max_examples=10)
@given(seeds)
def test_the_answer_is_the_last_target_however_rows_are_put_together(seed):
    rng = np.random.default_rng(seed)
    one, other = drawn(rng, 6, 4, "one"), drawn(rng, 5, 6, "other")
    for row, position, answer in zip(one.targets.tolist(), one.position, one.answer, strict=True):
        wanted = [(place, token) for place, token in enumerate(row) if token != -1]
        assert (position, answer) == (wanted[-1] if wanted else (-1, -1))
    final = one.final()
    assert final.answer.tolist() == one.answer.tolist()
    assert (final.targets != -1).sum(axis=1).tolist() == [p >= 0 for p in one.position]
    both, stack = joined([one, other, one]), stacked([one, drawn(rng, 6, 4)])
    assert (both.kind, joined([one], "named").kind) == ("one+other", "named")
    for name in ("answer", "position", "asked"):
        parts = [getattr(part, name).tolist() for part in (one, other, one)]
        assert getattr(both, name).tolist() == [x for part in parts for x in part]
        assert getattr(stack, name)[0].tolist() == parts[0]
    assert stack.final().answer.tolist() == stack.answer.tolist()
    assert both.tokens[:6, :4].tolist() == one.tokens.tolist()
    assert (both.tokens[:6, 4:] == 0).all()
    assert (both.targets[:6, 4:] == -1).all()
    assert joined([stack, stack]).tokens.shape == (2, 12, 4)


def row(prompts):
    return prompts.tokens[0].tolist(), prompts.targets[0].tolist(), int(prompts.asked[0])


def test_forms_by_hand():
    here = three()  # x1 is 24, its bridge y2 is 28, its answer z1 is 30
    assert row(encode(here, questions(0, [1]))) == ([24, 19, 20], [-1, 28, 30], 2)
    assert row(encode(here, questions(0, [1], 1))) == ([24, 19], [-1, 28], 1)
    assert row(encode(here, questions(1, [2], 1))) == ([28, 20], [-1, 30], 1)
    *_, named = pretraining(here, split(here, 0, rng=np.random.default_rng(0)), identity="known")
    assert row(named[np.array([5])]) == ([28, 1, 0], [-1, 28, -1], 1)
    # These names are part of the keys under which trained weights are kept.
    kinds = [encode(here, all_questions(here, start=start)).kind for start in (0, 1)]
    assert kinds == ["chain", "single"]
    canary = marked(encode(here, questions(0, [1])), 4)
    assert canary.tokens.tolist() == [[24, 19, 20], [4, 0, 0]]
    assert canary.targets.tolist() == [[-1, 28, 30], [-1, -1, -1]]
    assert (canary.asked[-1], canary.position[-1], canary.answer[-1]) == (0, -1, -1)


WANTED = [
    {},
    {"familiarity": "half"},
    {"familiarity": "fake"},
    {"also": "other"},
    {"also": "old"},
    {"familiarity": "half", "also": "other"},
]


def by_hand():
    """x0 -> y1 becomes x0 -> y2; y2 -> z1 becomes y2 -> z0 (before: y1 -> z0)."""
    before = three()
    maps = before.maps.copy()
    maps[0, 0, 0], maps[1, 0, 2] = 2, 0
    after = FactSet(maps, entities=3)
    none = np.zeros((1, 1), dtype=np.int64)
    facts = (Questions(0, np.array([0]), none), Questions(1, np.array([2]), none))
    return Edit(before, after, questions(0, [0]), facts, "overwrite")


def test_the_ways_of_one_question_by_hand():
    made = by_hand()
    assert made.routes.tolist() == [[0, 2, 0]]
    assert [nodes.tolist() for nodes in made.reached()] == [[[0]], [[2, 1]], [[0, 0, 1, 0]]]
    ends = {new: made.answers(new).tolist() for new in product((False, True), repeat=2)}
    assert ends == {
        (True, True): [29],  # z0
        (True, False): [30],  # z1, the old answer of the new bridge
        (False, True): [29],
        (False, False): [29],  # z0, the old answer of the old bridge
    }
    assert np.argwhere(made.touched()).tolist() == [[0, 0], [1, 1], [1, 2], [2, 0], [2, 1]]
    assert np.argwhere(made.claimed()).tolist() == [[0, 0], [1, 1], [1, 2], [2, 0]]
    assert np.argwhere(made.before.maps != made.after.maps).tolist() == [[0, 0, 0], [1, 0, 2]]


def changed(made):
    """The facts that differ, as level, subject, and value after the edit."""
    edits = np.argwhere(made.before.maps != made.after.maps).tolist()
    assert all(relation == 0 for _, relation, _ in edits)
    return {(hop, node, int(made.after.maps[hop, 0, node])) for hop, _, node in edits}


@pytest.mark.parametrize("wanted", WANTED)
@settings(max_examples=4)
@given(seeds, st.integers(1, 3))
def test_an_edit_is_what_its_words_say(wanted, seed, relations):
    here, rng = some(seed, relations=relations)
    made = edit(here, 4, rng=rng, **wanted)
    routes = made.routes
    familiarity = wanted.get("familiarity", "real")
    known = (routes < here.entities).all(axis=0).tolist()
    assert known == {"real": [1, 1, 1], "half": [0, 1, 1], "fake": [0, 0, 0]}[familiarity]
    assert all(len({*column}) == 4 for column in routes.T.tolist())
    facts = {(hop, r[hop], r[hop + 1]) for r in routes.tolist() for hop in (0, 1)}
    more = changed(made) - facts
    assert facts <= changed(made)
    reached = {*made.reached()[1][:, 1].tolist()} - {-1}  # by old facts
    beside = {node for hop, node, _ in more if hop == 1}
    if wanted.get("also") == "old":
        assert beside == reached - {*routes[:, 1].tolist()}
    elif "also" in wanted:
        assert len(more) == len(reached)
        assert not beside & ({*routes[:, 1].tolist()} | reached)
    else:
        assert not more
    for hop, part in enumerate(made.trained):
        each = {(hop, x, y) for x, y in along(made.after, part).tolist()}
        assert each == {fact for fact in changed(made) if fact[0] == hop}
        assert along(made.after, part)[:4].tolist() == routes[:, hop : hop + 2].tolist()
    values = [value for hop, _, value in changed(made) if hop == 1]
    assert len({*values}) == len(values)
    for (x, y, z), passed in zip(routes.tolist(), made.reached()[2].tolist(), strict=True):
        assert z not in passed[1:]  # no old fact leads to the new answer
        ends = {walked(here, 0, x, path)[2] for path in product(range(relations), repeat=2)}
        assert z not in ends | {walked(here, 1, y, (r,))[1] for r in range(relations)}
        assert y not in {walked(here, 0, x, (r,))[1] for r in range(relations)}


CASES = [
    ({}, "overwrite", (2, 3, 4)),
    ({"also": "other"}, "overwrite", (2,)),
    ({"also": "old"}, "overwrite both", (2,)),
    ({"familiarity": "half"}, "new subject", (2, 3)),
    ({"familiarity": "fake"}, "new facts", (2, 3)),
]


def ideal(made, c):
    """Of each question, the weight of each answer in a memory that sums over all ways."""
    weight = np.zeros((len(made.questions), made.before.vocabulary + 1))
    for new in product((True, False), repeat=made.before.hops):
        share = np.prod([c if is_new else 1 - c for is_new in new])
        weight[np.arange(len(weight)), made.answers(new)] += share  # a missing fact's is last
    return weight[:, :-1]


@pytest.mark.parametrize(
    ("wanted", "name", "hops"),
    [(w, name, hops) for w, name, all_questions in CASES for hops in all_questions],
)
def test_an_ideal_memory_needs_the_coefficient_of_the_case(wanted, name, hops):
    """``c**k + c = 1`` where k old facts compete; 1/2 where both are edited, none where none is."""
    here, rng = some(3, hops=hops)
    made = edit(here, 4, rng=rng, **wanted)
    assert made.case == name
    old = {"overwrite": hops, "new subject": hops - 1, "overwrite both": 1, "new facts": 0}[name]
    grid = np.arange(1, 1000) / 1000
    least = float(min(grid[grid**old + grid > 1], default=1.0)) if old else 0.001
    for c in (least, min(least + 0.05, 1.0), least - 0.001):
        wins = (ideal(made, c).argmax(axis=1) == made.answers([True] * hops)).all()
        assert c == 0 or wins == (c >= least)


def asked_in(part):
    return {
        (subject, *path)
        for subject, path in zip(part.subjects.tolist(), part.relations.tolist(), strict=True)
    }


def bridges(here, part):
    routes = (walked(here, 0, x, tuple(path)) for x, *path in asked_in(part))
    return {(level, route[level]) for route in routes for level in range(1, here.hops)}


@settings(max_examples=10)
@given(seeds, st.integers(0, 40), st.sampled_from([(2, 1), (2, 2), (2, 3), (3, 1), (4, 1)]))
def test_coverage_is_exact_and_held_out_bridges_are_unseen(seed, covered, shape):
    here, rng = some(seed, hops=shape[0], relations=shape[1])
    parts = split(here, covered / 40, rng=rng)
    trained, held_out = asked_in(parts.trained), asked_in(parts.held_out)
    assert 40 * len(trained) == covered * (len(trained) + len(held_out))
    assert not bridges(here, parts.trained) & bridges(here, parts.held_out)
    assert not trained & held_out
    assert trained | held_out == asked_in(all_questions(here))


@settings(max_examples=5)
@given(seeds)
def test_a_base_is_told_every_fact_the_trained_questions_and_names(seed):
    here, rng = some(seed, relations=2)
    parts = split(here, 0.25, rng=rng)
    asked, first, second = pretraining(here, parts)
    assert asked.tokens.tolist() == encode(here, parts.trained).tokens.tolist()
    for hop, part in enumerate((first, second)):
        facts = encode(here, all_questions(here, start=hop, hops=1)).padded(3)
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
@given(seeds, st.sampled_from(["real", "half", "fake"]))
def test_each_adapter_is_taught_its_own_facts(seed, familiarity):
    here, rng = some(seed)
    made = edit(here, 3, rng=rng, familiarity=familiarity)
    found = training_sets(made, rng=rng, retained=5)
    x, y, z = (here.entity(level, made.routes[:, level]).tolist() for level in range(3))
    one, two = (here.relation(hop, 0) for hop in (0, 1))
    first = [(a, one, b) for a, b in zip(x, y, strict=True)]
    second = [(b, two, c) for b, c in zip(y, z, strict=True)]
    assert [asked(each.trained) for each in found.hops] == [first, second]
    assert asked(found.direct.trained) == [(a, two, c) for a, c in zip(x, z, strict=True)]
    assert not np.isin(found.direct.trained.targets, y).any()
    assert asked(found.joint.trained) == first + second
    for number, each in enumerate((*found.hops, found.direct, found.joint)):
        rows = joined([each.trained, each.replayed])
        assert each.prompts.tokens[:-1].tolist() == rows.tokens.tolist()
        assert each.prompts.tokens[-1].tolist()[:2] == [3 + number, 0]


@settings(max_examples=5)
@given(seeds)
def test_what_is_rehearsed_is_true_and_far_from_all_edits(seed):
    here, rng = some(seed, relations=2)
    made, other = pairs(here, 2, 3, rng=rng)
    found = training_sets(made, rng=rng, retained=9, others=[other])
    touched = {here.entity(level, e) for level, e in np.argwhere(made.touched()).tolist()}
    replayed = found.joint.replayed
    assert not {*replayed.tokens.flat, *replayed.targets.flat} & touched
    for hop, part in enumerate(found.replayed):
        facts = {*zip(part.subjects.tolist(), part.relations[:, 0].tolist(), strict=True)}
        assert len(facts) == 9
        kept = replayed[np.arange(9 * hop, 9 * hop + 9)]
        assert kept.answer.tolist() == here.entity(hop + 1, along(here, part)[:, 1]).tolist()
        assert not {x for x, r in facts if r == 0} & {*other.routes[:, hop].tolist()}


def sets(seed, facts=3, **wanted):
    here, rng = some(seed, **wanted)
    made = pairs(here, 2, facts, rng=rng)
    made_sets = training_sets(made[0], rng=rng, retained=6, others=made)
    return here, made, made_sets, trials(made[0], made_sets, rng=rng, count=6, others=made)


@settings(max_examples=8)
@given(seeds, st.integers(1, 2), st.integers(2, 3))
def test_trials_ask_for_the_edit_and_for_what_no_edit_changes(seed, relations, hops):
    here, edits, made_sets, found = sets(seed, relations=relations if hops == 2 else 1, hops=hops)
    fact_sets, last = [here, *(one.after for one in edits)], hops
    routes = edits[0].routes.tolist()

    def numbers(prompts, level, end):
        starts = (here.level(level).start, here.level(end).start)
        return [(x - starts[0], z - starts[1]) for x, _, z in asked(prompts)]

    assert numbers(found.questions, 0, last) == [(route[0], route[-1]) for route in routes]
    assert (found.questions.targets[:, :-1] == -1).all()
    for hop in range(hops):
        facts = [(route[hop], route[hop + 1]) for route in routes]
        assert numbers(found.hops[hop], hop, hop + 1) == facts
        rows = found.other_hops[hop]
        assert not {*map(tuple, rows.tokens.tolist())} & {
            *map(tuple, encode(here, made_sets.replayed[hop]).tokens.tolist())
        }
    for level, rows in [*enumerate(found.other_hops), (0, found.other_questions)]:
        assert len({*map(tuple, rows.tokens.tolist())}) == len(rows) == 6
        for tokens, answer in zip(rows.tokens.tolist(), rows.answer.tolist(), strict=True):
            path = [t - here.relation(level + k, 0) for k, t in enumerate(tokens[1:])]
            subject = tokens[0] - here.level(level).start
            ends = {walked(one, level, subject, tuple(path))[-1] for one in fact_sets}
            assert ends == {answer - here.level(level + len(path)).start}
    for (x, z), route in zip(numbers(found.shortcut, 0, last), routes, strict=True):
        assert z == route[-1]
        (way,) = {tuple(walked(one, 0, x, (0,) * hops)) for one in fact_sets}
        assert way[-1] not in [route[-1] for route in routes]
    assert found.chance == 1 / 3
    repeated = found.questions[np.array([0, 0, 1])]
    assert replace(found, questions=repeated).chance == 2 / 3


def shared(here, one, other):
    """How many questions two sets share, and how many pairs of entities that stand in one row."""
    found = []
    for part in (one, other):
        asked, pairs = set(), set()
        for tokens, targets, end in zip(part.tokens, part.targets, part.asked, strict=True):
            asked.add(tuple(tokens[: end + 1].tolist()))
            entities = {x for x in (*tokens.tolist(), *targets.tolist()) if x >= here.level(0)[0]}
            pairs.update(combinations(sorted(entities), 2))
        found.append((asked, pairs))
    (left, right) = zip(*found, strict=True)
    return len(left[0] & left[1]), len(right[0] & right[1])


@pytest.mark.parametrize("wanted", WANTED)
def test_no_prompt_pair_or_answer_leaks(wanted):
    """Between hops, to the questions of the edit, and from pretraining."""
    here, rng = some(1, relations=2)
    parts = split(here, 0.5, rng=rng)
    made = edit(here, 3, rng=rng, among=parts.held_out, **wanted)
    made_sets = training_sets(made, rng=rng, retained=5)
    asked = trials(made, made_sets, rng=rng, count=4).questions
    every_lesson = [*made_sets.hops, made_sets.joint, made_sets.direct]
    for one, other in permutations(made_sets.hops, 2):
        assert shared(here, one.trained, other.prompts) == (0, 0)
    for each in every_lesson[:-1]:  # only the direct adapter sees an edited question
        assert shared(here, each.prompts, asked) == (0, 0)
    assert shared(here, made_sets.direct.prompts, asked) == (3, 3)
    assert shared(here, made_sets.direct.replayed, asked) == (0, 0)
    for base in pretraining(here, parts, identity="all"):
        assert shared(here, base, asked) == (0, 0)


HERE = three()
NAMES = ("Ann", "Bob", "Cyd", "Ria", "Sia", "Tia", "Elk", "Fox", "Gnu")
WORDS = dict(zip(range(23, 32), NAMES, strict=True))
BOB = all_questions(HERE)[np.array([1])]  # Bob's country is Tia, whose animal is Fox
TIA = all_questions(HERE, start=1)[np.array([2])]
LONG = "he national animal of the country of birth of Bob"


def test_files_hold_tokens_and_words(tmp_path):
    sets = {"long": encode(HERE, BOB).final(), "short": encode(HERE, TIA).padded(4)}
    told = {
        "cloze": (f"T{LONG} is", "The national animal of Tia is"),
        "question": (f"What is t{LONG}?", "What is the national animal of Tia?"),
    }
    for style, (long, short) in told.items():
        folder = export(tmp_path / style, sets, HERE, WORDS, style=style, about="Made.")
        assert sorted(p.name for p in folder.iterdir()) == [
            "README.md", "long.jsonl", "short.jsonl",
        ]  # fmt: skip
        rows = [json.loads((folder / f"{name}.jsonl").read_text("utf-8")) for name in sets]
        assert rows[0] == {
            "prompt": long,
            "answer": "Fox",
            "asked": 2,
            "tokens": [24, 19, 20],
            "targets": [-1, -1, 30],
        }
        assert rows[1] == {
            "prompt": short,
            "answer": "Fox",
            "asked": 1,
            "tokens": [28, 20],
            "targets": [-1, 30],
        }
    assert "# Two-hop questions\n\nMade.\n" in (folder / "README.md").read_text("utf-8")


RNG = np.random.default_rng(0)
MADE = edit(some(0)[0], 3, rng=RNG)


@pytest.mark.parametrize(
    "make",
    [
        *(lambda bad=bad: draw_facts(0, **bad) for bad in ({"hops": 5}, {"relations": 0})),
        *(lambda bad=bad: split(some(0)[0], bad, rng=RNG) for bad in (
            0.001, 0.999, -0.1, 1.01, float("nan"),
        )),
        *(lambda facts=facts, bad=bad: edit(some(0)[0], facts, rng=RNG, **bad) for facts, bad in (
            (0, {}), (41, {}), (13, {"familiarity": "fake"}), (3, {"familiarity": "new"}),
            (3, {"also": "all"}),
        )),
        lambda: training_sets(MADE, rng=RNG, retained=39),
        lambda: trials(MADE, training_sets(MADE, rng=RNG, retained=5), rng=RNG, count=40),
        lambda: edit(some(0, hops=3)[0], 3, rng=RNG, also="old"),
        lambda: edit(some(0, hops=1)[0], 3, rng=RNG),
        lambda: split(some(0, hops=3, relations=2)[0], 0.5, rng=RNG),
        lambda: sampled([encode(HERE, all_questions(HERE))] * 3, 2, rng=RNG),
        lambda: encode(some(0)[0], questions(0, [3, 41])),
        lambda: export(Path("out"), {}, HERE, WORDS, style="verse"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make):
    with pytest.raises(ImpossibleError):
        make()
