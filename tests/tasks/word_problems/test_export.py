"""_dataset: files hold what the problems are, and the card says where and what."""

import json

import numpy as np
import pytest
from sums import read, run, worked

from loratheory.tasks.word_problems import (
    ImpossibleError,
    distracted,
    export,
    keys,
    pool,
    programs,
    reordered,
    stories,
)
from loratheory.tasks.word_problems._export import canary

FEW = ("add", "rate", "percent")


def some(seed, prime=0, rows=12):
    rng = np.random.default_rng(seed)
    made = distracted(pool(FEW, steps=(1, 2, 3), prime=prime).drawn(rows, rng=rng), 1, rng=rng)
    return reordered(made, rng=rng)


def lines(folder, name):
    text = (folder / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_rows_hold_words_programs_and_structure(tmp_path):
    sets = {"train": some(0), "test": some(1, rows=5)}
    folder = export(tmp_path / "out", sets, about="Made for a test.")
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "test.jsonl", "train.jsonl"]
    for name, here in sets.items():
        rows = lines(folder, name)
        assert len(rows) == len(here)
        for number, row in enumerate(rows):
            assert [row[k] for k in ("problem", "solution", "answer")] == [*stories(here)[number]]
            assert row["program"] == programs(here)[number]
            assert str(read(row["problem"])) == str(run(row["program"])) == row["answer"]
            template = here.templates[number]
            assert (row["template"], row["graph"]) == (template.code, str(template))
            assert row["skills"] == "+".join(sorted(template.skills))
            assert (row["steps"], row["depth"]) == (template.steps, template.depth)
            assert row["distractors"] == 1
            order = [k for k in here.order[number] if here.told[number, k]]
            said = [here.wordings[number, k] for k in order]
            assert row["wordings"] == [*said, here.asking[number]]
            assert len(row["entities"]) == len(order) == len({*row["entities"]})
            for owner in row["entities"]:
                assert owner in row["problem"] or owner.capitalize() in row["problem"]
            assert row["canary"] == canary(name, here)
        assert len({tuple(row) for row in rows}) == 1
    assert "×" in (folder / "train.jsonl").read_text(encoding="utf-8")


def test_modulo_a_prime_rows_hold_tokens_too(tmp_path):
    here = some(2, prime=7)
    rows = lines(export(tmp_path / "out", {"train": here}), "train")
    for row, answer in zip(rows, here.answers.tolist(), strict=True):
        right, steps = worked(row["problem"], 7)
        assert (right, row["solution"].split(), row["answer"]) == (answer, steps, str(answer))
        assert run(row["program"]) == answer
        assert len(row["tokens"]) == len(row["targets"]) == row["asked"] + len(steps)
        assert row["tokens"][-1] > 0
        assert [t for t in row["targets"] if t >= 0] == row["targets"][row["asked"] :]
        assert {*row["entities"]} <= {*row["problem"].split()}


def test_the_card_names_splits_sizes_canaries_and_what_was_excluded(tmp_path):
    sets = {"train": some(0), "test": some(1, rows=5)}
    text = (export(tmp_path / "out", sets, about="Made for a test.") / "README.md").read_text()
    head, body = text.removeprefix("---\n").split("---\n", 1)
    assert (
        "  - split: train\n    path: train.jsonl\n  - split: test\n    path: test.jsonl\n" in head
    )
    assert "n<1K" in head
    assert "Made for a test." in body
    for name, here in sets.items():
        count = len({*here.templates})
        assert f"| {name} | {len(here)} | {count} | `{canary(name, here)}` |" in body
        for reason, lost in here.excluded.items():
            assert f"{lost} ({name}: {reason})" in body
    for field in lines(tmp_path / "out", "test")[0]:
        assert f"`{field}`" in body


def test_canaries_mark_one_set_and_all_of_it():
    one, other = some(0), some(1)
    marks = {canary("train", one), canary("test", one), canary("train", other)}
    assert len(marks) == 3
    turned = one[np.arange(len(one))[::-1]]
    assert canary("train", turned) == canary("train", one)
    assert keys(turned) != keys(one)


def test_equal_problems_give_equal_bytes(tmp_path):
    folders = [export(tmp_path / name, {"train": some(3)}) for name in ("one", "same")]
    for file in folders[0].iterdir():
        assert file.read_bytes() == (folders[1] / file.name).read_bytes()


def test_nothing_is_overwritten_unless_told(tmp_path):
    export(tmp_path / "out", {"train": some(0)})
    before = (tmp_path / "out" / "train.jsonl").read_bytes()
    with pytest.raises(ImpossibleError, match="out exists already"):
        export(tmp_path / "out", {"train": some(1)})
    assert (tmp_path / "out" / "train.jsonl").read_bytes() == before
    export(tmp_path / "out", {"other": some(1)}, overwrite=True)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["README.md", "other.jsonl"]
    with pytest.raises(ImpossibleError, match="use letters, digits and underscores"):
        export(tmp_path / "new", {"two-hop": some(1)})
    assert not (tmp_path / "new").exists()
