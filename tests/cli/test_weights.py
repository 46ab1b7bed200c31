"""inspect, diagnose and merge: numbers by a second road, and files."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from folders import folder

from loratheory import theorems
from loratheory.adapters import read_adapter
from loratheory.cli._shared import deliver, show
from loratheory.diagnosis import library_record

SHAPES = {f"model.layers.{layer}.q_proj": (12, 10, 2) for layer in range(3)}


@pytest.fixture
def pair(run):  # noqa: ARG001  it changes the folder
    return folder("one", SHAPES, seed=1), folder("two", SHAPES, seed=2)


def test_inspect_tells_ranks_and_energy(run, pair):
    code, out, _ = run("inspect", *pair, "--json", "i.json")
    first = json.loads(Path("i.json").read_text())[0]
    assert code == 0
    assert [m["rank"] for m in first["modules"]] == [2, 2, 2]
    dense = read_adapter("one")["model.layers.0.q_proj"].dense()
    assert first["modules"][0]["energy"] == pytest.approx((dense**2).sum(), rel=1e-6)
    assert out.count("model.layers.*.q_proj") == 2


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_table_has_every_number_whole(run, pair, width, monkeypatch):
    wide = set(re.findall(r"\S*\d\S*", run("inspect", *pair)[1]))
    monkeypatch.setenv("COLUMNS", str(width))
    out = run("inspect", *pair)[1]
    assert wide <= set(out.split())
    assert max(len(line) for line in out.splitlines() if " changes " not in line) <= width


def test_columns_share_the_width_that_is_left(monkeypatch, capsys):
    """A column of long texts does not starve another that begins behind it."""
    monkeypatch.setenv("COLUMNS", "60")
    long, short = "word " * 40, "two " * 4
    show("", ("a", "b", "c"), [("x", long.strip(), short.strip())])
    assert short.strip() in capsys.readouterr().out


def test_json_is_ascii_whatever_names_hold(tmp_path, capsys):
    """A file's name may be no valid text."""
    value = {"folder": "m\u00e9\udcff"}
    assert deliver(tmp_path / "i.json", value)
    assert not deliver(Path("-"), value)
    for text in ((tmp_path / "i.json").read_text(), capsys.readouterr().out):
        assert text.isascii()
        assert json.loads(text) == value


def test_tables_without_a_standard_output_are_not_shown(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    show("", ("a",), [("x",)])


def test_an_adapter_that_names_no_base_is_merged_with_a_note(run, pair):
    config = Path("one/adapter_config.json")
    fields = json.loads(config.read_text())
    config.write_text(json.dumps({**fields, "base_model_name_or_path": None}))
    assert "one names no base model: whether it fits" in run("merge", *pair, "-o", "out")[1]


@pytest.mark.filterwarnings("always:no module")
def test_adapters_that_share_no_module_are_merged_with_a_note(run, pair):
    far = folder("far", {name.replace("layers", "blocks"): x for name, x in SHAPES.items()})
    code, _, err = run("merge", pair[0], far, "-o", "out")
    assert code == 0
    assert "loratheory: note: no module is changed by two adapters" in err


def test_merge_writes_what_it_says_and_reports_its_floors(run, pair):
    words = ("--method", "svd", "--weights=.7,-.3", "--rank", 2, "--json", "m.json")
    assert run("merge", *pair, *words, "-o", "merged")[0] == 0
    one, two, merged = (read_adapter(place) for place in (*pair, "merged"))
    totals = json.loads(Path("m.json").read_text())["totals"]
    lost = 0.0
    for name in SHAPES:
        first, second = (a[name].map(np.float64).dense() for a in (one, two))
        exact = 0.7 * first - 0.3 * second
        lost += (np.linalg.svd(exact, compute_uv=False)[2:] ** 2).sum()
        assert np.linalg.matrix_rank(merged[name].dense(), 1e-4) == 2
    assert totals["to_sum"] == pytest.approx(lost, rel=1e-5)
    assert totals["sum_floor"] == pytest.approx(lost, rel=1e-9)
    assert totals["to_adapters"] >= totals["adapters_floor"]


@pytest.mark.parametrize("words", ["svd --rank 2", "ties --density .5 --rank 3", "interpolate"])
def test_a_merge_by_torch_is_that_by_numpy(run, pair, words):
    for name, device in (("numpy", "cpu"), ("torch", "auto")):
        method = ("--method", *words.split(), "--device", device, "-o", name)
        assert run("merge", *pair, *method, "--json", f"{name}.json")[0] == 0
    one, two = read_adapter("numpy"), read_adapter("torch")
    for name in SHAPES:
        np.testing.assert_allclose(one[name].dense(), two[name].dense(), atol=1e-5)
    totals = [json.loads(Path(f"{name}.json").read_text())["totals"] for name in ("numpy", "torch")]
    assert totals[0] == pytest.approx(totals[1])


def test_the_mean_meets_its_floor_and_without_an_audit_is_the_same(run, pair):
    assert run("merge", *pair, "-o", "mean", "--json", "mean.json")[0] == 0
    result = json.loads(Path("mean.json").read_text())
    totals, weights = result["totals"], result["weights"]
    assert totals["to_adapters"] == pytest.approx(totals["adapters_floor"], rel=1e-9)
    assert totals["to_sum"] == pytest.approx(0, abs=1e-9)
    assert run("merge", *pair, "-o", "mean", "--no-audit", "--force", "--json", "q.json")[0] == 0
    assert json.loads(Path("q.json").read_text())["modules"] == []
    _, out, _ = run("merge", *pair, "-o", "sum", "--method", "sum", "--json", "-")
    assert (weights, json.loads(out)["weights"]) == ([0.5, 0.5], [1.0, 1.0])
    one, two, mean = (read_adapter(place) for place in (*pair, "mean"))
    for name in SHAPES:
        wanted = (one[name].dense() + two[name].dense()) / 2
        np.testing.assert_allclose(mean[name].dense(), wanted, atol=1e-6)


def test_no_command_replaces_what_it_reads(run, pair):
    before = [(folder / "adapter_config.json").read_bytes() for folder in pair]
    for words in (
        ["-o", pair[0], "--force"],
        ["-o", "new", "--json", pair[1] / "adapter_config.json"],
    ):
        code, _, err = run("merge", *pair, *words)
        assert code
        assert "would replace what is read from" in err
    assert before == [(folder / "adapter_config.json").read_bytes() for folder in pair]
    assert not Path("new").exists()
    assert run("merge", *pair, "-o", "new", "--json", "m.json")[0] == 0
    assert run("merge", *pair, "-o", "new", "--json", "m.json", "--force")[0] == 0


def test_what_a_method_does_not_take_is_refused_before_a_model_is_looked_for(run, pair):
    Path("p.jsonl").write_text('{"prompt": "a"}\n')
    prompts = ("--moments", "p.jsonl", "--moments", "p.jsonl", "--model", "nowhere")
    code, _, err = run("merge", *pair, "--method", "mean", *prompts, "-o", "merged")
    assert code
    assert "mean takes no moments" in err


def test_diagnose_rests_every_sentence_on_a_theorem(run, pair):
    code, out, _ = run("diagnose", *pair, "--json", "d.json")
    found = json.loads(Path("d.json").read_text())
    assert code == 0
    assert {f["label"] for f in found["findings"]} <= {*theorems.LABELS}
    assert {f["kind"] for f in found["findings"]} == {"measured", "needed", "unknown"}
    assert all(finding["text"] in out for finding in found["findings"])
    assert found["record"] == library_record()
    assert len(found["modules"]) == 3


def test_the_list_of_methods_has_every_method_and_its_laws(run):
    code, out, _ = run("merge", "--list")
    table = json.loads(run("merge", "--list", "--json", "-")[1])
    names = {method["name"] for method in table["methods"]}
    assert code == 0
    assert {row["method"] for row in table["laws"]} == names
    assert all(name in out for name in names)
    required = {one["name"]: one["required"] for one in table["methods"]}
    assert (required["ties"], required["mean"]) == (["density", "rank"], [])
    # words stand below the beginning of their heading
    head, _, first = out.splitlines()[1:4]
    assert head.index("formula") == first.index("sum_j D_j")
    assert "scale: f(aX; w) = a f(X; w) for every number a, one for all adapters." in out
