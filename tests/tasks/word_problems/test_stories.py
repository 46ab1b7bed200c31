"""Four wordings of everything, each read back to one meaning; stories and programs are right."""

import re
from fractions import Fraction
from itertools import product
from string import Formatter

import numpy as np
import pytest
from sums import PARTS as PARTS_READ
from sums import QUESTION, equation, read, run
from sums import TIMES as TIMES_READ

from loratheory.tasks.word_problems import (
    SKILLS,
    ImpossibleError,
    distracted,
    pool,
    problems,
    programs,
    reordered,
    stories,
    templates,
)
from loratheory.tasks.word_problems._sampling import (
    ENTITIES,
    WORDINGS,
)
from loratheory.tasks.word_problems._sampling import (
    SCENES as COUNT,
)
from loratheory.tasks.word_problems._skills import (
    FORMS,
)
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
            x, a, b = (owner.lower() for owner in scene.owners[:3])
            known = {a: 41, b: 13}
            for target, inputs, value in equation(said[:-1]):
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


def test_words_for_numbers():
    assert {k: word for word, k in TIMES_READ.items() if k > 1 and word != "two times"} == TIMES
    assert {k: 1 / PARTS_READ[word] for k, word in PARTS.items()} == {k: k for k in range(2, 10)}
    assert WRITTEN["rate"].format(12, 4, 7) == "12 ÷ 4 × 7"
    assert WRITTEN["percent"].format(40, 25) == "40 × 25 ÷ 100"
    assert [
        WRITTEN[k].format(9, 4)[2] for k in ("add", "subtract", "multiply", "divide", "compare")
    ] == [*"+−×÷−"]


def test_scenes_have_names_enough_and_questions_ask_for_one():
    assert len(SCENES) == COUNT
    assert {scene.things for scene in SCENES} == PLURALS
    for scene in SCENES:
        assert len({*scene.owners}) == ENTITIES
        for way in QUESTIONS:
            assert QUESTION.fullmatch(filled(way, scene))["x"].lower() == scene.owners[0].lower()


FEW = ("add", "compare", "rate", "percent")
SINGULAR = set("marble sticker shell stamp coin pencil brush key cow hen goose".split())  # noqa: SIM905


def some(rows=40):
    rng = np.random.default_rng(0)
    made = pool(FEW, steps=(1, 2, 3)).drawn(rows, rng=rng)
    return reordered(distracted(made, 1, rng=rng), rng=rng)


def test_a_story_by_hand():
    (template,) = [
        t for t in templates(["add", "compare"], 2) if str(t) == "b = add(a); c = compare(a, b)"
    ]
    here = problems([template], 1, rng=np.random.default_rng(0))
    made = type(here)(
        **{
            **vars(here),
            "numbers": np.array([[[5, -1], [1, -1], [-1, -1]]]),
            "values": np.array([[5, 6, 1]]),
            "names": np.array([[2, 0, 1]]),
            "wordings": np.array([[2, 1, 3]]),
            "asking": np.array([3]),
            "order": np.array([[1, 0, 2]]),
            "scenes": np.array([10]),
        }
    )
    (story,) = stories(made)
    assert story.problem == (
        "Cliff Farm keeps 1 fewer goose than Ash Farm. The number of geese that Cliff Farm keeps is"
        " 5. Compare Cliff Farm with Ash Farm: the one with more geese is ahead by as many as Brook"
        " Farm keeps. Work out how many geese Brook Farm keeps."
    )
    assert story.solution == (
        "Ash Farm keeps 5 + 1 = 6 geese. Brook Farm keeps 6 − 5 = 1 goose. The answer is 1."
    )
    assert story.answer == "1"


def test_stories_are_read_back_and_every_step_is_right_and_said_once():
    here = some()
    for row, (story, answer) in enumerate(zip(stories(here), here.answers.tolist(), strict=True)):
        assert read(story.problem) == answer == int(story.answer)
        sentences = re.split(r"(?<=[.?]) ", story.problem)
        assert len(sentences) == here.present[row].sum() + 1
        assert all(each[0].isupper() for each in sentences)
        *steps, last = re.findall(r"[^.]+\.", story.solution)
        assert last == f" The answer is {answer}."
        assert len(steps) == (here.solution[row] >= 0).sum()
        for step in steps:
            x, sign, y, more, z, value, thing = re.search(
                r" (\d+) ([+−×÷]) (\d+)( [×÷] )?(\d+)? = (\d+) (\w+)\.$", step
            ).groups()
            exact = Fraction(int(x)) * Fraction(int(y)) ** (-1 if sign == "÷" else 1)
            exact = {"+": int(x) + int(y), "−": int(x) - int(y)}.get(sign, exact)
            if more:
                exact *= Fraction(int(z)) ** (-1 if "÷" in more else 1)
            assert exact == int(value)
            assert thing == "sheep" or (value == "1") == (thing in SINGULAR)


def test_one_of_a_kind_is_singular():
    made = pool(["rate", "add"], steps=1).drawn(600, rng=np.random.default_rng(1))
    seen = set()
    for story in stories(made):
        seen |= {*re.findall(r"\b1 (?:more |fewer )?([a-z]+)", story.problem)}
    assert {"goose", "minute"} <= seen <= SINGULAR | {"minute", "sheep"}


def test_nobody_counts_modulo_seven():
    here = pool(["add"], steps=1, prime=7).drawn(2, rng=np.random.default_rng(0))
    with pytest.raises(
        ImpossibleError, match="modulo 7 in English; draw problems in whole numbers"
    ):
        stories(here)


@pytest.mark.parametrize("prime", [0, 3, 13])
def test_programs_compute_the_answers_and_hold_no_more_than_that_needs(prime):
    rng = np.random.default_rng(prime)
    made = pool(SKILLS, steps=(1, 2), prime=prime).drawn(80, rng=rng)
    made = reordered(distracted(made, 1, rng=rng), rng=rng)
    for row, (program, answer) in enumerate(
        zip(programs(made), made.answers.tolist(), strict=True)
    ):
        assert run(program) == answer
        lines = [line for line in program.splitlines() if " = " in line]
        assert len(lines) == made.needed[row].sum() + 1
        assert lines[-1].startswith("answer = ")
        skills = made.templates[row].skills
        for skill in ("rate", "percent"):
            assert (f"def {skill}(" in program) == (f" {skill}(" in program) == (skill in skills)


def test_a_program_by_hand():
    made = pool(["rate"], steps=1).drawn(1, rng=np.random.default_rng(0))
    put = {
        "numbers": np.array([[[12, -1], [4, 7]]]),
        "values": np.array([[12, 21]]),
        "names": np.array([[3, 0]]),
    }
    here = type(made)(**{**vars(made), **put, "scenes": np.array([4])})
    head = "def rate(quantity, every, gives):\n    return quantity // every * gives\n\n"
    lines = "yellow_box = 12\nred_box = rate(yellow_box, 4, 7)\nanswer = red_box\n"
    assert programs(here) == [head + lines]
    modular = type(made)(**{**vars(here), "prime": 13, "values": np.array([[12, 8]])})
    assert "d = 12\na = rate(d, 4, 7)\nanswer = a\n" in programs(modular)[0]
