"""Files hold what the problems are, and the card says where and what."""

import json

import numpy as np
import pytest
from sums import read, run, worked

from loratheory.tasks.word_problems import (
    Alphabet,
    distracted,
    export,
    keys,
    pool,
    programs,
    renamed,
    reordered,
    stepwise,
    stories,
    together,
)


def some(seed, prime=0, rows=8):
    rng = np.random.default_rng(seed)
    made = pool(("add", "rate", "percent"), steps=(1, 2, 3), prime=prime).drawn(rows, rng=rng)
    return reordered(distracted(made, 1, rng=rng), rng=rng)


def exported(folder, sets):
    export(folder, sets, about="Made for a test.")
    return {
        name: [*map(json.loads, (folder / f"{name}.jsonl").read_text("utf-8").splitlines())]
        for name in sets
    }


@pytest.mark.parametrize("prime", [0, 7])
def test_rows_hold_words_or_tokens_programs_and_structure(tmp_path, prime):
    sets = {"train": some(0, prime), "test": some(1, prime, 5)}
    for name, rows in exported(tmp_path / "out", sets).items():
        here = sets[name]
        assert len(rows) == len(here)
        for number, row in enumerate(rows):
            if prime:
                answer, lines = worked(row["problem"], prime)
                long = stepwise(Alphabet(prime), here)
                end = long.position[number] + 1
                assert row["solution"].split() == lines
                assert row["tokens"] == long.tokens[number][:end].tolist()
                assert row["targets"] == long.targets[number][:end].tolist()
                assert row["asked"] == long.asked[number]
                assert {*row["entities"]} <= {*"ABCDEFGHIJKL"}
            else:
                answer = read(row["problem"])
                assert (row["problem"], row["solution"], row["answer"]) == stories(here)[number]
                assert all(owner.lower() in row["problem"].lower() for owner in row["entities"])
            assert str(answer) == str(run(row["program"])) == row["answer"]
            assert row["program"] == programs(here)[number]
            template = here.templates[number]
            assert (row["template"], row["graph"]) == (template.code, str(template))
            assert row["skills"] == "+".join(sorted(template.skills))
            assert (row["steps"], row["depth"]) == (template.steps, template.depth)
            assert row["distractors"] == 1
            order = [k for k in here.order[number] if here.present[number, k]]
            assert row["wordings"][:-1] == here.wordings[number, order].tolist()
            assert row["wordings"][-1] == here.asking[number]
            assert len(row["entities"]) == len(order)


def test_the_card_names_each_split_its_canary_and_what_was_thrown_away(tmp_path):
    one = some(0)
    turned = renamed(one[np.arange(len(one))[::-1]], rng=np.random.default_rng(0))
    sets = {"train": one, "same": turned, "more": together([one, some(1)])}
    rows = exported(tmp_path / "out", sets)
    marks = {name: {row["canary"] for row in each} for name, each in rows.items()}
    digests = {name: mark.rsplit("-", 1)[1] for name, (mark,) in marks.items()}
    assert keys(turned)[::-1] == keys(one)
    assert digests["train"] == digests["same"] != digests["more"]
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "# Word problems\n\nMade for a test.\n" in card
    for name, here in sets.items():
        (mark,) = marks[name]
        assert f"| {name} | {len(here)} | {len({*here.templates})} | `{mark}` |" in card
        assert f"canary-word-problems-{name}-" in mark
        for reason, count in here.excluded.items():
            assert f"{count} ({name}: {reason})" in card
