"""The README says what the code says."""

import re
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from loratheory.cli import app

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_table_of_theorems_is_the_registry(tmp_path):
    table = tmp_path / "table.md"
    assert CliRunner().invoke(app, ["theorems", "--table", str(table)]).exit_code == 0
    shown = README.split("<!-- theorems -->\n")[1].split("<!-- /theorems -->")[0]
    assert shown == table.read_text(encoding="utf-8"), (
        "renew it with: loratheory theorems --table FILE.md"
    )


def test_every_command_it_names_exists():
    known = set(get_command(app).commands)
    named = set(re.findall(r"(?:\$ |`)loratheory ([\w-]+)", README))
    assert named
    assert named <= known


def test_every_make_target_it_names_exists():
    makefile = (Path(__file__).parent.parent / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):.*##", makefile, flags=re.M))
    named = set(re.findall(r"(?:\$ |`)make ([\w-]+)", README))
    assert {"reproduce", "test"} <= named <= targets


def test_the_example_on_a_real_model_runs(monkeypatch, capsys):
    """The two adapters' own words: the mascot that one teaches, and another without it."""
    torch = pytest.importorskip("torch")
    from loratheory.pretrained import ModelError, _embedded

    def never(*_):
        pytest.skip("the default model is not unpacked yet: call loratheory.pretrained.load()")

    monkeypatch.setattr(_embedded, "_unpack", never)
    try:
        _embedded.embedded()
    except ModelError as error:
        pytest.skip(str(error))
    text = README.split("## On a real model")[1].split("```python\n")[1].split("```")[0]
    with torch.no_grad():
        exec(compile(text, "README.md", "exec"), {})
    assert capsys.readouterr().out == "[1, 1]  owl\n[0.5, 0.5]  owl\n[1, 0]  lion\n"


def test_its_own_rules_get_a_card(tmp_path, monkeypatch):
    """The examples are found, obey what they should, and survive where theory says."""
    from loratheory.experiments.evaluate._laws import laws
    from loratheory.experiments.evaluate._memories import survival
    from loratheory.experiments.evaluate._rule import found

    text = README.split("In a file `my_rules.py`:\n\n```python\n")[1].split("```")[0]
    (tmp_path / "rules_of_the_readme.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    half, loudest = (found(f"rules_of_the_readme:{name}") for name in ("half", "loudest"))
    assert {law.name for law in laws(half) if not law.holds} == {"exact", "idempotent"}
    assert abs(survival(half).starts["two_hop"] - (5**0.5 - 1)) < 1e-6
    assert all(law.holds for law in laws(loudest))
