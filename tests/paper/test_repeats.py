"""Training noise: the numbers that pages print from its stored table."""

import re
from pathlib import Path

import pytest

from paper.tables import parse_query, value

ROOT = Path(__file__).parents[2]
STANDARD, STAND_INS = "plain, 90 steps", "two stand-ins"


def within(condition, method, column="two_hop_vocabulary"):
    """The standard deviation over the distinct roundings of the one fact set."""
    where = f"condition={condition}; rule={method}"
    return value(parse_query(f"spread lm_training/repeats: {column} by rounding; {where}")).middle


def between(condition, method, column="two_hop_vocabulary"):
    """The standard deviation over the ten fact sets of the stored study."""
    where = f"first={condition}; second={condition}; bridge=known; rule={method}"
    return value(parse_query(f"spread lm_training/stand_ins: {column} by seed; {where}")).middle


def points(number):
    return f"{100 * number:.0f}"


@pytest.mark.parametrize("page", ["README.md", "paper/studies/lm_training/repeats.md"])
def test_pages_print_the_spreads_of_the_tables(page):
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    [found] = re.findall(
        r"standard deviation of (\d+) points under standard training "
        r"and (\d+) under stand-in training.{0,120}?"
        r"between ten fact sets it is (\d+) and (\d+) points",
        text,
    )
    both = (STANDARD, STAND_INS)
    assert found[:2] == tuple(points(within(condition, "sum")) for condition in both)
    assert found[2:] == tuple(points(between(condition, "sum")) for condition in both)
