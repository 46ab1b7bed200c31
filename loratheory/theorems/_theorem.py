"""What every theorem module hands over, and the one way to check it.

A theorem compares a *bound*, computed from a case, with a *value*, measured on a witness that tries
to beat it. Every kind of statement is brought to that form: a floor or ceiling (sense ``lower`` or
``upper``); an exact law, region or threshold (sense ``equal``: the formula and the simulation give
one number); a statement with probability (the value is a failure rate, `noise` its sampling
allowance); a refuted claim (`attain` is the counterexample that breaks it).

A module says what its theorem is by its own names, and `Theorem.of` collects them:

* its docstring: ``**Statement.**``, whose first paragraph is the sentence that is printed
  everywhere, ``**Proof.**``, ``**What it does not say.**`` and references;
* ``SENSE``, ``SOURCE``, and where they are not the default ``STATUS`` and ``USES``;
* ``draw``, ``bound``, ``measure``, and where there are such ``attain``, ``rival``, ``adversary``,
  ``scale``, ``condition`` and ``noise`` (the first two also as attributes of its ``Case``);
* ``ASSUMPTIONS`` (each in words, with its predicate) and ``CONTROLS``, at least one for each; an
  `Assumption` that nothing breaks says why;
* ``UNSEEN``, where a run does not see a change of its law by a tenth: why;
* ``KIND``, where it is a lemma: used and tested, but not listed among the theorems; ``PART_OF``,
  where it is a corollary that fills a module of its own.

A statement may have clauses, each with a label and a verdict of its own: special cases, corollaries
and remarks that the same module tests. The docstring says each in a paragraph of its own, and
``CLAUSES`` collects what `Theorem.clause` makes of them: all that a clause does not change, it has
from its theorem.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Generic, Literal, TypeVar

import numpy as np

C = TypeVar("C")  # the case: what the statement quantifies over first
W = TypeVar("W")  # the witness: the adapter, merge or router that tries to beat the bound

SAFETY = 2.0**12 * 2.0**-52  # rounding room, relative to the case's own scale

Sense = Literal["lower", "upper", "equal"]
Status = Literal["proved", "cited", "conjectured", "refuted"]
Kind = Literal["theorem", "lemma", "clause"]
CLAUSE = r"^\*\*(?:Corollary|Remark|Refuted) \((.+?)\)\.\*\*\s+(.+?)(?=^\*\*[A-Z]|^References$|\Z)"
TELLS = r"^\*\*What it tells someone who merges adapters\.\*\*\s+(.+?[.])(?=\s[A-Z]|\n\n|\s*\Z)"


class AssumptionError(ValueError):
    """A theorem was applied outside its hypotheses."""


@dataclass(frozen=True)
class Assumption(Generic[C, W]):
    """One hypothesis, in words and as a predicate; `unbroken` says why it has no control.

    Words that end with "(to attain the bound)" say that the bound itself stands without it.
    """

    text: str
    holds: Callable[[C, W], bool]
    unbroken: str = ""

    def __str__(self) -> str:
        return f"{self.text} (no control: {self.unbroken})" if self.unbroken else self.text

    @property
    def to_attain(self) -> bool:
        """Whether only meeting the bound rests on it."""
        return self.text.endswith("(to attain the bound)")


@dataclass(frozen=True)
class Control(Generic[C, W]):
    """An instance that breaks one hypothesis, so that the conclusion must break too.

    Attributes
    ----------
    name : str
        What is done to the instance, in words.
    breaks : str
        The text of the assumption that fails.
    example : callable
        Builds the case and the witness.
    fails : {"holds", "tight"}
        What is lost: the bound itself, or only that it can be met.
    """

    name: str
    breaks: str
    example: Callable[[], tuple[C, W]]
    fails: Literal["holds", "tight"] = "holds"


@dataclass(frozen=True)
class Verdict:
    """What one check found.

    Attributes
    ----------
    bound, value : float
        What the theorem says and what the witness achieves, in the statement's own units.
    slack : float
        How far inside the bound the value lies; negative outside.
    room : float
        What rounding and sampling may account for.
    condition : float
        Condition number of the inverses taken on the way, 1 where there is none.
    """

    label: str
    bound: float
    value: float
    slack: float
    room: float
    condition: float = 1.0

    @property
    def holds(self) -> bool:
        """Whether the bound is respected, up to rounding and sampling."""
        return self.slack >= -self.room

    @property
    def tight(self) -> bool:
        """Whether the bound is met, up to rounding and sampling."""
        return abs(self.slack) <= self.room


FUNCTIONS = (
    *("draw", "bound", "measure", "attain", "rival", "adversary"),
    *("scale", "condition", "noise"),
)
DATA = ("SENSE", "STATUS", "SOURCE", "USES", "CONTROLS", "KIND", "PART_OF", "UNSEEN")


def _nothing(_: object) -> float:
    return 0.0


def _one(_: object) -> float:
    return 1.0


@dataclass(frozen=True, kw_only=True, repr=False)
class Theorem(Generic[C, W]):
    """A statement that can be evaluated, attacked and attained.

    Attributes
    ----------
    label, statement, status, source
        Name (``thm:…``), one sentence, standing, and where the proof or the citation is.
    document : str
        The module's docstring: statement and proof in full.
    chapter : str
        The package that the module is in.
    sense : {"lower", "upper", "equal"}
        Which side of the bound is forbidden.
    draw : callable
        ``draw(rng, size)``: a random case whose largest dimension is about `size`.
    bound, measure : callable
        The two numbers, by routes that share no code.
    scale, condition, noise : callable
        Rounding room is ``SAFETY * condition * scale``; `noise` is added for sampling.
    attain : callable, optional
        The witness that meets the bound (for a refuted claim: the one that breaks it).
    rival, adversary : callable, optional
        A random competitor, often right next to the optimum; and an optimiser that shares no
        code with `bound` or `attain`. Both get the case in NumPy.
    controls : tuple of Control
        At least one for each hypothesis that does not say why nothing breaks it.
    uses : tuple of str
        Labels of the theorems it rests on.
    kind : {"theorem", "lemma", "clause"}
        What it is to a reader; a clause is a part of another theorem's statement.
    part_of : str
        The label of the theorem whose clause it is; empty for others.
    unseen : str
        Why `verify` does not notice a law changed by a tenth; empty where it does.

    Examples
    --------
    Draw a case, build what meets the bound, and judge it:

    >>> floor = lt.theorems.theorem("merge-floor")
    >>> case = floor.draw(np.random.default_rng(0), 6)
    >>> verdict = floor.check(case, floor.attain(case))
    >>> verdict.holds, verdict.tight
    (True, True)
    """

    label: str
    statement: str
    sense: Sense
    source: str
    document: str
    assumptions: tuple[Assumption[C, W], ...]
    draw: Callable[[np.random.Generator, int], C]
    bound: Callable[[C], float]
    measure: Callable[[C, W], float]
    scale: Callable[[C], float] = _one
    status: Status = "proved"
    condition: Callable[[C], float] = _one
    noise: Callable[[C], float] = _nothing
    attain: Callable[[C], W] | None = None
    rival: Callable[[C, np.random.Generator], W] | None = None
    adversary: Callable[[C, np.random.Generator], W] | None = None
    controls: tuple[Control[C, W], ...] = ()
    uses: tuple[str, ...] = ()
    chapter: str = ""
    kind: Kind = "theorem"
    part_of: str = ""
    unseen: str = ""

    @classmethod
    def of(cls, name: str, **more: Any) -> "Theorem[Any, Any]":
        """Collect a theorem from the names that its module gives to its parts.

        Parameters
        ----------
        name : str
            The module's ``__name__``, for example ``loratheory.theorems.merging.dare_variance``.
        **more
            Parts without a name of their own there, such as a `scale` of one expression.

        Returns
        -------
        Theorem
            Labelled by the module's own name, here ``thm:dare-variance``.

        Raises
        ------
        TypeError
            If a part that every theorem has is missing.
        ValueError
            If the docstring has no statement.
        """
        *_, chapter, result = name.split(".")
        module = vars(sys.modules[name])
        document = module["__doc__"] or ""
        stated = re.search(r"^\*\*Statement\.\*\*\s+(.+?)\n\n", document, re.MULTILINE | re.DOTALL)
        if stated is None:
            message = f"{name}: its docstring has no paragraph that opens with **Statement.**"
            raise ValueError(message)
        given = {part: module[part] for part in FUNCTIONS if part in module}
        given |= {part.lower(): module[part] for part in DATA if part in module}
        known = [part for part in ("scale", "condition") if hasattr(module.get("Case"), part)]
        given |= {part: attrgetter(part) for part in known} | more
        if "part_of" in given:
            given |= {"kind": "clause", "uses": (given["part_of"], *given.get("uses", ()))}
        assumptions = module.get("ASSUMPTIONS", {})
        if isinstance(assumptions, dict):
            assumptions = tuple(Assumption(text, holds) for text, holds in assumptions.items())
        return Theorem(
            label="thm:" + result.replace("_", "-"),
            chapter=chapter,
            document=document,
            statement=" ".join(stated[1].split()),
            assumptions=assumptions,
            **given,
        )

    def clause(self, name: str, **changes: Any) -> "Theorem[Any, Any]":
        """Return a clause of this theorem: a claim with a label and a verdict of its own.

        Parameters
        ----------
        name : str
            As in the docstring, which says ``**Corollary (name).**`` and the clause's statement.
        **changes
            Attributes in which the clause differs; `assumptions` may be a dict of predicates.

        Returns
        -------
        Theorem
            Labelled by its name; it rests on this theorem and on what `uses` adds.

        Raises
        ------
        ValueError
            If the docstring does not state it.
        """
        stated = dict(re.findall(CLAUSE, self.document, re.MULTILINE | re.DOTALL))
        if name not in stated:
            message = f"{self.label}: its docstring has no **Corollary ({name}).**"
            raise ValueError(message)
        if isinstance(assumptions := changes.get("assumptions"), dict):
            changes["assumptions"] = tuple(Assumption(*pair) for pair in assumptions.items())
        text, title = stated[name].strip(), f"{name[0].upper()}{name[1:]}"
        return replace(
            self,
            label=f"thm:{name.replace(' ', '-')}",
            statement=" ".join(text.partition("\n\n")[0].split()),
            document=f"{title}: a part of {self.label}.\n\n**Statement.** {text}\n",
            kind="clause",
            part_of=self.label,
            uses=(self.label, *changes.pop("uses", ())),
            unseen=changes.pop("unseen", ""),
            **changes,
        )

    @property
    def tells(self) -> str:
        """What it tells someone who merges or routes adapters, in one sentence; may be empty."""
        found = re.search(TELLS, self.document, re.MULTILINE | re.DOTALL)
        return " ".join(found[1].split()) if found else ""

    def __repr__(self) -> str:
        return f"<{self.label}, {self.status}>"

    def check(self, case: C, witness: W) -> Verdict:
        """Compare what `witness` achieves with the bound.

        Parameters
        ----------
        case : C
            The instance.
        witness : W
            The candidate.

        Returns
        -------
        Verdict
            Bound, value and slack; nothing is raised when the bound is broken.

        Raises
        ------
        AssumptionError
            If a hypothesis of the bound fails, since the statement is then silent.
        """
        for assumption in self.assumptions:
            if not (assumption.to_attain or assumption.holds(case, witness)):
                message = f"{self.label} says nothing here: it needs {assumption.text}"
                raise AssumptionError(message)
        return self.judge(case, witness)

    def judge(self, case: C, witness: W) -> Verdict:
        """Compare without asking for the hypotheses: what a control is for."""
        bound, value = self.bound(case), self.measure(case, witness)
        slack = {"lower": value - bound, "upper": bound - value, "equal": -abs(value - bound)}
        condition = self.condition(case)
        room = SAFETY * condition * self.scale(case) + self.noise(case)
        return Verdict(self.label, bound, value, slack[self.sense], room, condition)
