"""Every pair as the pairwise measures of one module have it; sweeps that go on after kills."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from folders import folder
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from loratheory.adapters import AdapterError, crosstalk, read_adapter
from loratheory.cli import app
from loratheory.experiments import ExperimentError, planned, prepared, swept
from loratheory.experiments.interference_matrix import cell, members, sweep

MODULES = {"layers.0.q": (9, 8, 2), "layers.1.q": (9, 8, 3), "layers.1.v": (5, 8, 2)}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Five adapters, of which three lack a module."""
    home = tmp_path_factory.mktemp("library")
    for number in range(5):
        chosen = {name: side for k, (name, side) in enumerate(MODULES.items()) if k != number}
        folder(home / f"a{number}", chosen, seed=number)
    return home


def rows(library, block):
    cells = sweep(members([library]), block).profiles["all"]
    return {(row["reader"], row["other"]): row for config in cells for row in cell(config)}


def test_each_pair_is_what_the_pairwise_measures_say_whatever_the_blocks(library):
    found, adapters = (
        rows(library, 2),
        [read_adapter(place) for place in members([library]).values()],
    )
    assert set(found) == {(i, j) for i in range(5) for j in range(5) if i != j}
    for (i, j), row in found.items():
        one, two = adapters[i], adapters[j]
        both = [name for name in MODULES if name in one and name in two]
        answers = [crosstalk(one[m], two[m]) / one[m].spectral_norm for m in both]
        dense = [{m: a[m].dense().ravel() for m in a} for a in (one, two)]
        inner = sum(dense[0][m] @ dense[1][m] for m in both)
        norms = [np.sqrt(sum((v**2).sum() for v in each.values())) for each in dense]
        cosine = inner / norms[0] / norms[1]
        wanted = (len(both), max(answers), np.median(answers), cosine)
        assert [*row.values()][2:] == pytest.approx(wanted, abs=1e-6)
    for block in (1, 3, 50):
        again = rows(library, block)
        assert all(again[pair] == pytest.approx(row) for pair, row in found.items())


def test_an_adapter_that_is_zero_answers_nothing(tmp_path):
    folder(tmp_path / "one", {"q": (6, 4, 2)}, seed=1)
    file = folder(tmp_path / "two", {"q": (6, 4, 2)}, seed=2) / "adapter_model.safetensors"
    save_file({key: 0 * value for key, value in load_file(file).items()}, file)
    found = rows(tmp_path, 1).values()
    assert [(row["modules"], row["worst"], row["cosine"]) for row in found] == [(0, 0, 0)] * 2


def test_every_form_of_library_gives_the_same_rows(library, tmp_path):
    """One by one, and each below a folder of its own."""
    expected = rows(library, 2)
    places = sorted(library.iterdir())
    assert [*members(places)] == [str(place) for place in places]
    one_by_one = [row for c in sweep(members(places), 1).profiles["all"] for row in cell(c)]
    assert all(row == pytest.approx(expected[row["reader"], row["other"]]) for row in one_by_one)
    for number in range(2):
        folder(tmp_path / "deep" / f"b{number}" / "last", {"q": (6, 4, 2)}, seed=number)
    places = [tmp_path / "deep" / f"b{number}" for number in range(2)]
    found = members([tmp_path / "deep"], "last")
    assert found == {place.name: place.resolve() / "last" for place in places}
    assert [*members(places, "last").values()] == [place / "last" for place in places]


@pytest.mark.parametrize(
    ("places", "error", "says"),
    [
        (["one", "one"], ExperimentError, "one is named twice"),
        (["one"], ExperimentError, "holds 1 adapters: name a folder with at least two"),
        (["one", "nobody/no-such"], AdapterError, "nothing is fetched unasked"),
    ],
)
def test_a_library_that_is_none_is_refused(places, error, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder("one", {"q": (6, 4, 2)})
    with pytest.raises(error, match=says):
        sweep(members([Path(place) for place in places]))


def test_what_cannot_be_compared_is_refused_by_name(tmp_path):
    folder(tmp_path / "one", {"q": (6, 4, 2)})
    with pytest.raises(ExperimentError, match="holds 1 adapters: name a folder with at least two"):
        members([tmp_path])
    folder(tmp_path / "two", {"q": (6, 5, 2)})
    with pytest.raises(ExperimentError, match=r"q has shape \(6, 4\) in .*one and \(6, 5\) in"):
        rows(tmp_path, 50)
    for name in (b"a\nb", b"a\xffb"):
        folder(tmp_path / os.fsdecode(name), {"q": (6, 4, 2)})
        with pytest.raises(ExperimentError, match=r"fits on no line of names.txt: rename it"):
            members([tmp_path])
        for file in (tmp_path / os.fsdecode(name)).iterdir():
            file.unlink()
        (tmp_path / os.fsdecode(name)).rmdir()


def test_every_pair_of_groups_is_a_cell_and_another_library_other_cells(tmp_path):
    for number in range(6):
        folder(tmp_path / f"a{number}", {"q": (6, 4, 2)}, seed=number)
    one = sweep(members([tmp_path]), 4)
    assert [c.starts for c in one.profiles["all"]] == [(0, 0), (0, 4), (4, 4)]
    folder(tmp_path / "a7", {"q": (6, 4, 2)}, seed=9)
    other = sweep(members([tmp_path]), 4)
    assert {*map(one.key, one.profiles["all"])}.isdisjoint(map(one.key, other.profiles["all"]))


def test_the_command_goes_on_where_it_was_cut_off(library, tmp_path):
    plan = planned(sweep(members([library]), 2), "all", tmp_path)
    prepared(plan)
    with ThreadPoolExecutor(1) as pool:
        cells = swept([plan], pool)
        next(cells)
        cells.close()
    words = ["interfere", str(library), "-o", str(tmp_path), "--block", "2", "--workers", "1"]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert "--resume" in refused.output
    done = CliRunner().invoke(app, [*words, "--resume"])
    assert done.exit_code == 0, done.output
    assert "5 adapters, 20 ordered pairs" in done.output
    names = (tmp_path / "interference_matrix" / "names.txt").read_text().split()
    assert names == [*members([library])]
