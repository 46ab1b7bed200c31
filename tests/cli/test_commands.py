"""The command as a user meets it: products on stdout, messages on stderr, honest exit codes."""

import json
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from folders import folder
from typer.testing import CliRunner

from loratheory import theorems
from loratheory.adapters import read
from loratheory.cli import app

SHELF = {f"model.layers.{layer}.q_proj": (12, 10, 2) for layer in range(3)}


def run(*words):
    """Exit code, stdout, stderr."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def pair(tmp_path):
    return folder(tmp_path / "one", SHELF, seed=1), folder(tmp_path / "two", SHELF, seed=2)


@pytest.mark.parametrize(
    "command", ["theorems", "verify", "inspect", "merge", "diagnose", "methods", "figure"]
)
def test_help_teaches_with_an_example(command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "Example" in out


def test_theorems_lists_all_and_shows_one_in_full():
    code, out, _ = run("theorems")
    assert code == 0
    assert all(t.label in out for t in theorems.ALL)
    code, out, _ = run("theorems", "merge-floor")
    assert "rank(adapter) <= r" in out
    assert "Proof." in out
    assert json.loads(run("theorems", "--json", "-")[1])[0]["label"] == theorems.ALL[0].label


def test_verify_reports_what_its_schema_says(tmp_path):
    file = tmp_path / "verdicts.json"
    code, out, _ = run("verify", "thm:merge-floor", "--cases", 30, "--json", file)
    (entry,) = json.loads(file.read_text())
    keys = [
        "label",
        "status",
        "cases",
        "holds",
        "tight",
        "worst_slack",
        "controls",
        "controls_ok",
        "seconds",
    ]
    assert code == 0
    assert set(keys) <= set(entry)
    assert entry["label"] == "thm:merge-floor"
    assert entry["cases"] >= 30
    assert (entry["holds"], entry["tight"], entry["controls_ok"]) == (True, True, True)
    assert "merge-floor" in out


def test_verify_on_torch_gives_the_same_verdict():
    assert run("verify", "merge-floor", "--cases", 10, "--backend", "torch")[0] == 0


def test_a_failing_theorem_ends_with_exit_code_one(monkeypatch):
    wrong = replace(theorems.theorem("merge-floor"), bound=lambda case: 1.0 + case.rank)
    monkeypatch.setattr(theorems, "ALL", (wrong,))
    code, _, err = run("verify", "--cases", 10, "--workers", 1)
    assert code == 1
    assert "thm:merge-floor fails: construction of draw 0" in err


def test_inspect_tells_ranks_and_energy(pair, tmp_path):
    file = tmp_path / "inspect.json"
    code, out, _ = run("inspect", *pair, "--json", file, "--figure", tmp_path / "spectra.png")
    first = json.loads(file.read_text())[0]
    assert code == 0
    assert [m["rank"] for m in first["modules"]] == [2, 2, 2]
    dense = read(pair[0])["model.layers.0.q_proj"].dense()
    assert first["modules"][0]["energy"] == pytest.approx((dense**2).sum(), rel=1e-6)
    assert "energy by layer" in out
    assert (tmp_path / "spectra.png").stat().st_size > 1000


def test_merge_writes_what_it_says_and_reports_its_floors(pair, tmp_path):
    file, target = tmp_path / "merge.json", tmp_path / "merged"
    words = ("--method", "svd", "--weights=.7,-.3", "--rank", 2, "--json", file)
    code, out, _ = run("merge", *pair, *words, "-o", target)
    assert code == 0
    assert "not between" in out
    one, two, merged = (read(place) for place in (*pair, target))
    totals = json.loads(file.read_text())["totals"]
    lost = 0.0
    for name in SHELF:
        first, second = (a[name].map(np.float64).dense() for a in (one, two))
        exact = 0.7 * first - 0.3 * second
        lost += (np.linalg.svd(exact, compute_uv=False)[2:] ** 2).sum()
        assert np.linalg.matrix_rank(merged[name].dense(), 1e-4) == 2
    assert totals["to_sum"] == pytest.approx(lost, rel=1e-5)
    assert totals["sum_floor"] == pytest.approx(lost, rel=1e-9)
    assert totals["to_adapters"] >= totals["adapters_floor"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "a merge of one is that adapter."),
        (["--method", "cat", "--weights", ".5"], "a merge of one is that adapter, times 0.5."),
        (["--method", "svd", "--rank", 1], "but svd changed it."),
        (["--no-audit"], "a merge of one is that adapter, unless mean changes it."),
    ],
)
def test_a_merge_of_one_is_called_what_it_is(pair, tmp_path, words, says):
    code, out, _ = run("merge", pair[0], "-o", tmp_path / "merged", *words)
    assert code == 0
    assert says in " ".join(out.split())


def test_a_merge_of_two_is_not_called_one(pair, tmp_path):
    assert "only one adapter" not in run("merge", *pair, "-o", tmp_path / "merged")[1]


def test_the_mean_meets_the_merge_floor_at_full_width(pair, tmp_path):
    file = tmp_path / "mean.json"
    assert run("merge", *pair, "-o", tmp_path / "mean", "--json", file)[0] == 0
    totals = json.loads(file.read_text())["totals"]
    assert totals["to_adapters"] == pytest.approx(totals["adapters_floor"], rel=1e-9)
    assert totals["to_sum"] == pytest.approx(0, abs=1e-9)


def test_diagnose_rests_every_sentence_on_a_theorem(pair, tmp_path):
    file = tmp_path / "diagnosis.json"
    code, out, _ = run("diagnose", *pair, "--json", file, "--figure", tmp_path / "overlap.png")
    found = json.loads(file.read_text())
    assert code == 0
    assert {f["label"] for f in found["findings"]} <= {t.label for t in theorems.ALL}
    assert {f["kind"] for f in found["findings"]} == {"measured", "needed", "unknown"}
    assert "What no look at the weights can tell" in out
    told = " ".join(out.split())  # lines break where the terminal ends
    assert told.index("gauge gap: how much") < told.index("check-model FOLDER FOLDER --facts")
    assert len(found["modules"]) == 3


def test_methods_prints_a_law_table_and_explains_its_cells():
    code, out, _ = run("methods")
    table = json.loads(run("methods", "--json", "-")[1])
    assert code == 0
    assert "ties" in out
    assert "[A_1; ...; A_K]" in out.replace("\n", " ") or "[A_1;" in out
    assert {row["method"] for row in table["laws"]} == {m["name"] for m in table["methods"]}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["verify", "nonsense"], "there is no theorem 'nonsense'"),
        (["verify", "--backend", "jax"], "there is no backend 'jax'"),
        (["theorems", "merge-flor"], "did you mean merge-floor"),
        (["inspect", "nowhere"], "nowhere"),
        (["merge", "ONE", "TWO", "-o", "OUT", "--method", "magic"], "no merge method 'magic'"),
        (["merge", "ONE", "TWO", "-o", "OUT", "--weights=a,b", "--method", "cat"], "--weights=a,b"),
        (["merge", "ONE", "TWO", "-o", "OUT", "--weights=1,2"], "mean takes no weights"),
        (["merge", "ONE", "TWO", "-o", "OUT", "--method", "svd"], "needs rank"),
        (["merge", "ONE", "TWO", "-o", "ONE"], "exist"),
        (["merge", "ONE", "TWO", "-o", "OUT", "--json", "OUT"], "is the folder to write"),
        (["theorems", "--table", "T.md", "--proofs", "no/x.tex"], "there is no folder no"),
        (["theorems", "--table", "T.md", "--graph", "x.bmp"], ".pdf, .png, .svg"),
        (["theorems", "--graph", "T.png", "--table", "x.csv"], "a table is written as .md, .tex"),
        (["theorems", "--table", "T.md", "--json", "no/x.json"], "there is no folder no"),
        (["inspect", "ONE", "--json", "T.json", "--figure", "x.bmp"], ".pdf, .png, .svg"),
        (["diagnose", "ONE"], "at least two"),
        (["inspect", "ONE", "--figure", "x.bmp"], ".pdf, .png, .svg"),
        (["inspect", "ONE", "--json", "nowhere/x.json"], "nowhere"),
    ],
)
def test_wrong_input_is_one_paragraph_and_exit_code_two(words, says, pair, tmp_path):
    places = {"ONE": pair[0], "TWO": pair[1], "OUT": tmp_path / "out"}
    places |= {word: tmp_path / word for word in ("T.md", "T.png", "T.json")}
    code, out, err = run(*(places.get(word, word) for word in words))
    assert code == 2
    assert says in err
    assert "Traceback" not in err
    assert not out
    assert sorted(place.name for place in tmp_path.iterdir()) == ["one", "two"]


def test_the_package_loads_nothing_heavy_before_it_is_needed():
    heavy = ("torch", "transformers", "peft", "matplotlib", "pandas", "scipy.optimize", "sympy")
    code = f"import sys, loratheory.cli; print([n for n in {heavy} if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_colour_is_left_out_where_it_is_not_wanted(pair):
    assert "\x1b[" not in run("inspect", *pair)[1]


def test_a_merge_without_audit_writes_the_same_and_reports_no_distance(pair, tmp_path):
    for name, words in (("with", []), ("without", ["--no-audit"])):
        code, out, _ = run("merge", *pair, "-o", tmp_path / name, *words)
        assert code == 0
        assert ("squared distance" in out) == (name == "with")
        assert "3 modules" in out
    with_, without = (read(tmp_path / name) for name in ("with", "without"))
    assert all((with_[m].dense() == without[m].dense()).all() for m in with_)


def failing(monkeypatch, error):
    """Have `inspect` and `merge` meet an error as soon as they read."""

    def _read(*_, **__):
        raise error

    monkeypatch.setattr("loratheory.adapters.read", _read)


@pytest.mark.parametrize(
    "error", [MemoryError("Unable to allocate 9 TiB"), RuntimeError("can't allocate memory: 9 TiB")]
)
def test_spent_memory_is_told_with_what_to_lower(monkeypatch, tmp_path, error):
    failing(monkeypatch, error)
    code, _, err = run("merge", "one", "two", "-o", tmp_path / "out")
    assert code == 2
    assert err.startswith("loratheory: memory ran out (")
    assert "9 TiB): lower --rank, leave the audit out with --no-audit, or" in err
    assert "9 TiB): give it less at once" in run("inspect", "one")[2]


@pytest.mark.parametrize(
    "error", [RuntimeError("other"), ValueError("of NumPy"), ModuleNotFoundError(name="nonsense")]
)
def test_errors_of_others_stay_crashes(monkeypatch, error):
    failing(monkeypatch, error)
    with pytest.raises(type(error)) as caught:
        run("inspect", "one")
    assert caught.value is error


def test_what_is_not_installed_is_named_with_the_command_that_brings_it(monkeypatch):
    failing(monkeypatch, ModuleNotFoundError(name="torch"))
    code, _, err = run("inspect", "one")
    assert code == 2
    assert "needs torch, which is not installed: pip install 'loratheory[torch]'" in err


def test_warnings_of_ours_are_a_line_and_others_keep_their_place(monkeypatch):
    from loratheory.pretrained import OtherBaseWarning

    def _read(*_, **__):
        warnings.warn("another base", OtherBaseWarning, stacklevel=1)
        warnings.warn("old", UserWarning, stacklevel=1)
        raise FileNotFoundError(2, "is not there", "one")

    monkeypatch.setattr("loratheory.adapters.read", _read)
    before = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        err = run("inspect", "one")[2]
    assert err.splitlines()[0] == "loratheory: note: another base"
    assert "test_commands.py" in err
    assert "UserWarning: old" in err
    assert warnings.showwarning is before


def test_commands_come_in_the_order_of_a_first_visit():
    out = run("--help")[1]
    places = [out.index(f" {name} ") for name in ("theorems", "inspect", "diagnose", "merge")]
    assert places == sorted(places)
