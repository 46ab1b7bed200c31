"""Solutions as short programs, in which skills are functions that other programs can use again."""

from loratheory.tasks.word_problems._alphabet import NAMES
from loratheory.tasks.word_problems._problems import Problems
from loratheory.tasks.word_problems._sentences import SCENES
from loratheory.tasks.word_problems._skills import SKILLS

_WHOLE = {
    "add": "{x} + {y}",
    "subtract": "{x} - {y}",
    "multiply": "{x} * {y}",
    "divide": "{x} // {y}",
    "compare": "abs({x} - {y})",
    "rate": "rate({x}, {y}, {z})",
    "percent": "percent({x}, {y})",
}
_FUNCTIONS = {
    "rate": ("rate(quantity, every, gives)", "quantity // every * gives"),
    "percent": ("percent(quantity, share)", "quantity * share // 100"),
}
_MODULAR = _WHOLE | {
    "add": "({x} + {y}) % {p}",
    "subtract": "({x} - {y}) % {p}",
    "multiply": "{x} * {y} % {p}",
    "divide": "{x} * pow({y}, -1, {p}) % {p}",
}
_MODULAR_FUNCTIONS = {
    "rate": ("rate(quantity, every, gives)", "quantity * pow(every, -1, {p}) * gives % {p}"),
    "percent": ("percent(quantity, share)", "quantity * share * pow(100, -1, {p}) % {p}"),
}
_LETTERS = tuple(name.lower() for name in NAMES)
_OWNERS = [
    tuple(owner.removeprefix("the ").replace(" ", "_").lower() for owner in scene.owners)
    for scene in SCENES
]


def programs(problems: Problems) -> list[str]:
    """Return for each problem a program in Python that computes its answer.

    Parameters
    ----------
    problems : Problems
        In whole numbers or modulo a prime.

    Returns
    -------
    list of str
        The functions that it needs; a line for each quantity that the answer depends on; last
        ``answer = …``.
    """
    columns = (problems.order, problems.solution, problems.names, problems.skills)
    more = (problems.inputs, problems.numbers, problems.values, problems.needed)
    rows = zip(*(column.tolist() for column in (*columns, *more)), strict=True)
    ends = zip(problems.scenes.tolist(), problems.asked.tolist(), strict=True)
    return [
        _program(problems.prime, _LETTERS if problems.prime else _OWNERS[scene], asked, *row)
        for row, (scene, asked) in zip(rows, ends, strict=True)
    ]


def _program(
    p: int,
    owners: tuple[str, ...],
    asked: int,
    order: list[int],
    solution: list[int],
    names: list[int],
    skills: list[int],
    inputs: list[list[int]],
    numbers: list[list[int]],
    values: list[int],
    needed: list[bool],
) -> str:
    named, used = [owners[name] for name in names], set()
    lines = [f"{named[k]} = {values[k]}" for k in order if skills[k] == 0 and needed[k]]
    for k in solution:
        if k < 0:
            break
        skill = SKILLS[skills[k] - 1]
        used.add(skill)
        taken = [named[j] for j in inputs[k] if j >= 0] + [str(n) for n in numbers[k] if n >= 0]
        words = dict(zip("xyz", taken, strict=False))
        lines.append(f"{named[k]} = {(_MODULAR if p else _WHOLE)[skill].format(p=p, **words)}")
    functions = [
        f"def {head}:\n    return {body.format(p=p)}\n"
        for skill, (head, body) in (_MODULAR_FUNCTIONS if p else _FUNCTIONS).items()
        if skill in used
    ]
    return "\n".join([*functions, *lines, f"answer = {named[asked]}", ""])
