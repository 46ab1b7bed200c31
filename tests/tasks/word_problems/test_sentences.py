"""_sentences: four wordings of everything, each of which can be read back to one meaning."""

import re
from itertools import product
from string import Formatter

import pytest
from sums import PARTS as PARTS_READ
from sums import PATTERNS, QUESTION
from sums import TIMES as TIMES_READ

from loratheory.tasks.word_problems._sampling import ENTITIES, WORDINGS
from loratheory.tasks.word_problems._sampling import SCENES as COUNT
from loratheory.tasks.word_problems._skills import FORMS
from loratheory.tasks.word_problems._stories import (
    GIVEN,
    PARTS,
    QUESTIONS,
    SCENES,
    STEPS,
    TIMES,
    WRITTEN,
)

PLURALS = {
    "marbles", "stickers", "shells", "stamps", "coins", "pencils", "brushes", "keys", "cows",
    "hens", "geese", "sheep",
}  # fmt: skip


def filled(way, scene, n=3, m=5):
    words = {
        "X": scene.owners[0], "A": scene.owners[1], "B": scene.owners[2], "has": scene.has,
        "have": scene.have, "t": scene.thing, "ts": scene.things, "n": n, "m": m,
        "tn": scene.things if n > 1 else scene.thing, "tm": scene.things if m > 1 else scene.thing,
        "times": TIMES.get(n), "part": PARTS.get(n), "minutes": "minutes" if m > 1 else "minute",
    }  # fmt: skip
    said = way.format_map(words)
    return said[0].upper() + said[1:]


def solutions(skill, a, b, n, m):
    from fractions import Fraction

    y = b if b is not None else n
    return {
        "add": a + y,
        "subtract": a - y,
        "multiply": Fraction(a * n),
        "divide": Fraction(a, n),
        "compare": abs(a - y),
        "rate": Fraction(a * m, n),
        "percent": Fraction(a * n, 100),
    }[skill]


@pytest.mark.parametrize(("skill", "takes"), [*STEPS])
@pytest.mark.parametrize("scene", SCENES[::4])
def test_every_wording_means_its_step(skill, takes, scene):
    for way in STEPS[skill, takes]:
        for n, m in [(3, 5), (2, 1), (8, 7), (5, 2), (9, 4)]:
            said = filled(way, scene, n, m)
            found = [(p.fullmatch(said[:-1]), meaning) for p, meaning in PATTERNS]
            ((match, meaning),) = [(x, y) for x, y in found if x]
            x, a, b = (owner.lower() for owner in scene.owners[:3])
            known = {a: 41, b: 13}
            for target, inputs, value in meaning(*(word.lower() for word in match.groups())):
                if target == x:
                    result = value(*(known[name] for name in inputs))
                    assert result == solutions(skill, 41, 13 if takes == 2 else None, n, m)
                    break
            else:
                raise AssertionError(said)


def test_there_are_four_wordings_of_everything_and_all_differ():
    ways = [GIVEN, QUESTIONS, *STEPS.values()]
    assert all(len(each) == WORDINGS for each in ways)
    every = [way for each in ways for way in each]
    assert len({*every}) == len(every)
    assert {*STEPS} == {(skill, takes) for skill, forms in FORMS.items() for takes, _ in forms}
    assert {*WRITTEN} == {*FORMS}
    for (_, takes), each in STEPS.items():
        for way in each:
            fields = {name for _, name, _, _ in Formatter().parse(way) if name}
            assert {"X", "A", "B"} & fields == ({"X", "A", "B"} if takes == 2 else {"X", "A"})


@pytest.mark.parametrize(
    ("ways", "numbers"),
    [
        (GIVEN, [(2, 1), (3, 1)]),
        (QUESTIONS, [(3, 5)]),
        *(
            (each, [(3, 5), (1, 1)])
            for (skill, _), each in STEPS.items()
            if skill in ("add", "subtract")
        ),
        *((each, [(3, 5), (2, 1), (8, 9)]) for each in STEPS.values()),
    ],
)
def test_sentences_are_sentences(ways, numbers):
    for scene, way, (n, m) in product(SCENES, ways, numbers):
        said = filled(way, scene, n, m)
        if "None" in said:
            continue  # "twice" and "half" are not said of 1
        assert re.fullmatch(r"[A-Z][^.?]*[.?]", said)
        assert "  " not in said
        assert not re.search(r"\b(a [aeiou]|an [^aeiou])", said)
        for number, thing in re.findall(r"\b(\d+) (?:more |fewer )?([a-z]+)\b", said):
            if thing in PLURALS | {scene.thing} and not (number == "1" and "every" in said):
                assert thing == (scene.thing if number == "1" else scene.things)
        assert not re.search(r" and (the \w+ box|[A-Z]\w+( Farm)?) (has|holds|keeps)\b", said)
        assert not re.search(r"(does|would) .*\b(has|holds|keeps)\?", said)


def test_questions_ask_for_one():
    for scene in SCENES:
        for way in QUESTIONS:
            assert QUESTION.fullmatch(filled(way, scene))[1].lower() == scene.owners[0].lower()


def test_words_for_numbers():
    assert {k: word for word, k in TIMES_READ.items() if k > 1 and word != "two times"} == TIMES
    assert {k: 1 / PARTS_READ[word] for k, word in PARTS.items()} == {k: k for k in range(2, 10)}
    assert WRITTEN["rate"].format(12, 4, 7) == "12 ÷ 4 × 7"
    assert WRITTEN["percent"].format(40, 25) == "40 × 25 ÷ 100"
    assert [
        WRITTEN[k].format(9, 4)[2] for k in ("add", "subtract", "multiply", "divide", "compare")
    ] == [*"+−×÷−"]


def test_scenes_have_names_enough():
    assert len(SCENES) == COUNT
    assert {scene.things for scene in SCENES} == PLURALS
    for scene in SCENES:
        assert len({*scene.owners}) == ENTITIES
