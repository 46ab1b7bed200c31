"""Second routes to the answers of word problems: out of the English, the program, the tokens.

Nothing here looks at the graphs, and no arithmetic is shared with what is tested: the English is
read as equations between who has what, solved in exact fractions one after another.
"""

import re
from fractions import Fraction

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
ORDINALS = ["half", "third", "quarter", "fifth", "sixth", "seventh", "eighth", "ninth"]
TIMES = {"twice": 2} | {f"{word} times": k for k, word in enumerate(WORDS)}
PARTS = {"half": Fraction(1, 2)} | {
    f"{'an' if word == 'eighth' else 'a'} {word}": Fraction(1, k)
    for k, word in enumerate(ORDINALS, start=2)
}


def _linear(x, a, factor, more=0):
    """That x is a · factor + more, either way."""
    return [
        (x, (a,), lambda p: p * factor + more),
        (a, (x,), lambda p: (p - more) / factor),
    ]


def _total(x, a, b):
    """That x is a + b, either way."""
    less = lambda p, q: p - q  # noqa: E731
    return [(x, (a, b), lambda p, q: p + q), (a, (x, b), less), (b, (x, a), less)]


MEANINGS = {
    "x = n": lambda x, n: [(x, (), lambda: Fraction(n))],
    "x = a + n": lambda x, a, n: _linear(x, a, 1, int(n)),
    "x = a - n": lambda x, a, n: _linear(x, a, 1, -int(n)),
    "x = a + b": _total,
    "x = a - b": lambda x, a, b: _total(a, x, b),
    "x = |a - b|": lambda x, a, b: [(x, (a, b), lambda p, q: max(p, q) - min(p, q))],
    "x = a * k": lambda x, a, k: _linear(x, a, Fraction(TIMES.get(k) or PARTS[k])),
    "x = a * n": lambda x, a, n: _linear(x, a, Fraction(int(n))),
    "x = a / n": lambda x, a, n: _linear(x, a, Fraction(1, int(n))),
    "x = a * m / n": lambda x, a, n, m: _linear(x, a, Fraction(int(m), int(n))),
    "x = a * n / 100": lambda x, a, n: _linear(x, a, Fraction(int(n), 100)),
}
SENTENCES = {
    "x = n": """
        X has (?:exactly )?N things
        The number of things that X has is N
        Count the things that X has, and you get N""",
    "x = a + n": """
        X has N more things than A
        A has N fewer things than X
        X has as many things as A, plus N
        With N more things, A would has as many as X""",
    "x = a - n": """
        X has as many things as A, minus N
        With N fewer things, A would has as many as X""",
    "x = a + b": """
        X has as many things as A and B together
        Together, A and B has as many things as X
        X has the same number of things as A and B combined
        The number of things that X has is the sum of the numbers that A and B has""",
    "x = a - b": """
        X has as many things as would be left if A lost as many as B has
        Subtract the number of things that B has from the number that A has, \
and you get the number that X has""",
    "x = |a - b|": """
        The number of things that X has is the difference between the numbers that A and B has
        Either A or B has more things than the other, by as many as X has
        The numbers of things that A and B has differ by as many as X has
        Compare A with B: the one with more things is ahead by as many as X has""",
    "x = a * k": "X has K as many things as A",
    "x = a * n": r"""
        For every (?!\d)things that A has, X has N
        The number of things that X has is N times the number that A has""",
    "x = a / n": """
        If the things that A has were split into N equal groups, \
each group would have as many as X has
        The number of things that X has is the number that A has, divided by N""",
    "x = a * m / n": """
        For every N things that A has, X has M
        X has M things for every N that A has
        The numbers of things that A and X has are in the ratio N to M
        At a steady rate, counting the things that A has takes N minutes, \
and counting those that X has takes M minutes?""",
    "x = a * n / 100": """
        X has N percent of the number of things that A has
        X has N% as many things as A
        The number of things that X has is N% of the number that A has
        Take N percent of the things that A has, and you get as many as X has""",
}
"""What is said of x, an owner, by each equation; ``has`` and ``things`` stand for any such word."""

OWNER = r"[Tt]he \w+ box|[A-Z]\w+ Farm|[A-Z]\w+"
SIGNS = {"has": r"(?:has|have|holds|hold|keeps|keep)", "things": r"\w+"}
SIGNS |= {name: rf"(?P<{name.lower()}>{OWNER})" for name in "XAB"}
SIGNS |= {name: rf"(?P<{name.lower()}>\d+)" for name in "NM"}
SIGNS["K"] = f"(?P<k>{'|'.join([*TIMES, *PARTS])})"


def _pattern(sentence):
    return re.compile(re.sub(r"\b(has|things|[XABNMK])\b", lambda m: SIGNS[m[1]], sentence.strip()))


PATTERNS = [
    (_pattern(sentence), MEANINGS[equation])
    for equation, sentences in SENTENCES.items()
    for sentence in sentences.strip().split("\n")
]
QUESTION = _pattern(
    "(?:How many things does|What is the number of things that|Find the number of things that"
    "|Work out how many things) X has[.?]"
)


def equation(sentence: str) -> list:
    """What a sentence says: who can be reckoned from whom, and how. It has one meaning only."""
    found = [(pattern.fullmatch(sentence), meaning) for pattern, meaning in PATTERNS]
    ((match, meaning),) = [(match, meaning) for match, meaning in found if match]
    return meaning(**{name: word.lower() for name, word in match.groupdict().items()})


def read(problem: str) -> Fraction:
    """The answer to a problem in English."""
    *sentences, asking = re.split(r"(?<=[.?]) ", problem)
    equations = [equation(sentence[:-1]) for sentence in sentences]
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
    return known[QUESTION.fullmatch(asking)["x"].lower()]


def run(program: str) -> Fraction:
    """What a program leaves in ``answer``; in whole numbers all divisions are to be exact."""
    exact, names = re.sub(r"\b\d+\b", r"F(\g<0>)", program.replace("//", "/")), {}
    exec(program if "%" in program else exact, {"F": Fraction}, names)
    return Fraction(names["answer"])


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
    *given, ask, asked = signs.split()
    assert ask in ("?", "?:")
    facts, k = {}, 0
    while k < len(given):
        if "/" in given[k + 1] and int(given[k + 1][-1]) < 2:
            skill = given[k + 1].split("/")[0]
            facts[given[k]] = (skill, given[k + 2 : k + 2 + ARITY[skill]])
            k += 2 + ARITY[skill]
        elif "/" in given[k]:
            skill = given[k].split("/")[0]
            facts[given[k + 1 + ARITY[skill]]] = (skill, given[k + 1 : k + 1 + ARITY[skill]])
            k += 2 + ARITY[skill]
        else:
            facts[given[k]] = int(given[k + 1])
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
