"""inspect, diagnose, merge, methods and interfere: numbers by a second road, notes, files."""

import json
from pathlib import Path

import numpy as np
import pytest
from folders import folder

from loratheory import theorems
from loratheory.adapters import read_adapter
from loratheory.diagnosis import library_record

SHAPES = {f"model.layers.{layer}.q_proj": (12, 10, 2) for layer in range(3)}


@pytest.fixture
def pair(run):  # noqa: ARG001  it changes the folder
    return folder("one", SHAPES, seed=1), folder("two", SHAPES, seed=2)


def test_inspect_tells_ranks_and_energy(run, pair):
    code, out, _ = run("inspect", *pair, "--json", "i.json", "--figure", "spectra.png")
    first = json.loads(Path("i.json").read_text())[0]
    assert code == 0
    assert [m["rank"] for m in first["modules"]] == [2, 2, 2]
    dense = read_adapter("one")["model.layers.0.q_proj"].dense()
    assert first["modules"][0]["energy"] == pytest.approx((dense**2).sum(), rel=1e-6)
    assert "energy by layer" in out
    assert "\x1b[" not in out
    assert Path("spectra.png").stat().st_size > 1000


def test_merge_writes_what_it_says_and_reports_its_floors(run, pair):
    words = ("--method", "svd", "--weights=.7,-.3", "--rank", 2, "--json", "m.json")
    code, out, _ = run("merge", *pair, *words, "-o", "merged")
    assert code == 0
    assert "not between" in out
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


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "a merge of one is that adapter."),
        (["--method", "cat", "--weights", ".5"], "a merge of one is that adapter, times 0.5."),
        (["--method", "svd", "--rank", 1], "but svd changed it."),
        (["--no-audit"], "a merge of one is that adapter, unless mean changes it."),
    ],
)
def test_a_merge_of_one_is_called_what_it_is(run, pair, words, says):
    assert says in run("merge", pair[0], "-o", "merged", *words)[1]


def test_the_mean_meets_its_floor_and_without_an_audit_is_the_same(run, pair):
    outs = [run("merge", *pair, "-o", "mean", "--json", "mean.json")[1]]
    totals = json.loads(Path("mean.json").read_text())["totals"]
    assert totals["to_adapters"] == pytest.approx(totals["adapters_floor"], rel=1e-9)
    assert totals["to_sum"] == pytest.approx(0, abs=1e-9)
    outs.append(run("merge", *pair, "-o", "quick", "--no-audit")[1])
    assert ["squared distance" in out for out in outs] == [True, False]
    assert all("3 modules" in out and "only one adapter" not in out for out in outs)
    mean, quick = read_adapter("mean"), read_adapter("quick")
    assert all((mean[m].dense() == quick[m].dense()).all() for m in mean)


def test_diagnose_rests_every_sentence_on_a_theorem(run, pair):
    code, out, _ = run("diagnose", *pair, "--json", "d.json", "--figure", "overlap.png")
    found = json.loads(Path("d.json").read_text())
    assert code == 0
    assert {f["label"] for f in found["findings"]} <= {*theorems.LABELS}
    assert {f["kind"] for f in found["findings"]} == {"measured", "needed", "unknown"}
    assert "What no look at the weights can tell" in out
    assert found["record"] == library_record()
    assert len(found["modules"]) == 3


def test_methods_prints_a_law_table_and_explains_its_cells(run):
    code, out, _ = run("methods")
    table = json.loads(run("methods", "--json", "-")[1])
    assert code == 0
    assert "[A_1; ...; A_K]" in out
    assert {row["method"] for row in table["laws"]} == {m["name"] for m in table["methods"]}
