"""When merged edits answer a K-hop question: `threshold`, `window` and the closed-form margins.

Here the .618 of two hops is computed: `threshold` solves :math:`c^K + c = 1` for the coefficient
above which merged edits compose, and `window` says between which margins of the single facts they
are each answered but do not compose. `two_read_region` states and proves the law; its relatives
use the same prompts.

A prompt asks for K facts one after another, and each of them has been edited. The closed forms
depend on what the base held before, the prompt's `pattern`:

* ``overwrite``: an old fact at each hop; the entities that old answers lead to keep their facts;
* ``overwrite both``: those entities' facts were edited as well;
* ``new subject``: the base held no first fact;
* ``new facts``: the base held no old facts at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
from scipy.optimize import brentq

from loratheory.lowrank import Array
from loratheory.shapes import Float
from loratheory.theorems._arrays import eye
from loratheory.theorems._theorem import Assumption
from loratheory.theorems.merging.averaging_survival import Rule, coefficient
from loratheory.toy import Chain, Hop, branching

Pattern = Literal["overwrite", "overwrite both", "new subject", "new facts"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)
OVER_OLD: tuple[Pattern, ...] = ("overwrite", "overwrite both")


@dataclass(frozen=True, eq=False)
class Prompt:
    """A K-hop question, every fact of which is edited, in a memory of width d.

    Column 0 belongs to the question's own path: ``keys[0][:, 0]`` is the first key. The columns of
    ``keys[j]`` are the keys of the entities that hop j may meet, and those of ``values[j]`` the
    states that hop j writes for the next one; `coefficients` has one number a hop.
    """

    pattern: Pattern
    coefficients: tuple[float, ...]
    keys: tuple[Float[Array, "d _"], ...]
    values: tuple[Float[Array, "d _"], ...]

    @property
    def hops(self) -> list[Hop]:
        """The old and new facts of each hop; the last hop writes one-hot tokens."""
        last = self.keys[-1]
        # one token for each entity, and one for each old answer: of all entities, or of one
        tokens = last.shape[1] + (last.shape[1] if self.pattern == "overwrite both" else 1)
        held = [self.pattern in OVER_OLD, *[self.pattern != "new facts"] * len(self.values)]
        each = zip(self.keys, (*self.values, eye(last, tokens)), held, strict=True)
        return [branching(keys, frame, known=old) for keys, frame, old in each]


def of_prompt(
    assumptions: Sequence[Assumption[Prompt, Chain]],
    model: Callable[[Any], Chain] = lambda witness: witness,
) -> tuple[Assumption[Any, Any], ...]:
    """Return `assumptions` about prompts as assumptions about cases with a field `prompt`.

    `model` extracts the chain to be checked from a witness; by default the witness is the chain.
    """

    def _holds(part: Assumption[Prompt, Chain], case: Any, witness: Any) -> bool:
        return part.holds(case.prompt, model(witness))

    return tuple(replace(part, holds=partial(_holds, part)) for part in assumptions)


def shapes(rng: np.random.Generator) -> tuple[Pattern, list[int]]:
    """Return a random pattern, and the number of entities that each of one to four hops may meet.

    Each hop adds the entity to which an old answer leads. Under ``overwrite both`` the number
    doubles instead, since every such entity is edited and has an old answer of its own.
    """
    pattern = PATTERNS[int(rng.integers(4))]
    both = pattern == "overwrite both"
    hops, first = int(rng.integers(1, 4 if both else 5)), int(rng.integers(2, 4))
    return pattern, [first * 2**j if both else first + j for j in range(hops)]


def two_hops(draw: Callable[[], Prompt], patterns: Sequence[Pattern] = PATTERNS) -> Prompt:
    """Call `draw` until it returns a prompt of two hops in one of these patterns."""
    prompt = draw()
    while len(prompt.keys) != 2 or prompt.pattern not in patterns:
        prompt = draw()
    return prompt


def small(coefficients: tuple[float, ...] = (1.0, 1.0)) -> Prompt:
    """Return a fixed two-hop prompt of width 6 over old facts, from which controls are made."""
    rng = np.random.default_rng(0)
    keys, more, values = (rng.standard_normal((6, n)) for n in (2, 3, 3))
    return Prompt("overwrite", coefficients, (keys, more), (values,))


def logits(coefficients: Sequence[float], pattern: Pattern = "overwrite") -> list[float]:
    """Return the logits of all final tokens.

    The first is that of the right answer. Next come zeros, for tokens to which no path leads. The
    rest belong to answers to which paths with at least one old fact lead.
    """
    main, others = 1.0, [0.0]  # the weight of the edited path so far, and of paths that left it
    for hop, c in enumerate(coefficients):
        held = pattern != "new facts" and not (pattern == "new subject" and hop == 0)
        old = 1 - c if held else 0.0  # what the edit leaves of the old value
        if pattern == "overwrite both":  # paths that left branch again at every later hop
            others = [weight * part for weight in others for part in (c, 1 - c)]
        others.append(main * old)
        main *= c
    return [main, *others]


def margin(coefficients: Sequence[float], pattern: Pattern = "overwrite") -> float:
    """Return the right answer's logit less the largest other one; the answer wins above 0.

    Examples
    --------
    At .55 both facts survive, since each needs more than ½; their composition is lost.

    >>> round(margin((0.55, 0.55)), 4), round(margin((0.65, 0.65)), 4)
    (-0.1475, 0.0725)
    """
    target, *others = logits(coefficients, pattern)
    return target - max(others)


def threshold(hops: int, pattern: Pattern = "overwrite") -> float:
    r"""Return the common coefficient above which a question of K edited hops gets the new answer.

    It is the root of :math:`c^K + c = 1` for ``overwrite``, that with K - 1 in place of K for ``new
    subject``, 1/2 for ``overwrite both`` and 0 for ``new facts``. ValueError if `hops` is below 1.

    Examples
    --------
    >>> round(threshold(hops=2), 3), threshold(hops=2, pattern="new facts")
    (0.618, 0.0)
    """
    if hops < 1:
        message = f"a question of {hops} hops has no answer: give at least 1"
        raise ValueError(message)
    if pattern in ("overwrite both", "new facts"):
        return 0.5 if pattern == "overwrite both" else 0.0
    length = hops - (pattern == "new subject")  # a new first fact has no old path to outdo
    return float(brentq(lambda c: c**length + c - 1, 0, 1, xtol=1e-300, rtol=2.0**-50))


def strength_needed(
    hops: int, adapters: int, pattern: Pattern = "overwrite", rule: Rule = "mean"
) -> float:
    """Return the strength that all edits must exceed for a merge of them to answer K hops.

    An edit of strength 1 replaces the old fact exactly; `rule` sets the merge's coefficients.

    Examples
    --------
    >>> round(strength_needed(hops=2, adapters=2), 3)
    1.236
    """
    return threshold(hops, pattern) / coefficient(adapters, rule)


def window(hops: int, adapters: int, pattern: Pattern = "overwrite") -> tuple[float, float]:
    r"""Return between which margins edits survive the mean of adapters but do not compose.

    A margin is that of a fact with its adapter alone, in units of the deficit before the edit; both
    ends are equal where there is no window. Strength :math:`s` gives the margin :math:`2s - 1`, so
    two hops and two adapters give :math:`(1, 2\sqrt5 - 3)` for ``overwrite``.

    Examples
    --------
    >>> [round(end, 3) for end in window(hops=2, adapters=2)]
    [1.0, 1.472]
    """
    low, high = strength_needed(1, adapters), strength_needed(hops, adapters, pattern)
    return 2 * low - 1, 2 * max(low, high) - 1
