"""_blocks: every pair as the pairwise measures of one module have it, whatever the blocks."""

import numpy as np
import pytest
from folders import folder

from loratheory.adapters import interference, read
from loratheory.experiments import ExperimentError
from loratheory.experiments.shelf_matrix import Block, cell, members, sweep

MODULES = {"layers.0.q": (9, 8, 2), "layers.1.q": (9, 8, 3), "layers.1.v": (5, 8, 2)}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    home = tmp_path_factory.mktemp("shelf")
    for number in range(5):
        chosen = {name: side for k, (name, side) in enumerate(MODULES.items()) if k != number}
        folder(home / f"a{number}", chosen, seed=number)
    return home


def rows(shelf, block):
    found = {}
    for config in sweep(shelf, block).profiles["all"]:
        for row in cell(config):
            found[row["reader"], row["other"]] = row
    return found


def test_each_pair_is_what_the_pairwise_measures_say(shelf):
    found, adapters = rows(shelf, 2), [read(shelf / name) for name in members(shelf)]
    assert set(found) == {(i, j) for i in range(5) for j in range(5) if i != j}
    tables = {name: interference([a.get(name) for a in adapters]) for name in MODULES}
    for (i, j), row in found.items():
        both = [name for name in MODULES if name in adapters[i] and name in adapters[j]]
        heard = [tables[m].crosstalk[i, j] / tables[m].crosstalk[i, i] for m in both]
        assert row["modules"] == len(both)
        assert row["worst"] == pytest.approx(max(heard))
        assert row["typical"] == pytest.approx(np.median(heard))
        dense = [{m: a[m].dense().ravel() for m in a} for a in (adapters[i], adapters[j])]
        inner = sum(dense[0][m] @ dense[1][m] for m in both)
        norms = [np.sqrt(sum((v**2).sum() for v in each.values())) for each in dense]
        assert row["cosine"] == pytest.approx(inner / norms[0] / norms[1], abs=1e-6)


def test_blocks_of_any_size_give_the_same_rows(shelf):
    for block in (1, 3, 50):
        again = rows(shelf, block)
        for pair, row in rows(shelf, 2).items():
            assert again[pair] == pytest.approx(row)


def test_an_adapter_that_is_zero_is_heard_nowhere(tmp_path):
    folder(tmp_path / "one", {"q": (6, 4, 2)}, seed=1)
    made = folder(tmp_path / "two", {"q": (6, 4, 2)}, seed=2)
    from safetensors.numpy import load_file, save_file

    file = made / "adapter_model.safetensors"
    save_file({key: 0 * value for key, value in load_file(file).items()}, file)
    found = rows(tmp_path, 1)
    assert [(row["modules"], row["worst"], row["cosine"]) for row in found.values()] == [
        (0, 0, 0)
    ] * 2


def test_adapters_of_two_bases_are_refused_by_name(tmp_path):
    folder(tmp_path / "one", {"q": (6, 4, 2)})
    folder(tmp_path / "two", {"q": (6, 5, 2)})
    with pytest.raises(ExperimentError, match=r"q has shape \(6, 4\) in .*one and \(6, 5\) in"):
        cell(Block(str(tmp_path), "", 50, 0, 0))
