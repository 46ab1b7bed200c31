"""real._skilled: each adapter is trained on its own lesson, and once."""

from worded import small, small_model

from loratheory.experiments.real import _skilled as module
from loratheory.experiments.real._skilled import lesson, skilled
from loratheory.experiments.real._stepwise import drawn, lines


def test_a_lesson_has_small_and_larger_numbers_in_turn():
    told = lesson(["add"], 6, 1)
    assert told[::2] == drawn(["add"], 3, 1, lesson=True, size="to 9")
    assert told[1::2] == drawn(["add"], 3, 1, lesson=True, size="to 20")


def test_each_adapter_has_its_own_lesson_and_seed(monkeypatch, tmp_path):
    small(monkeypatch, tmp_path)
    asked, taught = {}, module.taught

    def _taught(model, examples, *, seed, training):
        asked[seed] = (examples, training)
        return taught(model, examples, seed=seed, training=training)

    monkeypatch.setattr(module, "taught", _taught)
    few = [lines(lesson([skill], 4, 3)) for skill in ("add", "subtract")]
    wanted = {
        "add alone": lines(lesson(["add"], 8, 3)),
        "subtract alone": lines(lesson(["subtract"], 8, 3)),
        "joint": [*few[0], *few[1]],
        "composed": lines(lesson(["add", "subtract"], 8, 3)),
    }
    for full in (True, False):
        asked.clear()
        made = skilled(small_model(), ("add", "subtract"), 8, 3, steps=2, full=full)
        assert [*made] == [*wanted][: 4 if full else 2]
        assert [*asked] == [(3, 7, k) for k in range(len(made))]
        for name, (examples, training) in zip(made, asked.values(), strict=True):
            assert examples == wanted[name], name
            assert (training.steps, training.batch, training.enough) == (2, 8, 0.0)
    assert len([*(tmp_path / "taught").glob("*.safetensors")]) == 4
