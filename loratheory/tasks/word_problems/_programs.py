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
    solution, needed = problems.solution, problems.needed
    return [
        _program(problems, row, needed[row].tolist(), solution[row].tolist())
        for row in range(len(problems))
    ]


def _program(problems: Problems, row: int, needed: list[bool], solution: list[int]) -> str:
    skills, p = problems.skills[row].tolist(), problems.prime
    owners = NAMES if p else SCENES[problems.scenes[row]].owners
    named = [_identifier(owners[k]) for k in problems.names[row]]
    given = [k for k in problems.order[row].tolist() if skills[k] == 0 and needed[k]]
    lines = [f"{named[k]} = {problems.values[row, k]}" for k in given]
    used = set()
    for k in solution:
        if k < 0:
            break
        skill = SKILLS[skills[k] - 1]
        used.add(skill)
        inputs = [named[j] for j in problems.inputs[row, k] if j >= 0]
        numbers = [str(n) for n in problems.numbers[row, k].tolist() if n >= 0]
        taken = dict(zip("xyz", inputs + numbers, strict=False))
        said = (_MODULAR if p else _WHOLE)[skill].format(p=p, **taken)
        lines.append(f"{named[k]} = {said}")
    functions = [
        f"def {head}:\n    return {body.format(p=p)}\n"
        for skill, (head, body) in (_MODULAR_FUNCTIONS if p else _FUNCTIONS).items()
        if skill in used
    ]
    return "\n".join([*functions, *lines, f"answer = {named[problems.asked[row]]}", ""])


def _identifier(owner: str) -> str:
    return owner.removeprefix("the ").replace(" ", "_").lower()
