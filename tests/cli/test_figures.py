"""``loratheory figure``: files, defaults, refusals."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from loratheory.cli import app
from loratheory.figures import FIGURES

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_a_copy_of_the_results(tmp_path, monkeypatch):
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "results").symlink_to(ROOT / "paper" / "results")
    monkeypatch.chdir(tmp_path)


def run(*arguments):
    return CliRunner().invoke(app, ["figure", *map(str, arguments)])


def test_one_figure_goes_to_its_usual_place():
    done = run("window")
    assert done.exit_code == 0
    assert done.stdout == ""
    assert Path("paper/figures/window.pdf").read_bytes()[:4] == b"%PDF"


def test_outside_a_checkout_figures_go_where_one_is(monkeypatch, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    done = run("window")
    assert done.stderr == "drawn: window.pdf\n"
    assert [path.name for path in Path().iterdir()] == ["window.pdf"]


def test_all_figures_outside_a_checkout_go_to_a_folder_of_their_own(monkeypatch, tmp_path):
    from loratheory import figures

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(figures, "FIGURES", {"window": FIGURES["window"]})
    assert run("all").stderr == "drawn: figures/window.pdf\n"


def test_all_figures_go_to_one_folder_twice_the_same():
    for folder in ("a", "b/c"):
        assert run("all", "-o", folder).exit_code == 0
    first, second = ({p.name: p.read_bytes() for p in Path(f).iterdir()} for f in ("a", "b/c"))
    assert first == second
    assert set(first) == {f"{name}.pdf" for name in FIGURES}


def test_hyphens_and_another_table_are_fine():
    rows = (ROOT / "paper/results/merge_floor/table.csv").read_text().splitlines()
    Path("mine.csv").write_text("\n".join(rows[:22]))
    assert run("merge-floor", "--table", "mine.csv", "-o", "mine.png").exit_code == 0
    assert run("merge_floor", "-o", "all.png").exit_code == 0
    assert Path("mine.png").read_bytes() != Path("all.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], f"there is no figure 'nope'; choose {', '.join(FIGURES)} or all"),
        (["windw"], "there is no figure 'windw'; did you mean window"),
        (["window", "--table", "nope.csv"], "there is no table nope.csv"),
        (["window", "--table", "paper/results/merge_floor/table.csv"], "no column coefficient"),
        (["window", "-o", "window.jpg"], "window.jpg: a figure is written as .pdf, .png, .svg"),
        (["all", "--table", "x.csv"], "--table x.csv cannot serve all figures"),
        (["all", "-o", "x.pdf"], "-o x.pdf names a file: for all figures name a folder"),
    ],
)
def test_wrong_input_is_refused_in_a_line_and_leaves_nothing(arguments, message):
    before = sorted(Path().rglob("*"))
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""
    assert sorted(Path().rglob("*")) == before
