"""The cure's table: which rules stand beside which controls, and what the bound is made of."""

import math
from dataclasses import replace
from functools import cache as once

import pytest
from found import RESULTS, mean, percent, says, table_rows
from reused import cache

from loratheory.experiments.gating import EXPERIMENT, Config, cell

__all__ = ["cache"]

TINY = Config(
    facts=2, seeds=(101, 102), entities=64, spare=0, width=16, pretrained=3, trained=3, retained=4
)
CONTROLS = {"base", "hop 1 alone", "hop 2 alone", "mean", "sum", "arrow", "oracle placement"}


@once
def rows(config=TINY):
    return cell(config)


def test_every_rule_stands_beside_its_controls_on_every_replica():
    names = list(dict.fromkeys(row["rule"] for row in rows()))
    assert set(names) > CONTROLS | {"block gates, z = 2", "gates"}
    places = [(name, seed, number) for name in names for seed in (101, 102) for number in (0, 1)]
    assert [(row["rule"], row["seed"], row["set"]) for row in rows()] == places
    marks = {"two_hop", "hop_1", "hop_2", "other_hops", "other_two_hop", "shortcut", "chance"}
    assert marks < set(rows()[0])


def test_the_bound_is_the_oracle_less_misses_and_false_alarms():
    reach = {(r["seed"], r["set"]): r["two_hop"] for r in rows() if r["rule"] == "oracle placement"}
    switched = 0
    for row in rows():
        if math.isnan(row["misses"]):
            assert math.isnan(row["predicted"])
            continue
        switched += 1
        lost = row["misses"] + row["false_alarms"]
        assert row["predicted"] == pytest.approx(reach[row["seed"], row["set"]] - lost)
    assert switched == 4 * 8  # four routers and gates on single maps, gates by z, block gates


def test_the_bound_starts_from_what_the_oracle_answers(monkeypatch):
    """Also where it answers something: tiny bases answer nothing by themselves."""
    from loratheory.experiments.reuse import _marks

    inner = _marks.marks
    monkeypatch.setattr(_marks, "marks", lambda *of: {**inner(*of), "two_hop": _answered(*of)})
    for row in cell(replace(TINY, sets=1)):
        if not math.isnan(row["misses"]):
            assert row["predicted"] == pytest.approx(0.75 - row["misses"] - row["false_alarms"])


def _answered(shelf, acting):
    """Three quarters under the oracle, whose rule is the one that differs from pair to pair."""
    import numpy as np

    names = {getattr(act, "__qualname__", "") for act in acting}
    return np.full(len(shelf.replicas), 0.75 * ("in_loops.<locals>._chosen" in names))


def test_routers_that_share_out_one_unit_miss_as_much_as_they_alarm():
    for row in rows():
        if row["rule"] in ("arrow", "norm, soft", "norm, z"):
            assert row["misses"] == pytest.approx(row["false_alarms"], abs=1e-5)
    gates = [row for row in rows() if row["rule"] == "gates, z = 2"]
    assert any(abs(row["misses"] - row["false_alarms"]) > 0.1 for row in gates)


def test_attention_is_switched_too_but_its_reads_are_not_counted():
    other = rows(replace(TINY, modules="attention", pairs=1, seeds=(101,), sets=1))
    assert [row["rule"] for row in other] == [row["rule"] for row in rows()][::4]
    assert {row["modules"] for row in other} == {"attention"}
    assert all(math.isnan(row[name]) for row in other for name in ("leak", "misses", "predicted"))
    assert all(0 < row["leak"] < 1 for row in rows())


def test_more_passes_are_other_answers_to_chains_and_the_same_to_facts():
    table = {(row["rule"], row["seed"], row["set"]): row for row in rows()}
    for name in ("mean", "sum"):
        for seed in (101, 102):
            one, more = table[name, seed, 0], table[f"{name}, hop by hop", seed, 0]
            assert [one[f] for f in ("hop_1", "hop_2")] == [more[f] for f in ("hop_1", "hop_2")]


def test_the_shelf_is_what_the_config_says(monkeypatch):
    from loratheory.experiments import reuse

    class EnoughError(Exception):
        """Far enough."""

    def _shelf(_, teaching, __):
        raise EnoughError(teaching)

    monkeypatch.setattr(reuse, "shelf", _shelf)
    with pytest.raises(EnoughError) as told:
        cell(replace(TINY, bridges="permuted", rank=2, pairs=3))
    [teaching] = told.value.args
    assert (teaching.bridges, teaching.rank, teaching.pairs) == ("permuted", 2, 3)


def test_profiles_cover_what_the_docstring_promises():
    paper = EXPERIMENT.profiles["paper"]
    assert {config.seeds for config in paper} == {(0, 1), (2, 3), (4, 5), (6, 7)}
    assert {config.pairs for config in paper} == {1, 2, 3, 4, 8}
    assert max(config.facts * config.pairs for config in paper) <= 32  # more do not fit a world
    assert not {101, 102} & {seed for config in paper for seed in config.seeds}


def test_what_was_found_is_what_the_table_holds():
    name, block = "gating", "block gates, z = 2"
    plain = {"bridges": "fresh", "rank": 8, "modules": "mlp", "coverage": 0.5, "pretrained": 700}
    usual = table_rows(name, **plain)
    shelves = {(row["facts"], row["pairs"]) for row in usual}

    def marked(rule, facts=5, pairs=2, column="two_hop", **other):
        where = plain | {"rule": rule, "facts": facts, "pairs": pairs} | other
        return mean(table_rows(name, **where), column)

    def best(rule, *chosen):
        return max(marked(rule, facts, pairs) for facts, pairs in chosen)

    few, ten = ([s for s in shelves if s[0] in facts] for facts in ((3, 4, 5), (10,)))
    one, many = [s for s in shelves if s[1] == 1], [s for s in shelves if s[1] >= 4]
    rules = ("mean", "arrow", "sum", "gates")
    says(
        name,
        min(marked(block, *shelf) for shelf in few),
        min(marked(block, *shelf) for shelf in ten),
        min(marked(block, *shelf, column="other_two_hop") for shelf in shelves),
        *(best(rule, *one) for rule in (*rules, "oracle placement")),
        *(best(rule, *many) for rule in rules),
        marked(block, 20, 1),
        marked(block, 20, 1, column="misses"),
        marked(block, rank=2),
        marked(block, modules="attention"),
        marked("oracle placement", modules="attention"),
    )
    told = [row for row in table_rows(name, rule=block) if row["modules"] == "mlp"]
    assert all(row["two_hop"] >= row["predicted"] - 1e-9 for row in told)
    soft = table_rows(name, rule="norm, soft", modules="mlp")
    hop, second = "hop by hop", "second pass"
    says(
        name,
        f"in all {len(told)} rows",
        percent(mean([{"off": row["two_hop"] < row["predicted"] - 1e-9} for row in soft], "off")),
        marked("interpolating"),
        marked("interpolating", bridges="permuted"),
        marked("interpolating", column="leak"),
        min(marked(f"sum, {hop}", *shelf) for shelf in shelves if shelf[1] <= 4),
        marked(f"sum, {hop}", 4, 8),
        marked(f"mean, {hop}", 5, 1),
        marked(f"mean, {hop}", 5, 2),
        marked(f"sum, {second}", 5, 1),
        marked(f"sum, {second}", 5, 4),
        marked(f"sum, {second}", 5, 1, column="hop_1"),
    )


def test_the_page_of_small_models_shows_gating_as_it_is_stored():
    page = RESULTS.parents[1] / "docs" / "small_models.md"
    text = page.read_text(encoding="utf-8")
    table = text.split("<!-- gating -->")[1].split("<!-- /gating -->")[0].replace("*", "")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[3:]]
    plain = {"bridges": "fresh", "rank": 8, "modules": "mlp", "coverage": 0.5, "pretrained": 700}
    shelves = ((5, 1), (5, 4), (4, 8), (10, 3), (20, 1))
    assert len(lines) == len(NAMED)
    for (label, *cells), (start, rule) in zip(lines, NAMED.items(), strict=True):
        assert label.startswith(start)
        for quoted, (facts, pairs) in zip(cells, shelves, strict=True):
            here = table_rows("gating", **plain, rule=rule, facts=facts, pairs=pairs)
            told = [f"{mean(here, kind):.2f}" for kind in ("two_hop", "other_two_hop")]
            assert quoted == ", ".join(share.removeprefix("0") for share in told)


NAMED = {
    "mean": "mean",
    "sum": "sum",
    "TIES": "ties",
    "Arrow": "arrow",
    "softmax": "norm, soft",
    "gates on": "gates",
    "right adapter": "oracle placement",
    "block gates": "block gates, z = 2",
    "mean, asked": "mean, hop by hop",
    "sum, asked": "sum, hop by hop",
}
