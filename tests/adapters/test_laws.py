"""The table of operator laws: every cell pinned, and proved in both directions another way."""

from dataclasses import replace

import pytest

from loratheory.adapters import LAWS, MERGE_METHODS, LawCase, laws
from loratheory.lowrank import total


def test_a_merge_of_nothing_has_a_low_rank(monkeypatch):
    monkeypatch.setattr(LawCase, "merge", lambda _, updates: 0 * updates[0].dense())
    assert LAWS["low rank"](LawCase(MERGE_METHODS["sum"], "", 0)) == 0


#                        exact linear idempotent gauge permutation zero-weight sign scale low-rank
EXPECTED = {
    ("sum", "full"): "++-++..++",
    ("mean", "full"): "++++++-++",
    ("chebyshev", "full"): "--+++..++",
    ("cat", "full"): "+++++++++",
    ("svd", "full"): "--+++++++",
    ("ties", "full"): "---+++++-",
    ("ties", "knots"): "---++-+++",
    ("dare", "full"): "-+-+-+++-",
    ("dare", "knots"): "---+--+++",
    ("dare-ties", "full"): "---+-+++-",
    ("dare-ties", "knots"): "---+--+++",
    ("magnitude", "full"): "---+++++-",
    ("magnitude", "knots"): "---++-+++",
    ("iso", "full"): "---++++++",
    ("tsv", "full"): "--+++-+++",
    ("interpolate", "full"): "--+++-+++",
    ("regmean", "full"): "-++++-+++",
    ("factor-mean", "full"): "--+-+..++",
    ("factor-linear", "full"): "----++-++",
}

TABLE = {(row.method, row.space): row.cells for row in laws()}


def test_the_table_is_the_one_we_know():
    with pytest.raises(ValueError, match="checks nothing"):
        laws(draws=0)
    signs = {True: "+", False: "-", None: "."}
    found = {
        place: "".join(signs[cell.holds] for cell in cells.values())
        for place, cells in TABLE.items()
    }
    assert found == EXPECTED


def test_counterexamples_are_kept_and_break_the_law_again():
    for (name, space), cells in TABLE.items():
        for law, cell in cells.items():
            if cell.holds is None:
                assert cell.reason == f"{name} takes no weights"
            elif cell.holds:
                assert cell.gap <= 1e-9
            else:
                assert cell.gap > 1e-3
                assert LAWS[law](LawCase(MERGE_METHODS[name], space, cell.seed)) == cell.gap


def test_laws_that_every_rule_obeys_are_broken_by_rules_made_for_it():
    def unsigned(updates, weights, _):
        return total(list(updates), [abs(weight) for weight in weights])

    def equal_norms(updates, weights, _):
        return total([low / low.norm for low in updates], weights)

    for rule, broken in ((unsigned, "sign"), (equal_norms, "scale")):
        case = LawCase(replace(MERGE_METHODS["cat"], rule=rule), "full", 0)
        kept = {law for law in ("sign", "scale", "permutation") if LAWS[law](case) < 1e-9}
        assert kept == {"sign", "scale", "permutation"} - {broken}
