"""All studies by a grid of study × property: their documents, stored tables, and one tiny cell."""

import hashlib
import math
from collections import Counter
from dataclasses import FrozenInstanceError, replace
from functools import cache as once
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_words import TINY as SIZE

from loratheory.experiments import (
    NAMES,
    Small,
    csv_text,
    experiment,
    failing_step,
    label_free_prediction,
    processes,
    published,
    replayed,
    shallow_matching,
    stored_cells,
    table,
)
from loratheory.experiments.bench import CROWDS, words
from paper.studies._shared.problems import (
    MEASURED,
    PAIRS,
    WORDINGS,
    Covered,
    coverage,
    drawn,
    linked,
    met,
    overlapping,
)
from loratheory.bench.rules import RULES
from loratheory.experiments.engine import plain, stored_provenance, unpacked
from loratheory.experiments.merge_coefficient import ALSO

RESULTS = Path(__file__).parents[2] / "paper" / "results"
SOLVERS = {"base": "base", "alone_1": "first alone", "alone_2": "second alone"}
SOLVERS |= {name: name for name in ("mean", "sum", "ties", "arrow", "gates", "composed")}
STORED = [name for name in NAMES if (RESULTS / name).exists()]
AGAIN = [name for name in NAMES if (RESULTS / "small" / name).exists()]
"""Studies whose quick settings the paper's tables have not: small tables have them."""

SIZES = {"entities": 64, "width": 16, "pretrained": 3, "trained": 3, "retained": 4, "facts": 2}
LEARNT = {"seed": 101, "size": SIZE}
PLAIN = {"seed": 101, "stages": (10,), "sets": 2, "facts": 2, "entities": 24, "relations": 4}
PLAIN |= {"width": 16, "rows": 32, "trained": 10, "retained": 8}
TINY = {
    "two_hop_coverage": {"familiarity": "half", "seeds": (101,), "spare": 4},
    "merge_coefficient": {"seeds": (101, 102), "sets": 1, "steps": 3, "spare": 4},
    "number_of_hops": {"hops": 3, "seeds": (101,), "sets": 2, "steps": 1, "spare": 4},
    "edit_strength": {"seeds": (101,), "spare": 4},
    "interference": {"rank": 2, "pairs": 2, "seeds": (101,), "spare": 4},
    "placement": {"seeds": (101,), "spare": 4},
    "familiarity": {"seeds": (101,), "spare": 4},
    "routers": {"pairs": 2, "seeds": (101,), "sets": 1, "spare": 4},
    "capacity": {"rank": 2, "seeds": (101,), "spare": 4},
    "depth": {"reads": "one layer", "seeds": (101,), "spare": 0},
    "gating": {"seeds": (101,), "spare": 4},
    "joint_and_bridge": {"thinking": 3, "seeds": (101,), "spare": 4},
    "plain_transformer": PLAIN,
    "untied_transformer": {**PLAIN, "steps": 3},
    "number_of_stand_ins": {**PLAIN, "lessons": (("disagreeing", 2),)},
    "template_overlap": {**LEARNT, "pairs": MEASURED[:1]},
    "skill_coverage": {**LEARNT, "seen": "pairs"},
    "shallow_matching": {**LEARNT, "pairs": MEASURED[:1]},
    "skill_stand_ins": LEARNT,
    "failing_step": {**LEARNT, "seen": "pairs"},
    "label_free_prediction": {**LEARNT, "met": 18},
}
TAUGHT = len(words.RULES) + 1
UNASKED = ("placement", "edit_strength", "number_of_stand_ins")
"""Studies without an arm in which the base alone is asked."""
HEADS = {  # columns before `seed`, and arms a base and set (or coefficients a base; or cases)
    "two_hop_coverage": (("coverage", "familiarity", "rule"), 17),
    "merge_coefficient": (("case", "coverage"), 4),
    "number_of_hops": (("hops", "threshold"), 2),
    "edit_strength": (("trained", "rule"), 2),
    "interference": (("facts", "rank", "pairs", "rule"), 9),
    "placement": (("modules", "place"), 6),
    "familiarity": (("coverage", "familiarity", "identity", "rule"), 9),
    "routers": (("pairs", "coverage", "rule"), 14),
    "capacity": (("facts", "rank", "pairs", "rule"), 8),
    "depth": (("reads", "rule"), 9),
    "gating": (
        ("facts", "pairs", "bridges", "rank", "modules", "coverage", "pretrained", "rule"),
        21,
    ),
    "joint_and_bridge": (("coverage", "rule"), 9),
    "plain_transformer": (("stage", "layers", "rule"), 14 * 3),
    "untied_transformer": (
        ("coverage", "stage", "layers", "rule", "coefficient"),
        24 * 2 * 2,  # ways, layers and questions
    ),
    "number_of_stand_ins": (
        ("lessons", "stand_ins", "first", "second", "rule"),
        6 + 6 + 3 + 3,  # plain, beside stand-ins, and one of each
    ),
    "template_overlap": (("kind",), 8 * TAUGHT),
    "skill_coverage": (("seen", "rule", "first", "second", "coverage"), 6 * (TAUGHT + 1)),
    "shallow_matching": (("kind",), 8 * 6 * 6),
    "skill_stand_ins": (("lessons", "rule"), 4 * 6 * len(words.RULES)),
    "failing_step": (("seen", "rule", "first", "second"), 6 * 7 * 9),
    "label_free_prediction": (("met",), 2 * 3),
}
KEYS = (
    "set",
    "question",
    "coefficient",
    "rule",
    "first",
    "second",
    "bridge",
    "share",
    "put",
    "outcome",
)
SHARES = ("two_hop", "k_hop", "hop_1", "hop_2", "other_hops", "other_two_hop", "other_k_hop")
SHARES += ("shortcut", "chance", "recall", "circuit", "held_out", "exchanged", "random")
SHARES += ("stepwise", "answered", "step_1", "step_2", "alone_1", "composed", "kept", "rate")


def config(name, **change):
    kind = type(experiment(name).profiles["paper"][0])
    return kind(**(SIZES if issubclass(kind, Small) else {}), **{**TINY[name], **change})


@once
def rows(name):
    return experiment(name).cell(config(name))


def column(name, which, **where):
    chosen = [row for row in rows(name) if all(row[k] == v for k, v in where.items())]
    return np.array([row[which] for row in chosen])


# what a study says, and its configs


@pytest.mark.parametrize("name", NAMES)
def test_every_study_says_what_it_asks_expects_and_is_compared_with(name):
    found = experiment(name)
    assert found.name == name
    assert found.paragraph("Question").endswith("?")
    for title in ("Question", "Prediction", "Chance", "Controls"):
        text = found.paragraph(title)
        assert len(text) > 20
        assert "**" not in text
    assert set(found.profiles) == set(found.minutes)
    assert {"quick", "paper"} <= set(found.profiles) <= {"quick", "paper", "small"}


@pytest.mark.parametrize("name", NAMES)
def test_its_cells_have_configs_that_are_frozen_different_and_json(name):
    found = experiment(name)
    for configs in found.profiles.values():
        assert len({found.key(config) for config in configs}) == len(configs) > 0
        for one in configs:
            assert plain(one)
            with pytest.raises(FrozenInstanceError):
                one.seed = 3
            with pytest.raises(TypeError):
                type(one)(unknown=1)


@pytest.mark.parametrize("name", [n for n in TINY if isinstance(config(n), Small)])
def test_every_setting_is_measured_on_the_same_bases(name):
    paper = experiment(name).profiles["paper"]
    seeds = Counter(seed for one in paper for seed in one.seeds)
    assert set(seeds) == {seed for crowd in CROWDS for seed in crowd}
    assert len(set(seeds.values())) == 1
    assert len({replace(one, seeds=()) for one in paper}) * len(CROWDS) == len(paper)


def test_all_quick_profiles_together_take_under_five_minutes_on_two_cores():
    minutes = [experiment(name).minutes["quick"] for name in NAMES if not name.startswith("real_")]
    assert sum(minutes) < 2 * 5


# stored tables


@pytest.mark.parametrize(
    ("name", "profile"),
    [*((name, "paper") for name in STORED), *((name, "small") for name in AGAIN)],
)
def test_a_table_is_the_one_its_provenance_describes(name, profile):
    results = RESULTS / "small" if profile == "small" else RESULTS
    found = stored_provenance(results / name)
    assert (found["experiment"], found["profile"]) == (name, profile)
    text = unpacked(results / name / "table.csv")
    assert hashlib.sha256(text).hexdigest() == found["sha256"]
    cells = stored_cells(experiment(name), results, profile)
    assert sum(len(rows) for _, rows in cells) == text.count(b"\n") - 1
    assert all(environment["code"] for environment in found["environments"])


@pytest.mark.parametrize("name", AGAIN)
def test_a_quick_cell_has_what_it_is_compared_with(name):
    """One base of the small table against the others: what makes tables again meets settings."""
    cells = stored_cells(experiment(name), RESULTS / "small", "small")
    found = replayed(cells[:1], cells[1:])
    assert (found.missing, found.means >= 8) == (0, True)
    quick = experiment(name).profiles["quick"]
    assert replayed([(one, cells[0][1]) for one in quick], cells[1:]) == found


def again(name):
    """The rows of the first cell, made as a sweep makes them, and the stored ones."""
    one, stored = stored_cells(experiment(name), RESULTS)[0]
    with processes(1) as pool:
        return pool.submit(experiment(name).cell, one).result(), stored.to_dict("records")


@pytest.mark.parametrize("name", ["merge_floor", "two_read_region", "window"])
def test_an_exact_cell_run_again_gives_the_same_bytes(name):
    made, stored = (
        experiment(name).cell(experiment(name).profiles["paper"][0]),
        table(published(name)),
    )
    assert csv_text(made) == csv_text(stored.to_dict("records"))


@pytest.mark.slow
def test_the_grid_run_again_gives_the_same_bytes_but_for_ties():
    """Equal singular values leave it to the processor which directions a ReLU network loses."""
    made, stored = again("expressive_power")
    tied = [r["family"] == r["flat"] == 1 and r["rank"] < r["threshold"] for r in stored]
    assert sum(tied) == 33
    assert all(row["value"] <= row["bound"] for row in made)
    kept = [
        [row | {"value": 0.0} if tie else row for row, tie in zip(one, tied, strict=True)]
        for one in (made, stored)
    ]
    assert csv_text(kept[0]) == csv_text(kept[1])


@pytest.mark.slow
def test_rounding_errors_run_again_are_nearly_the_same():
    for made, row in zip(*again("construction_digits"), strict=True):
        assert made == pytest.approx(row, abs=1.5)  # logarithms; they depend on the processor


@pytest.mark.slow
@pytest.mark.parametrize("name", ["depth", "failing_step"])
def test_a_base_trained_again_has_the_stored_means(name):
    """Of questions about facts and of word problems, on whatever machine."""
    study = experiment(name)
    one = study.profiles["quick"][-1]
    if isinstance(one, Small):
        one = replace(one, seeds=one.seeds[:1])
    small = "small" in study.profiles
    stored = stored_cells(study, *((RESULTS / "small", "small") if small else (RESULTS,)))
    found = replayed([(one, pd.DataFrame(study.cell(one)))], stored)
    assert (found.missing, found.outside) == (0, ())
    assert found.means >= 40


def test_all_tables_together_are_small():
    assert sum(file.stat().st_size for file in RESULTS.rglob("*") if file.is_file()) < 13 * 2**17
    assert {path.name for path in RESULTS.iterdir()} <= {*NAMES, "small"}
    small = {name for name in NAMES if "small" in experiment(name).profiles}
    assert {path.name for path in (RESULTS / "small").iterdir()} == small


# one tiny cell of each


@pytest.mark.parametrize("name", TINY)
def test_every_arm_stands_on_every_replica(name):
    head, arms = HEADS[name]
    found, one = rows(name), config(name)
    assert tuple(found[0])[: len(head) + 1] == (*head, "seed")
    seeds = getattr(one, "seeds", None) or (one.seed,)
    sets = one.sets if "set" in found[0] else 1
    assert len(found) == arms * len(seeds) * sets
    keys = (*head, "seed", *(key for key in KEYS if key in found[0]))
    assert len({tuple(row[k] for k in keys) for row in found}) == len(found)
    assert {row["seed"] for row in found} == set(seeds)


@pytest.mark.parametrize("name", TINY)
def test_the_columns_are_those_of_the_stored_table_and_shares_are_shares(name):
    assert csv_text(rows(name)).count("\n") == len(rows(name)) + 1
    assert list(rows(name)[0]) == list(table(published(name)).columns)
    for which in set(SHARES) & set(rows(name)[0]):
        values = column(name, which)
        values = values[~np.isnan(values)]
        assert ((values >= 0) & (values <= 1)).all(), which


@pytest.mark.parametrize("name", [n for n in TINY if "rule" in HEADS[n][0] and "stage" not in n])
def test_arms_are_rules_of_the_table_or_adapters_of_the_study(name):
    own = {"noise", "shuffled", "exchanged", "direct", "third of direct", "mean of three", "joint"}
    own |= {"beside noise", "one", "wide", "best one", "best by read", "best pattern"}
    own |= {"hop 1 beside noise", "hop 2 beside noise", "layer split", "reversed layer split"}
    own |= {"bridged, plain", "bridged, written out", *words.RULES, "composed"}
    assert {row["rule"] for row in rows(name)} <= set(RULES) | own


@pytest.mark.parametrize("name", [n for n in TINY if "size" not in TINY[n] and n not in UNASKED])
def test_tiny_bases_answer_nothing_by_themselves(name):
    which = "k_hop" if name == "number_of_hops" else "two_hop"
    where = {"coefficient": 0} if "coefficient" in rows(name)[0] else {"rule": "base"}
    assert (column(name, which, **where) == 0).all()


# what single studies are about


@pytest.mark.parametrize("case", ["overwrite both", "new subject"])
def test_the_cases_of_old_facts(case):
    assert case in ALSO
    found = experiment("merge_coefficient").cell(
        config("merge_coefficient", case=case, seeds=(101,), sets=1, steps=1)
    )
    assert {row["case"] for row in found} == {case}
    zero = [row for row in found if row["coefficient"] == 0]
    assert all(row["predicted"] == row["facts"] == row["oracle_placement"] == 0 for row in zero)


def test_the_bound_of_switches_is_the_oracle_less_misses_and_false_alarms():
    reach = column("gating", "two_hop", rule="oracle placement")
    switched = 0
    for name in {row["rule"] for row in rows("gating")}:
        lost = column("gating", "misses", rule=name) + column("gating", "false_alarms", rule=name)
        bound = column("gating", "predicted", rule=name)
        assert np.isnan(bound).all() == np.isnan(lost).all()
        if not np.isnan(lost).any():
            switched += 1
            np.testing.assert_allclose(bound, reach - lost)
    assert switched == 8  # four routers and gates on single maps, gates by z, block gates
    for name in ("arrow", "norm, soft", "norm, z"):  # these share out one unit
        lost, wrong = (column("gating", x, rule=name) for x in ("misses", "false_alarms"))
        np.testing.assert_allclose(lost, wrong, atol=1e-5)


def test_weights_at_reads_are_the_rules():
    np.testing.assert_allclose(column("routers", "weight_1", rule="uniform"), 0.25, atol=1e-6)
    for name in ("sum", "oracle placement"):
        assert (column("routers", "weight_2", rule=name) == 1).all()
    assert set(column("routers", "weight_1", rule="best by read")) <= {0.0, 0.5, 1.0}


def test_attention_is_switched_too_but_its_reads_are_not_counted():
    change = {"modules": "attention", "pairs": 1, "seeds": (101,), "sets": 1}
    other = experiment("gating").cell(config("gating", **change))
    assert {row["modules"] for row in other} == {"attention"}
    assert all(math.isnan(row[name]) for row in other for name in ("leak", "misses", "predicted"))


def test_the_ceiling_of_one_read_is_chance_times_the_patterns():
    for row in rows("depth"):
        wanted = {"arrow": 2, "gates": 4, "best pattern": 4}.get(row["rule"], 1)
        assert row["patterns"] == wanted
        assert row["ceiling"] == min(wanted * row["chance"], 1)


def test_what_is_predicted_of_capacity_is_the_recall_of_one():
    one = column("capacity", "recall", rule="one")
    np.testing.assert_array_equal(column("capacity", "predicted", rule="sum"), one)
    for name in {row["rule"] for row in rows("capacity")} - {"sum"}:
        assert (column("capacity", "predicted", rule=name) == -1).all()
    both = ("pair alone", "oracle placement")
    pair, placed = (column("capacity", "recall", rule=n) for n in both)
    np.testing.assert_array_equal(pair, placed)


def test_more_passes_are_the_same_to_facts():
    for name in ("mean", "sum"):
        for fact in ("hop_1", "hop_2"):
            one, more = (column("gating", fact, rule=r) for r in (name, f"{name}, hop by hop"))
            np.testing.assert_array_equal(one, more)


def test_the_vote_is_predicted_for_mean_and_sum_alone():
    for row in rows("template_overlap"):
        total = {"mean": 1, "sum": 2}.get(row["rule"])
        if total is None:
            assert np.isnan(row["predicted"])
            continue
        right = (1 - total) + total * row["share"]
        assert row["predicted"] == (0.5 if right == 0.5 else float(right > 0.5))
    assert {row["bridge"] for row in rows("template_overlap")} == {
        "none",
        "serial",
        "own",
        "neutral",
    }


def test_pairs_of_skills_come_with_what_pretraining_has_shown_of_them():
    share = coverage("pairs", 101)
    for row in rows("skill_coverage"):
        assert row["coverage"] == pytest.approx(share[row["first"], row["second"]], abs=1e-4)
    for row in rows("label_free_prediction"):
        assert (row["first"], row["second"]) not in met(101, 18)
        assert row["shape"] == pytest.approx(row["share"])


def test_shares_of_pairs_are_those_of_their_problems_and_adapters(monkeypatch):
    """Each share is replaced by whose adapter it is, and by what is asked."""

    def _right(_, asked, adapt):
        names = [[adapt, *sorted(one.templates[0].skills)] for one in asked]
        assert all(len({*one.templates}) == 1 for one in asked)
        return np.array(
            [[float(len(told := "".join(each))) + sum(map(ord, told))] for each in names]
        )

    one = config("label_free_prediction")
    monkeypatch.setattr(words.Trained, "acting", lambda _: {n: n for n in SOLVERS.values()})
    monkeypatch.setattr(words.Trained, "right", _right)
    monkeypatch.setattr(label_free_prediction.bench, "likeness", lambda *_: {}, raising=False)
    asked = {"step_1": ("first alone", 0), "step_2": ("second alone", 1)}
    for row in label_free_prediction.cell(one):
        pair = [row["first"], row["second"]]
        whose = {name: (rule, *sorted(pair)) for name, rule in SOLVERS.items()}
        whose |= {name: (rule, pair[place]) for name, (rule, place) in asked.items()}
        for name, each in whose.items():
            told = "".join(each)
            assert row[name] == len(told) + sum(map(ord, told)), name


@pytest.fixture(scope="module")
def learnt():
    return Covered(seen="pairs", **LEARNT).trained()


def test_each_case_is_measured_with_its_own_problems_and_adapters(learnt):
    """Numbers of one rule again, case by case, each adapter alone with its own prompts."""
    asked = learnt.targets(SIZE.asked)
    for e, pair in enumerate(PAIRS):
        one = learnt.only(e)
        assert one.cases[0].pair == pair
        right = one.accuracies(asked[e : e + 1], one.acting()["sum"])
        (row,) = [
            row
            for row in rows("skill_coverage")
            if (row["first"], row["second"], row["rule"]) == (*pair, "sum")
        ]
        assert {name: row[name] for name in right} == {n: x[0] for n, x in right.items()}


@pytest.mark.parametrize("how", shallow_matching.OTHERWISE)
def test_one_thing_changes(how):
    rng = np.random.default_rng(0)
    here = drawn([linked(("multiply", "divide"))], 20, rng)
    there = shallow_matching.otherwise(here, how, rng=rng)
    same = {
        "wording": (there.wordings == here.wordings).any() if how == "wording" else None,
        "names": (there.names == here.names).all() if how != "distractor" else True,
        "numbers": (there.answers == here.answers).all(),
        "order": (there.order[:, :3] == here.order).all() if how != "distractor" else True,
        "distractor": (there.distractors == 0).all(),
    }
    changed = {name for name, kept in same.items() if kept is not None and not kept}
    assert changed == {how} - {shallow_matching.OTHERWISE[0]}
    assert {*np.unique(there.wordings[there.present])} <= {*WORDINGS}
    assert there.templates == here.templates


def test_what_was_kept_is_counted_among_what_was_solved(monkeypatch):
    found = iter([np.arange(8) < 4, *([np.arange(8) % 2 == 0] * 5)] * len(shallow_matching.ASKED))
    monkeypatch.setattr(words.Trained, "right", lambda *_: np.tile(next(found), (8, 1)))
    for row in experiment("shallow_matching").cell(config("shallow_matching")):
        assert row["kept"] == (1 if row["put"] == shallow_matching.OTHERWISE[0] else 0.5)
        assert row["stepwise"] == 0.5
    assert len(overlapping(MEASURED[:1])) == 8


RIGHT = "B multiply 3 2 6 C percent 6 1 3"


def test_the_first_wrong_word_names_the_outcome():
    right, ends = RIGHT.split(), []
    for place in range(10):
        wrong = [*right[:place], "?", *right[place + 1 : 9], "?"][:10]
        ends.append(failing_step.outcome(RIGHT, " ".join(wrong)))
    parts = ("name", "skill", "numbers", "numbers", "result")
    assert ends == [f"{step} {part}" for step in ("first", "second") for part in parts]
    assert failing_step.outcome(RIGHT, RIGHT) == "right" == failing_step.OUTCOMES[-1]
    assert failing_step.outcome(RIGHT, "B multiply 3 2 6") == "second name"


def test_each_outcome_has_its_share_and_its_first_problem(learnt):
    for e, pair in enumerate(PAIRS[:2]):
        one = learnt.only(e)
        asked = learnt.targets(SIZE.asked)[e]
        texts = words.solutions(one.bases, asked, one.acting()["sum"])
        ends = [failing_step.outcome(solution, written) for _, solution, written in texts]
        for end in failing_step.OUTCOMES:
            where = {"rule": "sum", "first": pair[0], "second": pair[1], "outcome": end}
            assert column("failing_step", "rate", **where) == [round(ends.count(end) / 8, 4)]
            shown = texts[ends.index(end)] if end in ends else ["–"] * 3
            names = ("question", "solution", "written")
            found = [column("failing_step", n, **where)[0] for n in names]
            assert found == [text if " " in text else "–" for text in shown]
