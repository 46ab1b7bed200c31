"""Failures' figure: shares add up, examples are chosen by their rule and read as equations."""

import pytest

from loratheory.experiments.failing_step import OUTCOMES
from loratheory.figures.failing_step import KINDS, RULES, WRONG, draw, examples, question, solution

TOLD = "K 2 L multiply/1 K 3 F percent/0 L 5 ?: F"
DUE, SAID = "L multiply 2 3 6 F percent 6 5 1", "L multiply 2 3 5 F divide 5 5 1"


def rate(rule, k):
    """Shares of nine outcomes that add up; another one is the most frequent for each rule."""
    return ((k + [*RULES].index(rule)) % 9) / 36


def table():
    return [
        {
            "rule": rule, "seed": seed, "first": "multiply", "second": second, "outcome": outcome,
            "rate": rate(rule, k) if (seed, second) == (0, "percent") else 1 / 9,
            "question": TOLD, "solution": DUE, "written": f"{SAID[:-1]}{k % 7}",
        }
        for seed in (0, 1)
        for second in ("percent", "divide")
        for rule in RULES
        for k, outcome in enumerate(OUTCOMES)
    ]  # fmt: skip


def test_bars_are_means_and_end_at_one():
    above = draw(table()).axes[0]
    assert len(above.patches) == len(RULES) * len(OUTCOMES)
    for spot, rule in enumerate(RULES):
        bars = above.patches[spot * len(OUTCOMES) : (spot + 1) * len(OUTCOMES)]
        each = [((rate(rule, k) + 1 / 9) / 2 + 1 / 9) / 2 for k in range(len(OUTCOMES))]
        assert [bar.get_width() for bar in bars] == pytest.approx(each)
        assert [bar.get_x() for bar in bars] == pytest.approx([sum(each[:k]) for k in range(9)])


def test_examples_are_the_most_frequent_of_the_first_base_and_pair():
    for rule in RULES:
        rows = [row for row in table() if row["rule"] == rule]
        told = examples(rows)
        most = sorted(range(9), key=lambda k: -rate(rule, k))[:KINDS]
        assert [row["outcome"] for row in told] == [OUTCOMES[k] for k in most]
        assert {(row["seed"], row["second"]) for row in told} == {(0, "percent")}
        scarce = [{**row, "rate": float(row["outcome"] == "right")} for row in rows]
        assert [row["outcome"] for row in examples(scarce)] == ["right"]


def test_problems_read_as_equations_and_wrong_words_fill_the_gaps():
    assert question(TOLD) == "K = 2; L = K × 3; F = 5% of L; F?"
    assert "".join(text for text, _ in solution(DUE)) == "L = 2 × 3 = 6; F = 5% of 6 = 1"
    words = SAID.split()
    placed = {place: text.strip() for text, place in solution(SAID) if place >= 0}
    assert placed == {k: {"multiply": "×", "divide": "÷"}.get(w, w) for k, w in enumerate(words)}
    below = draw(table()).axes[1]
    wrong = [text for text in below.texts if text.get_color() == WRONG]
    assert len(wrong) == KINDS * len(RULES)
    row = examples([row for row in table() if row["rule"] == "base"])[0]
    last = row["written"][-1]
    assert wrong[0].get_text().split() == ["5", "5", "÷", *([last] if last != "1" else [])]
    (rest,) = [t for t in below.texts if t.get_text().startswith("L = 2 × 3 =  ; F =")][:1]
    layers = zip(rest.get_text(), wrong[0].get_text(), strict=True)
    assert all(a == " " or b == " " for a, b in layers)
