"""Second routes to the answers of word problems: out of the English, and out of the tokens.

Nothing here looks at arrays, and no arithmetic is shared with what is tested: each sentence is read
as an equation ``x = a * factor + more`` between who has what, solved in exact fractions.
"""

import re
from fractions import Fraction

WORDS = ["two", "three", "four", "five", "six", "seven", "eight", "nine"]
ORDINALS = ["half", "third", "quarter", "fifth", "sixth", "seventh", "eighth", "ninth"]
TIMES = {"twice": 2} | {f"{word} times": k for k, word in enumerate(WORDS, start=2)}
PARTS = {
    {"half": "half", "eighth": "an eighth"}.get(word, f"a {word}"): Fraction(1, k)
    for k, word in enumerate(ORDINALS, start=2)
}
# Factor and summand of each equation, of the number or the words in its sentence.
MEANINGS = {
    "n": lambda n: (0, Fraction(n)),
    "a + n": lambda n: (1, int(n)),
    "a - n": lambda n: (1, -int(n)),
    "a * k": lambda k: (Fraction(TIMES.get(k) or PARTS[k]), 0),
    "a * n": lambda n: (Fraction(n), 0),
    "a / n": lambda n: (Fraction(1, int(n)), 0),
    "a * n / 100": lambda n: (Fraction(int(n), 100), 0),
}
SENTENCES = {
    "n": """
        X has (?:exactly )?N things
        The number of things that X has is N
        Count the things that X has, and you get N""",
    "a + n": """
        X has N more things than A
        X has as many things as A, plus N
        With N more things, A would has as many as X""",
    "a - n": """
        X has N fewer things than A
        X has as many things as A, minus N
        With N fewer things, A would has as many as X""",
    "a * k": "X has K as many things as A",
    "a * n": r"""
        For every (?!\d)things that A has, X has N
        The number of things that X has is N times the number that A has""",
    "a / n": """
        If the things that A has were split into N equal groups, \
each group would have as many as X has
        The number of things that X has is the number that A has, divided by N""",
    "a * n / 100": """
        X has N percent of the number of things that A has
        X has N% as many things as A
        The number of things that X has is N% of the number that A has
        Take N percent of the things that A has, and you get as many as X has""",
}
"""What is said of x, an owner, by each equation; ``has`` and ``things`` stand for any such word."""

OWNER = r"[Tt]he \w+ box|[A-Z]\w+ Farm|[A-Z]\w+"
SIGNS = {"has": r"(?:has|have|holds|hold|keeps|keep)", "things": r"\w+"}
SIGNS |= {name: rf"(?P<{name.lower()}>{OWNER})" for name in "XA"}
SIGNS |= {"N": r"(?P<n>\d+)", "K": f"(?P<k>{'|'.join([*TIMES, *PARTS])})"}


def _pattern(sentence):
    return re.compile(re.sub(r"\b(has|things|[XANK])\b", lambda m: SIGNS[m[1]], sentence.strip()))


PATTERNS = [
    (_pattern(sentence), MEANINGS[equation])
    for equation, sentences in SENTENCES.items()
    for sentence in sentences.strip().split("\n")
]
QUESTION = _pattern(
    "(?:How many things does|What is the number of things that|Find the number of things that"
    "|Work out how many things) X has[.?]"
)


def equation(sentence: str) -> tuple:
    """Who has what by a sentence: x, a if there is one, factor and summand; of one meaning only."""
    found = [(pattern.fullmatch(sentence), meaning) for pattern, meaning in PATTERNS]
    ((words, meaning),) = [(match.groupdict(), meaning) for match, meaning in found if match]
    x, a = words.pop("x").lower(), words.pop("a", "nobody").lower()
    return (x, a, *meaning(**words))


def read(problem: str) -> Fraction:
    """The answer to a problem in English."""
    *sentences, asking = re.split(r"(?<=[.?]) ", problem)
    left, known = [equation(sentence[:-1]) for sentence in sentences], {"nobody": Fraction(0)}
    while left:
        ready = next(one for one in left if one[0] in known or one[1] in known)
        x, a, factor, more = ready
        assert not (x in known and a in known), problem
        if a in known:
            known[x] = known[a] * factor + more
        else:
            known[a] = (known[x] - more) / factor
        left.remove(ready)
    del known["nobody"]
    assert all(value > 0 and value.denominator == 1 for value in known.values()), problem
    return known[QUESTION.fullmatch(asking)["x"].lower()]


def result(skill: str, x: int, y: int, prime: int) -> int:
    """One step modulo a prime, division by search."""

    def over(a, b):
        return next(k for k in range(prime) if k * b % prime == a % prime)

    found = {"add": x + y, "subtract": x - y, "multiply": x * y}
    if skill in found:
        return found[skill] % prime
    return over(x, y) if skill == "divide" else over(x * y, 100)


def worked(signs: str, prime: int) -> tuple[int, list[str]]:
    """The answer to a question in signs, and its solution in signs with every line right."""
    *given, ask, asked = signs.split()
    assert ask in ("?", "?:")
    facts = {}
    while given:
        if "/" in given[0]:  # word, the quantity before, number, name
            word, before, number, name, *given = given
        elif "/" in given[1]:
            name, word, before, number, *given = given
        else:
            name, number, *given = given
            word, before = "", None
        facts[name] = (word.split("/")[0], before, int(number))
    chain = [asked]
    while facts[chain[-1]][1]:
        chain.append(facts[chain[-1]][1])
    value, lines = facts[chain[-1]][2], []
    for name in chain[-2::-1]:
        skill, _, number = facts[name]
        lines += [name, skill, str(value), str(number)]
        value = result(skill, value, number, prime)
        lines.append(str(value))
    return value, lines
