"""A handout has all questions and hints, and no solution."""

import re
from pathlib import Path

import jupytext
import nbformat
import pytest
import teaching.__main__ as teaching

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def handed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("handout")
    teaching.handout(ROOT, folder)
    return folder


@pytest.mark.parametrize("source", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda p: p.stem)
def test_a_handout_asks_everything_and_solves_nothing(source, handed):
    whole = jupytext.read(source)
    given = nbformat.read(handed / f"{source.stem}.ipynb", as_version=4)
    nbformat.validate(given)
    code = [[c.source for c in book.cells if c.cell_type == "code"] for book in (whole, given)]
    assert [text.replace("../paper/studies", "studies") for text in code[0]] == code[1]
    for name in teaching.STORED.findall("\n".join(code[1])):
        assert (handed / "studies" / name).is_file()
    text = "\n".join(cell.source for cell in given.cells if cell.cell_type == "markdown")
    questions = [c for c in whole.cells if re.search(r"\*\((easy|medium|hard), ", c.source)]
    assert all(question.source in text for question in questions)
    assert not re.search(r"<summary>[^H]|def mine|mine = ", text)
    assert text.count("<summary>Hint") == source.read_text().count("<summary>Hint")
    for link in ("tests/data/persons/adapter_config.json", *re.findall(r"\]\(([^)#:]+)\)", text)):
        assert (handed / link).is_file()


def test_a_second_handout_replaces_the_first(tmp_path):
    (tmp_path / "old.ipynb").write_text("{}")
    teaching.handout(ROOT, tmp_path)
    assert not (tmp_path / "old.ipynb").exists()
