"""_in_common: what may be left out, what goes with what, and each measure pair by pair."""

import json

import numpy as np
import pytest
import typer
from folders import folder

from loratheory.cli._in_common import in_common


@pytest.fixture
def two(tmp_path):
    return [folder(tmp_path / name, seed=seed) for seed, name in enumerate(("one", "two"))]


def lines(path, *texts):
    path.write_text("\n".join(texts))
    return path


def test_nothing_asked_nothing_read(two):
    assert in_common([p / "missing" for p in two], [], None, None, any_base=False) == {}


def test_solutions_give_their_overlap_and_the_weights_their_likeness(two, tmp_path):
    sets = [
        lines(tmp_path / f"{n}.jsonl", *(json.dumps({"template": t}) for t in told))
        for n, told in enumerate(("aab", "bbb"))
    ]
    found = in_common(two, sets, None, None, any_base=False)
    assert found["overlap"] == {(0, 1): pytest.approx(1 / 3)}
    assert [*found] == ["overlap", "read", "write"]
    assert all(0 < found[kind][0, 1] < 1 for kind in ("read", "write"))


def test_prompts_go_to_the_model_without_blank_lines(two, tmp_path, monkeypatch):
    from loratheory import pretrained

    seen = []
    monkeypatch.setattr(pretrained, "load", lambda name: name)

    def _agreement(model, adapters, prompts):
        seen.append((model, len(adapters), prompts))
        return np.array([[1, 0.25], [0.25, 1]])

    monkeypatch.setattr(pretrained, "agreement", _agreement)
    probe = lines(tmp_path / "probe.txt", "one is", "", "two is", "  ")
    found = in_common(two, [], probe, "base", any_base=False)
    assert found["agreement"] == {(0, 1): 0.25}
    assert seen == [("base", 2, ["one is", "two is"])]


@pytest.mark.parametrize(
    ("solutions", "probe", "model", "message"),
    [
        (1, None, None, "--solutions was given 1 times for 2 adapters: give it once for each"),
        (0, None, "x", "--model x has nothing to read: give prompts with --probe FILE"),
        (0, "", "x", "is empty: give at least one prompt"),
        (0, "a", None, "--probe needs the base model to run the prompts on: add --model NAME"),
        (0, ..., "x", "cannot be read .*: give a text file, a prompt a line"),
    ],
)
def test_what_lacks_something_is_told_what(two, tmp_path, capsys, solutions, probe, model, message):
    import re

    file = lines(tmp_path / "a.jsonl", '{"template": "a"}')
    asked = None if probe is None else tmp_path / "probe.txt"
    if isinstance(probe, str):
        lines(asked, probe)
    with pytest.raises(typer.Exit):
        in_common(two, [file] * solutions, asked, model, any_base=False)
    assert re.search(message, capsys.readouterr().err)
