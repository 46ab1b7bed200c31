"""Studies on small transformers by grids: study × property, each on one tiny cell."""

import math
from collections import Counter
from dataclasses import fields, replace
from functools import cache as once

import numpy as np
import pytest
from reused import cache

from loratheory.experiments import csv_text, experiment
from loratheory.experiments.bench import CROWDS, Small
from loratheory.experiments.bench.rules import RULES
from loratheory.experiments.merge_coefficient import ALSO

__all__ = ["cache"]

SIZES = {"entities": 64, "width": 16, "pretrained": 3, "trained": 3, "retained": 4, "facts": 2}
TINY = {
    "two_hop_coverage": {"familiarity": "half", "seeds": (101,), "spare": 4},
    "merge_coefficient": {"seeds": (101, 102), "sets": 2, "steps": 3, "spare": 4},
    "number_of_hops": {"hops": 3, "seeds": (101,), "sets": 2, "steps": 2, "spare": 4},
    "edit_strength": {"seeds": (101, 102), "spare": 4},
    "interference": {"rank": 2, "pairs": 2, "seeds": (101, 102), "spare": 0},
    "placement": {"seeds": (101,), "spare": 0},
    "familiarity": {"seeds": (101,), "spare": 4},
    "routers": {"pairs": 2, "seeds": (101,), "sets": 1, "spare": 0},
    "capacity": {"rank": 2, "seeds": (101, 102), "spare": 0},
    "depth": {"reads": "one layer", "seeds": (101,), "spare": 0},
    "gating": {"seeds": (101, 102), "spare": 0},
    "joint_and_bridge": {"thinking": 3, "seeds": (101,), "spare": 4},
}
PLAIN = {"seed": 101, "stages": (10, 30), "sets": 2, "facts": 2, "entities": 24, "relations": 4}
PLAIN |= {"width": 16, "rows": 32, "trained": 10, "retained": 8}
GATING = ("facts", "pairs", "bridges", "rank", "modules", "coverage", "pretrained", "rule")
HEADS = {  # columns before `seed`, and arms a base and set (or coefficients a base)
    "two_hop_coverage": (("coverage", "familiarity", "rule"), 17),
    "merge_coefficient": (("case", "coverage"), 4),
    "number_of_hops": (("hops", "threshold"), 3),
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
    "plain_transformer": (("stage", "layers", "rule"), 14 * 2 * 3),
}
STUDIES = [*TINY, "plain_transformer"]
SHARES = ("two_hop", "k_hop", "hop_1", "hop_2", "other_hops", "other_two_hop", "other_k_hop")
SHARES += ("shortcut", "chance", "recall", "circuit", "held_out", "exchanged", "random")


def config(name, **change):
    wanted = PLAIN if name == "plain_transformer" else {**SIZES, **TINY[name]}
    return type(experiment(name).profiles["paper"][0])(**{**wanted, **change})


@once
def rows(name):
    return experiment(name).cell(config(name))


def column(name, which, **where):
    chosen = [row for row in rows(name) if all(row[k] == v for k, v in where.items())]
    return np.array([row[which] for row in chosen])


@pytest.mark.parametrize("name", STUDIES)
def test_every_arm_stands_on_every_replica(name):
    head, arms = HEADS[name]
    table, one = rows(name), config(name)
    assert tuple(table[0])[: len(head) + 1] == (*head, "seed")
    seeds = getattr(one, "seeds", None) or (one.seed,)
    averaged = "set" not in table[0]
    replicas = len(seeds) * (1 if averaged else one.sets)
    assert len(table) == arms * replicas
    key = (*head, "seed", "coefficient" if averaged else "set")
    assert len({tuple(row[k] for k in key) for row in table}) == len(table)
    assert {row["seed"] for row in table} == set(seeds)


@pytest.mark.parametrize("name", STUDIES)
def test_a_table_is_written_and_shares_are_shares(name):
    assert csv_text(rows(name)).count("\n") == len(rows(name)) + 1
    for which in set(SHARES) & set(rows(name)[0]):
        values = column(name, which)
        values = values[~np.isnan(values)]
        assert ((values >= 0) & (values <= 1)).all(), which


@pytest.mark.parametrize("name", STUDIES)
def test_the_columns_are_those_of_the_stored_table(name):
    from loratheory.experiments import published, table

    stored = list(table(published(name)).columns)

    assert list(rows(name)[0]) == stored


@pytest.mark.parametrize("name", [n for n in STUDIES if n not in ("placement",)])
def test_arms_that_add_nothing_are_the_base(name):
    """What no adapter touches is the same on all sets of one base; tiny bases answer little."""
    table = rows(name)
    if "rule" in table[0] and "base" in {row["rule"] for row in table}:
        for which in ("two_hop", "hop_1", "hop_2"):
            assert (column(name, which, rule="base") == 0).all()
    elif "coefficient" in table[0]:
        which = "k_hop" if name == "number_of_hops" else "two_hop"
        assert (column(name, which, coefficient=0) == 0).all()


@pytest.mark.parametrize("name", [n for n in STUDIES if "rule" in HEADS[n][0]])
def test_arms_are_rules_of_the_table_or_adapters_of_the_study(name):
    own = {"noise", "shuffled", "exchanged", "direct", "third of direct", "mean of three", "joint"}
    own |= {"beside noise", "one", "wide", "best one", "best by read", "best pattern"}
    own |= {"bridged, plain", "bridged, written out"}
    assert {row["rule"] for row in rows(name)} <= set(RULES) | own


@pytest.mark.parametrize("name", [n for n in STUDIES if n != "plain_transformer"])
def test_unknown_fields_are_refused_and_profiles_are_apart(name):
    kind = type(config(name))
    assert issubclass(kind, Small)
    with pytest.raises(TypeError):
        kind(unknown=1)
    paper = experiment(name).profiles["paper"]
    seeds = Counter(seed for one in paper for seed in one.seeds)
    assert set(seeds) == {seed for crowd in CROWDS for seed in crowd}
    assert len(set(seeds.values())) == 1
    assert len({replace(one, seeds=()) for one in paper}) * len(CROWDS) == len(paper)
    assert {field.name for field in fields(kind)} >= {field.name for field in fields(Small)}


@pytest.mark.parametrize("case", ALSO)
def test_the_cases_of_old_facts(case):
    table = experiment("merge_coefficient").cell(config("merge_coefficient", case=case))
    assert {row["case"] for row in table} == {case}
    zero = [row for row in table if row["coefficient"] == 0]
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


def test_routers_that_share_out_one_unit_miss_as_much_as_they_alarm():
    for name in ("arrow", "norm, soft", "norm, z"):
        lost, wrong = (column("gating", x, rule=name) for x in ("misses", "false_alarms"))
        np.testing.assert_allclose(lost, wrong, atol=1e-5)


def test_weights_at_reads_are_the_rules():
    even = column("routers", "weight_1", rule="uniform")
    np.testing.assert_allclose(even, 0.25, atol=1e-6)
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
    pair, placed = (
        column("capacity", "recall", rule=n) for n in ("pair alone", "oracle placement")
    )
    np.testing.assert_array_equal(pair, placed)


def test_more_passes_are_other_answers_to_two_hop_questions_and_the_same_to_facts():
    for name in ("mean", "sum"):
        for fact in ("hop_1", "hop_2"):
            one, more = (column("gating", fact, rule=r) for r in (name, f"{name}, hop by hop"))
            np.testing.assert_array_equal(one, more)
