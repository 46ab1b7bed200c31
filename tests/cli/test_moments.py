"""moments and merge --moments: a file of what modules read, and refusals in a line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from loratheory.adapters import merge, read_adapter, read_moments, write_moments
from loratheory.pretrained import attach, load_model
from loratheory.pretrained.attach import collect_inputs
from loratheory.pretrained.metrics import batch


@pytest.fixture(scope="module")
def given(home):
    for seed, name in enumerate(("one", "two")):
        (home / f"{name}.txt").write_text(
            "red green blue\n\n  one two red one  \nblue\n" * (seed + 1)
        )
    return home


@pytest.fixture
def collected(given, run):
    """From a name to the file of that adapter's moments."""

    def _file(name, other):
        words = ("moments", given / name, given / other, "--prompts", given / f"{name}.txt")
        code, out, err = run(*words, "--model", given / "base", "-o", given / f"{name}.safetensors")
        assert code == 0, err
        return given / f"{name}.safetensors", out

    return _file


def test_moments_are_of_what_modules_read_while_the_first_adapter_acts(given, collected):
    file, out = collected("one", "two")
    assert "3 prompts" in out
    assert "merge with --ridge, or give more prompts" in out  # three words of sixteen directions
    base, one = load_model(given / "base"), read_adapter(given / "one")
    prompts = ["red green blue", "one two red one", "blue"]
    with attach(base, [one]):
        fed = collect_inputs(base, [batch(base, [text]) for text in prompts], [*one])
    found = read_moments(file)
    assert set(found) == set(one) == set(load_file(file))
    for name, root in found.items():
        x = fed[name].double().numpy()
        np.testing.assert_allclose(root.T @ root, x.T @ x / len(x), atol=1e-5)
        assert len(root) <= len(x)


def test_the_merge_is_nearest_on_those_inputs_and_its_floor_is_printed(given, collected, run):
    files = [collected("one", "two")[0], collected("two", "one")[0]]
    words = [word for file in files for word in ("--moments", file)]
    pair = (given / "one", given / "two")
    code, out, err = run(
        "merge", *pair, "--method", "regmean", *words, "-o", "m", "--json", "m.json"
    )
    assert code == 0, err
    assert "share missed" in out
    totals = json.loads(Path("m.json").read_text())["totals"]
    assert totals["input_error"] == pytest.approx(totals["input_floor"], rel=1e-6)
    both = merge(
        [read_adapter(place) for place in pair], "regmean", moments=[read_moments(f) for f in files]
    )
    missed = answered = 0.0
    for name in both:
        np.testing.assert_allclose(read_adapter("m")[name].dense(), both[name].dense(), 1e-5, 1e-4)
        for place, file in zip(pair, files, strict=True):
            update, root = read_adapter(place)[name].dense(), read_moments(file)[name]
            missed += (((both[name].dense() - update) @ root.T) ** 2).sum()
            answered += ((update @ root.T) ** 2).sum()
    assert totals["input_error"] == pytest.approx(missed, rel=1e-4)
    assert totals["input_energy"] == pytest.approx(answered, rel=1e-4)
    ranked = (*words, "--rank", 1, "--ridge", 0.1, "-o", "r", "--json", "r.json")
    assert run("merge", *pair, "--method", "regmean", *ranked)[0] == 0
    totals = json.loads(Path("r.json").read_text())["totals"]
    assert totals["input_error"] > totals["input_floor"] > 0
    assert {read_adapter("r")[name].width for name in both} == {1}


def test_what_does_not_fit_is_refused_in_a_line(given, collected, run, tmp_path):
    file, _ = collected("one", "two")
    roots = load_file(file)
    name, root = next(iter(roots.items()))
    torch.save({}, tmp_path / "pickle")
    save_file({name: root[0]}, tmp_path / "vector")
    write_moments({**roots, name: root[:, 1:]}, tmp_path / "narrow")
    write_moments({**roots, name: np.nan * root}, tmp_path / "nan")
    del roots[name]
    write_moments(roots, tmp_path / "less")
    pair = ("merge", given / "one", given / "two", "-o", tmp_path / "out")
    for words, message in (
        ([], "regmean in space 'full' needs moments: give second moments of the inputs"),
        ([tmp_path / "none"], "cannot be read"),
        ([tmp_path / "pickle"], "the safetensors library refuses this file"),
        (
            [tmp_path / "vector"],
            f"{name}': has shape [24], and a root of a second moment is a matrix",
        ),
        ([tmp_path / "less"], f"it has no second moment of {name}; collect them with loratheory"),
        ([tmp_path / "narrow"], "has inputs of 24 entries, and the root shape"),
        ([tmp_path / "nan"], f"{name}': nan at position [0, 0]"),
        ([file] * 3, "3 are given for 2 adapters; give one an adapter, in their order, or one"),
    ):
        options = [part for word in words for part in ("--moments", word)]
        code, _, err = run(*pair, "--method", "regmean", *options)
        assert code == 2
        assert message in " ".join(err.split())
        assert err.count("\n") == 1
    code, _, err = run(*pair, "--moments", file)
    assert (code, "mean takes no moments: leave it out" in err) == (2, True)
    (tmp_path / "empty.txt").write_text(" \n\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    for text, message in (("empty", "holds no prompt"), ("binary", "is no UTF-8 text")):
        words = ("--prompts", tmp_path / f"{text}.txt", "-o", tmp_path / "x")
        code, _, err = run("moments", given / "one", *words)
        assert (code, message in err) == (2, True)
