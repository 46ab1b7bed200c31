"""Second routes to the answers of word problems: out of the English, the program, the tokens.

Nothing here looks at the graphs, and no arithmetic is shared with what is tested: the English is
read as equations between who has what, solved in exact fractions one after another.
"""

import ast
import re
from fractions import Fraction

N = r"([Tt]he \w+ box|[A-Z]\w+ Farm|[A-Z]\w+)"
V = r"(?:has|have|holds|hold|keeps|keep)"
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
ORDINALS = ["half", "third", "quarter", "fifth", "sixth", "seventh", "eighth", "ninth"]
TIMES = {"twice": 2} | {f"{word} times": k for k, word in enumerate(WORDS)}
PARTS = {"half": Fraction(1, 2)} | {
    f"{'an' if word == 'eighth' else 'a'} {word}": Fraction(1, k)
    for k, word in enumerate(ORDINALS, start=2)
}
TIMES_OR_PART = "|".join([*TIMES, *PARTS])


def _is(x, n):
    return [(x, (), lambda: Fraction(n))]


def _plus(x, n, a):
    n = int(n)
    return [(x, (a,), lambda p: p + n), (a, (x,), lambda p: p - n)]


def _minus(x, n, a):
    return _plus(x, -int(n), a)


def _scaled(x, factor, a):
    return [(x, (a,), lambda p: p * factor), (a, (x,), lambda p: p / factor)]


def _total(x, a, b):
    return [
        (x, (a, b), lambda p, q: p + q),
        (a, (x, b), lambda p, q: p - q),
        (b, (x, a), lambda p, q: p - q),
    ]


def _gap(x, a, b):
    return [(x, (a, b), lambda p, q: max(p, q) - min(p, q))]


def _said(words):
    return TIMES.get(words) or PARTS[words]


SENTENCES = [
    (rf"{N} {V} (?:exactly )?(\d+) \w+", _is),
    (rf"The number of \w+ that {N} {V} is (\d+)", _is),
    (rf"Count the \w+ that {N} {V}, and you get (\d+)", _is),
    (rf"{N} {V} (\d+) more \w+ than {N}", _plus),
    (rf"{N} {V} (\d+) fewer \w+ than {N}", _minus),
    (rf"{N} {V} as many \w+ as {N}, plus (\d+)", lambda x, a, n: _plus(x, n, a)),
    (rf"{N} {V} as many \w+ as {N}, minus (\d+)", lambda x, a, n: _minus(x, n, a)),
    (rf"With (\d+) more \w+, {N} would {V} as many as {N}", lambda n, a, x: _plus(x, n, a)),
    (rf"With (\d+) fewer \w+, {N} would {V} as many as {N}", lambda n, a, x: _minus(x, n, a)),
    (rf"{N} {V} as many \w+ as {N} and {N} together", _total),
    (rf"Together, {N} and {N} {V} as many \w+ as {N}", lambda a, b, x: _total(x, a, b)),
    (rf"{N} {V} the same number of \w+ as {N} and {N} combined", _total),
    (rf"The number of \w+ that {N} {V} is the sum of the numbers that {N} and {N} {V}", _total),
    (
        rf"{N} {V} as many \w+ as would be left if {N} lost as many as {N} {V}",
        lambda x, a, b: _total(a, x, b),
    ),
    (
        rf"Subtract the number of \w+ that {N} {V} from the number that {N} {V}, and you get the"
        rf" number that {N} {V}",
        lambda b, a, x: _total(a, x, b),
    ),
    (
        rf"{N} {V} ({TIMES_OR_PART}) as many \w+ as {N}",
        lambda x, words, a: _scaled(x, Fraction(_said(words)), a),
    ),
    (
        rf"For every (?!\d)\w+ that {N} {V}, {N} {V} (\d+)",
        lambda a, x, n: _scaled(x, Fraction(n), a),
    ),
    (
        rf"The number of \w+ that {N} {V} is (\d+) times the number that {N} {V}",
        lambda x, n, a: _scaled(x, Fraction(n), a),
    ),
    (
        rf"If the \w+ that {N} {V} were split into (\d+) equal groups, each group would have as"
        rf" many as {N} {V}",
        lambda a, n, x: _scaled(x, 1 / Fraction(n), a),
    ),
    (
        rf"The number of \w+ that {N} {V} is the number that {N} {V}, divided by (\d+)",
        lambda x, a, n: _scaled(x, 1 / Fraction(n), a),
    ),
    (
        rf"The number of \w+ that {N} {V} is the difference between the numbers that {N} and {N}"
        rf" {V}",
        _gap,
    ),
    (
        rf"Either {N} or {N} {V} more \w+ than the other, by as many as {N} {V}",
        lambda a, b, x: _gap(x, a, b),
    ),
    (
        rf"The numbers of \w+ that {N} and {N} {V} differ by as many as {N} {V}",
        lambda a, b, x: _gap(x, a, b),
    ),
    (
        rf"Compare {N} with {N}: the one with more \w+ is ahead by as many as {N} {V}",
        lambda a, b, x: _gap(x, a, b),
    ),
    (
        rf"For every (\d+) \w+ that {N} {V}, {N} {V} (\d+)",
        lambda n, a, x, m: _scaled(x, Fraction(int(m), int(n)), a),
    ),
    (
        rf"{N} {V} (\d+) \w+ for every (\d+) that {N} {V}",
        lambda x, m, n, a: _scaled(x, Fraction(int(m), int(n)), a),
    ),
    (
        rf"The numbers of \w+ that {N} and {N} {V} are in the ratio (\d+) to (\d+)",
        lambda a, x, n, m: _scaled(x, Fraction(int(m), int(n)), a),
    ),
    (
        rf"At a steady rate, counting the \w+ that {N} {V} takes (\d+) minutes, and counting those"
        rf" that {N} {V} takes (\d+) minutes?",
        lambda a, n, x, m: _scaled(x, Fraction(int(m), int(n)), a),
    ),
    (
        rf"{N} {V} (\d+)(?: percent of the number of \w+ that|% as many \w+ as) {N}(?: {V})?",
        lambda x, n, a: _scaled(x, Fraction(int(n), 100), a),
    ),
    (
        rf"The number of \w+ that {N} {V} is (\d+)% of the number that {N} {V}",
        lambda x, n, a: _scaled(x, Fraction(int(n), 100), a),
    ),
    (
        rf"Take (\d+) percent of the \w+ that {N} {V}, and you get as many as {N} {V}",
        lambda n, a, x: _scaled(x, Fraction(int(n), 100), a),
    ),
]
PATTERNS = [(re.compile(pattern), meaning) for pattern, meaning in SENTENCES]
QUESTION = re.compile(
    rf"(?:How many \w+ does|What is the number of \w+ that|Find the number of \w+ that"
    rf"|Work out how many \w+) {N} {V}[.?]"
)


def read(problem: str) -> Fraction:
    """The answer to a problem in English."""
    *told, asking = re.split(r"(?<=[.?]) ", problem)
    equations = []
    for sentence in told:
        found = [(p.fullmatch(sentence[:-1]), meaning) for p, meaning in PATTERNS]
        ((match, meaning),) = [(m, meaning) for m, meaning in found if m]
        equations.append(meaning(*(word.lower() for word in match.groups())))
    known: dict[str, Fraction] = {}
    while equations:
        for ways in equations:
            ready = [w for w in ways if w[0] not in known and all(a in known for a in w[1])]
            if ready:
                x, inputs, value = ready[0]
                known[x] = value(*(known[a] for a in inputs))
                equations.remove(ways)
                break
        else:
            raise AssertionError(problem)
    assert all(value > 0 and value.denominator == 1 for value in known.values()), problem
    return known[QUESTION.fullmatch(asking)[1].lower()]


def run(program: str) -> Fraction:
    """What a program leaves in ``answer``, in exact fractions."""
    known, functions = {}, {}
    for line in ast.parse(program).body:
        if isinstance(line, ast.FunctionDef):
            functions[line.name] = line
        else:
            known[line.targets[0].id] = _value(line.value, known, functions)
    return known["answer"]


def _value(node, known, functions):
    if isinstance(node, ast.Constant):
        return Fraction(node.value)
    if isinstance(node, ast.Name):
        return known[node.id]
    if isinstance(node, ast.UnaryOp):
        return -_value(node.operand, known, functions)
    if isinstance(node, ast.BinOp):
        x, y = (_value(part, known, functions) for part in (node.left, node.right))
        if isinstance(node.op, ast.FloorDiv):
            assert (x / y).denominator == 1, "not exact"
            return x / y
        if isinstance(node.op, ast.Mod):
            return Fraction(int(x) % int(y))
        return {ast.Add: x + y, ast.Sub: x - y, ast.Mult: x * y}[type(node.op)]
    taken = [_value(each, known, functions) for each in node.args]
    if node.func.id == "abs":
        return max(taken[0], -taken[0])
    if node.func.id == "pow":
        base, power, prime = map(int, taken)
        assert power == -1
        (found,) = [k for k in range(prime) if k * base % prime == 1]
        return Fraction(found)
    function = functions[node.func.id]
    names = [each.arg for each in function.args.args]
    return _value(function.body[0].value, dict(zip(names, taken, strict=True)), functions)


ARITY = {"add": 2, "subtract": 2, "multiply": 2, "divide": 2, "compare": 2, "rate": 3, "percent": 2}


def result(skill: str, x: list[int], prime: int) -> int:
    """One step modulo a prime, division by search."""

    def over(a, b):
        return next(k for k in range(prime) if k * b % prime == a % prime)

    if skill == "add":
        return (x[0] + x[1]) % prime
    if skill == "subtract":
        return (x[0] + (prime - 1) * x[1]) % prime
    if skill == "multiply":
        return x[0] * x[1] % prime
    if skill == "divide":
        return over(x[0], x[1])
    if skill == "compare":
        return max(x[:2]) - min(x[:2])
    if skill == "rate":
        return over(x[0], x[1]) * x[2] % prime
    return over(x[0] * x[1], 100)


def worked(signs: str, prime: int) -> tuple[int, list[str]]:
    """The answer to a question in signs, and its solution in signs with every line right."""
    *told, ask, asked = signs.split()
    assert ask in ("?", "?:")
    facts, k = {}, 0
    while k < len(told):
        if "/" in told[k + 1] and int(told[k + 1][-1]) < 2:
            skill = told[k + 1].split("/")[0]
            facts[told[k]] = (skill, told[k + 2 : k + 2 + ARITY[skill]])
            k += 2 + ARITY[skill]
        elif "/" in told[k]:
            skill = told[k].split("/")[0]
            facts[told[k + 1 + ARITY[skill]]] = (skill, told[k + 1 : k + 1 + ARITY[skill]])
            k += 2 + ARITY[skill]
        else:
            facts[told[k]] = int(told[k + 1])
            k += 2
    needed, front = set(), [asked]
    while front:
        name = front.pop()
        needed.add(name)
        if not isinstance(facts[name], int):
            front += [each for each in facts[name][1] if each.isalpha()]
    known = {name: fact for name, fact in facts.items() if isinstance(fact, int)}
    lines = []
    while asked not in known:
        for name, fact in facts.items():
            if name in needed and name not in known:
                values = [known.get(each) if each.isalpha() else int(each) for each in fact[1]]
                if None not in values:
                    known[name] = result(fact[0], values, prime)
                    lines += [name, fact[0], *map(str, values), str(known[name])]
                    break
    return known[asked], lines
