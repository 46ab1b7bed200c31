"""Word problems on a language model: rows and ways; a small random model stands in."""

import pytest
from worded import small, small_model

from loratheory.experiments.bench.language import way as acts
from loratheory.experiments.bench.rules import coefficients, rule
from loratheory.experiments.real import _solved, _sums
from loratheory.experiments.real._digits import reading_digits
from loratheory.experiments.real._skilled import lesson, skilled
from loratheory.experiments.real._solved import copied
from loratheory.experiments.real._stepwise import ANEW, TAUGHT, drawn, worked
from loratheory.experiments.real._tried import MERGED
from loratheory.experiments.real_words import EXPERIMENT, Config, Kind, cell, kinds
from loratheory.pretrained import next_logits

TINY = Config(101, lessons=4, steps=2, asked=3)
MARKS = ("steps", "at once")


def trace(model, problems, shown=()):
    """In place of marks, of which a random model has none: a number that all of this moves."""
    asked = [worked(shown) + one.story for one in problems]
    moved = float(next_logits(model, asked).square().sum())
    return dict.fromkeys(MARKS, moved + hasattr(model.tokenizer, "tokenizer"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        small(patch, tmp_path_factory.mktemp("cache"))
        patch.setattr(_solved, "solved", trace)
        yield cell(TINY)


def of(rows, way, kind):
    key = (way, kind.name, kind.size)
    return {r["metric"]: r["share"] for r in rows if (r["rule"], r["asked"], r["size"]) == key}


def asked(kind):
    wordings = ANEW if kind.anew else TAUGHT
    return drawn(kind.skills, 3, 101, lesson=False, size=kind.size, wordings=wordings)


def test_kinds_are_skills_in_turn():
    named = [(kind.name, kind.size) for kind in kinds(Config())]
    assert named == [
        ("add", "to 9"),
        ("subtract", "to 9"),
        ("add, subtract", "to 9"),
        ("add", "to 20"),
        ("add, reworded", "to 9"),
    ]
    assert kinds(Config(full=False)) == kinds(Config())[:3]
    assert kinds(Config())[2] == Kind(("add", "subtract"))


def test_rows_are_every_way_and_kind(rows):
    ways = {row["rule"]: None for row in rows if row["metric"] == "steps"}
    alone = ["add alone", "subtract alone", "joint", "composed"]
    routers = ["arrow", "gates, z = 2"]
    assert [*ways] == ["base", "base, shown", *alone, "mean", "sum", "ties", *routers]
    assert all(tuple(of(rows, way, kind)) == MARKS for way in ways for kind in kinds(TINY))
    assert {row["seed"] for row in rows} == {101}


def test_sums_are_a_cell_of_their_own(monkeypatch, tmp_path):
    small(monkeypatch, tmp_path)
    told = [("base", "plus in words", "to 9", 0.25), ("base, shown", "minus", "to 99", 0.75)]
    monkeypatch.setattr(_sums, "every", lambda _, rows, seed: told if (rows, seed) == (3, 7) else 0)
    assert [[*row.values()] for row in cell(Config(7, sums=3))] == [
        [7, "base", "plus in words", "to 9", "sum", 0.25],
        [7, "base, shown", "minus", "to 99", "sum", 0.75],
    ]


def test_marks_are_those_of_the_ways(rows, monkeypatch, tmp_path):
    small(monkeypatch, tmp_path)
    model = reading_digits(small_model())
    made = skilled(model, ("add", "subtract"), 4, 101, steps=2, full=True)
    pair = [made["add alone"], made["subtract alone"]]
    for way, use, library in (
        ("base", acts(rule("base")), pair),
        ("base, shown", acts(rule("base")), pair),
        *((name, acts(rule("sum")), [adapter]) for name, adapter in made.items()),
        ("mean", acts(coefficients(0.5)), pair),
        ("sum", acts(rule("sum")), pair),
        ("ties", MERGED["ties"], pair),
        ("arrow", acts(rule("arrow")), pair),
        ("gates, z = 2", acts(rule("gates, z = 2", z=2)), pair),
    ):
        with use(model, library):
            for kind in kinds(TINY):
                both = lesson(kind.skills, 6, 101)
                shown = both[::2] if kind.size == "to 9" else both[1::2]
                wanted = trace(model, asked(kind), shown if way == "base, shown" else ())
                assert of(rows, way, kind) == pytest.approx(wanted, rel=1e-6), (way, kind)
    for kind in kinds(TINY):
        assert of(rows, "copy", kind) == {"at once": copied(asked(kind))}


def test_profiles_keep_to_their_seeds():
    paper = [(config.sums > 0, config.seed) for config in EXPERIMENT.profiles["paper"]]
    assert paper == [(sums, seed) for sums in (False, True) for seed in (0, 1, 2)]
