"""The last lines of `make reproduce`: at most ten, and no deviation passed over in silence."""

from pathlib import Path

import pytest
from report.section import Section
from report.summary import LINES, summary

PAGE = Path("build/report.html")


def test_a_good_run_by_hand():
    one = Section("Theorems", "", confirmed=("56 of 56 behave as stated.",))
    two = Section("Notebooks", "", confirmed=("01 holds.", "02 holds.", "03 holds."))
    assert summary([one, two], PAGE) == [
        "confirmed  Theorems: 56 of 56 behave as stated.",
        "confirmed  Notebooks: 01 holds. (and 2 more such)",
        "4 confirmed, 0 deviated: open build/report.html",
    ]


def test_a_deviation_is_told_with_its_size():
    off = "gating: mean: two_hop is 1.00, stored 0.00 ± 0.05"
    lines = summary([Section("Experiments", "", deviated=(off,))], PAGE)
    assert lines[0] == f"DEVIATED   Experiments: {off}"
    assert lines[-1].startswith("0 confirmed, 1 deviated")


@pytest.mark.parametrize("good", range(9))
@pytest.mark.parametrize("bad", [0, 1, 2, 9, 100])
def test_ten_lines_hold_it(good, bad):
    sections = [Section(f"S{i}", "", confirmed=("yes",)) for i in range(good)]
    sections.append(Section("B", "", deviated=tuple(f"off by {i}" for i in range(bad))))
    lines = summary(sections, PAGE)
    assert len(lines) <= LINES
    assert sum(line.startswith("confirmed") for line in lines) == good
    deviations = [line for line in lines if line.startswith("DEVIATED")]
    assert bool(deviations) == bool(bad)
    shown = [line for line in deviations if "off by" in line]
    rest = [int(line.split()[2]) for line in deviations if "off by" not in line]
    assert len(shown) + sum(rest) == bad
    assert f"{good} confirmed, {bad} deviated" in lines[-1]
