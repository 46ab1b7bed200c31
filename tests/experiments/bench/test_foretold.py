"""What is foretold from keys: against the least-norm edit by hand, and what is read of a model."""

import numpy as np

from loratheory.experiments import real_placement
from loratheory.experiments.bench import described, foretold
from loratheory.experiments.bench.language_facts import MASCOT, items
from loratheory.pretrained import batch, inputs, maps

TAUGHT = [("a", "cat"), ("b", "dog"), ("c", "cow")]


def drawn(seed, rows, reads=3, width=24):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(rows, width)) for _ in range(reads)]


def test_margins_are_those_of_the_least_norm_edit_of_all_reads_side_by_side(monkeypatch):
    monkeypatch.setattr(foretold, "CLEAR", 0.0)
    lessons, asked = drawn(0, 3), drawn(1, 2)
    questions = [("x", "dog"), ("y", "cat")]
    answers = np.eye(3) - 1 / 3
    edit = np.linalg.pinv(np.hstack(lessons)) @ answers
    said = np.hstack(asked) @ edit
    wanted = [said[0, 1] - max(said[0, 0], said[0, 2]), said[1, 0] - max(said[1, 1:])]
    found = foretold.margins(lessons, TAUGHT, asked, questions)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_lessons_are_foretold_right_and_what_resembles_none_is_not():
    lessons = drawn(2, 3)
    assert (foretold.margins(lessons, TAUGHT, lessons, TAUGHT) > 0.9).all()
    far = [one - one @ np.linalg.pinv(other) @ other for one, other in
           zip(drawn(3, 3), lessons, strict=True)]  # fmt: skip
    assert np.abs(foretold.margins(lessons, TAUGHT, far, TAUGHT)).max() < 1e-9


def test_keys_are_the_inputs_at_each_prompts_last_token(both, monkeypatch):
    monkeypatch.setattr(foretold, "SIZE", 7)
    prompts = [prompt for prompt, _ in items(both.world.second, MASCOT.trained)][:17]
    found = foretold.keys(both.model, prompts)
    names = [name for name in maps(both.model) if name.endswith(foretold.READS)]
    assert len(found) == len(names) == 2 * both.layers
    for i in (0, 8, 16):
        alone = inputs(both.model, [batch(both.model, [prompts[i]])], names)
        for name, rows in zip(names, found, strict=True):
            np.testing.assert_allclose(rows[i], alone[name][-1].numpy(), rtol=1e-3, atol=1e-4)


def test_a_cell_foretells_from_the_layers_that_are_trained(both, monkeypatch):
    seen = []

    def _margins(lessons, _, asked, questions):
        seen.append((len(lessons), len(asked)))
        return np.where(np.arange(len(questions)) % 4, 1.0, -1.0)

    described_by = {"portability_read": TAUGHT * 4, "portability": TAUGHT * 8}
    monkeypatch.setattr(foretold, "margins", _margins)
    monkeypatch.setattr(described, "questions", lambda _: described_by)
    rows = real_placement.cell(real_placement.Config("sixth 6", seed=both.seed))
    assert [row["asked"] for row in rows] == ["named", "portability_read", "portability", "person"]
    assert {*seen} == {(2, 2)}  # of two layers the second
    assert [row["foretold"] for row in rows[:3]] == [0.75] * 3
    assert {row["chance"] for row in rows} == {0.05}
