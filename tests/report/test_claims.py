"""Claims are judged by their margins alone, and a broken one is told and ends in exit code 1."""

import math

import pytest
from report import __main__ as report
from report import studies
from report.claims import Section, judge, read_claims

CLAIMS, STEPS = read_claims()


def inside(claim):
    """A number that confirms a claim."""
    return claim.at_least if math.isfinite(claim.at_least) else claim.at_most


def found(**changed):
    """What every step finds where all claims hold, but for some numbers of a claim's step."""
    values = {step: {} for step in STEPS}
    for claim in CLAIMS:
        values[claim.step][claim.number] = inside(claim)
    for step, numbers in changed.items():
        values[step] |= numbers
    return {step: Section(((1.23456,),), numbers) for step, numbers in values.items()}


def taken(sections):
    """Steps that find these sections."""
    return {name: lambda each=each: each for name, each in sections.items()}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.number[:30])
def test_a_claim_is_confirmed_up_to_its_margin_and_not_beyond(claim):
    sections = found()
    [verdict] = judge([claim], sections)
    assert verdict.confirmed
    beyond = [claim.at_least - 1e-3, claim.at_most + 1e-3, math.nan]
    for number in beyond:
        if math.isinf(number):
            continue
        [broken] = judge([claim], found(**{claim.step: {claim.number: number}}))
        assert not broken.confirmed


def test_all_claims_confirmed_is_exit_code_0_and_the_page_opens_with_them(tmp_path, capsys):
    page = tmp_path / "report.html"
    assert report.report(taken(found()), page) == 0
    html = page.read_text(encoding="utf-8")
    assert html.index('id="claims"') < html.index("<h2>")
    assert html.count("✓ confirmed") == len(CLAIMS)
    assert "✗" not in html
    assert capsys.readouterr().out.count("\n") == len(CLAIMS) + 1


def test_one_broken_margin_is_exit_code_1_and_one_line_with_number_margin_and_remedy(
    tmp_path, capsys
):
    page = tmp_path / "report.html"
    sections = found(**{"stored adapters": {"gain": 12.5}})
    assert report.report(taken(sections), page) == 1
    [line] = [x for x in capsys.readouterr().out.splitlines() if x.startswith("NOT CONFIRMED")]
    [claim] = [x for x in CLAIMS if (x.step, x.number) == ("stored adapters", "gain")]
    for part in ("12.5", claim.margin, claim.look_at):
        assert part in line
    assert page.read_text(encoding="utf-8").count("✗ not confirmed") == 1


@pytest.mark.parametrize("step", ["theorems", "figures"])
def test_a_step_that_fails_leaves_the_other_claims_judged(tmp_path, capsys, step):
    """One that claims name, and one that none does."""

    def broken():
        message = "no <model>"
        raise OSError(message)

    page = tmp_path / "report.html"
    assert report.report({**taken(found()), step: broken}, page) == 1
    out = capsys.readouterr().out
    assert out.count("NOT CONFIRMED") == sum(claim.step == step for claim in CLAIMS)
    assert "OSError: no &lt;model&gt;" in page.read_text(encoding="utf-8")


def test_stored_numbers_that_claims_name_are_in_the_tables_and_confirm_them():
    section = studies.read_tables()
    stored = [claim for claim in CLAIMS if claim.step == "stored tables"]
    verdicts = judge(stored, {"stored tables": section})
    assert verdicts
    assert all(verdict.confirmed for verdict in verdicts)
    for row in section.rows:
        assert row[2] <= row[1] <= row[3]


def test_a_stored_table_that_differs_from_a_rerun_is_seen(monkeypatch):
    assert studies.find_gap("merge_floor") < 1e-6
    real = studies.read_table

    def _moved(name):
        rows = real(name).copy()
        rows.loc[3, "achieved"] += 1e-3
        return rows

    monkeypatch.setattr(studies, "read_table", _moved)
    assert studies.find_gap("merge_floor") == pytest.approx(1e-3, rel=1e-3)


def test_a_number_typed_into_the_paper_is_seen(tmp_path):
    (tmp_path / "main.tex").write_text("\\begin{document}\nIt is .98 of them.\n")
    assert studies.check_paper(tmp_path).values["typed"] == 1
