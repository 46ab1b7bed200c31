"""The class `Theorem`: what a theorem's module must define, and how one instance is checked.

A theorem compares a *bound*, computed from a case, with a *value*, measured on a witness that tries
to beat it. Every statement is brought to that form: a floor or ceiling (sense ``lower`` or
``upper``); an exact law, region or threshold (sense ``equal``: formula and simulation must give the
same number); a statement about a probability (the value is a measured failure rate, and `noise` is
how far sampling may move it); a refuted claim (`attain` builds the counterexample).

A module defines the parts of its theorem under fixed names, and `Theorem.of` collects them:

* its docstring: ``**Statement.**``, whose first paragraph is printed everywhere,
  ``**Proof.**``, ``**Implication.**``, ``**Scope.**`` and references;
* ``SENSE`` and ``SOURCE``, and ``STATUS`` and ``USES`` where these differ from the default;
* the functions ``draw``, ``bound`` and ``measure``, and where they are needed ``attain``,
  ``rival``, ``adversary``, ``noise``, ``scale`` and ``condition``, of which the last two may be
  attributes of ``Case``;
* ``ASSUMPTIONS``, hypotheses in words, each with a predicate, and ``CONTROLS``, at least one for
  each hypothesis (`spoil` makes one of an instance that obeys all); an `Assumption` without a
  control gives the reason;
* ``branch``, where a law has branches, such as a maximum: the name of the one that decides a case;
* ``UNSEEN``: the reason, where `verify` would not notice if the law were changed by a tenth;
* ``KIND = "lemma"`` for a result that is used and tested but not listed among the theorems;
  ``PART_OF`` for a corollary with a module of its own: the label of its theorem.

A statement may have clauses: special cases, corollaries and remarks that the same module tests,
each with its own label and verdict. Each is stated in a paragraph of the docstring, and ``CLAUSES``
collects the theorems that `Theorem.clause` returns for them. The parts that a clause changes end
with a suffix of its own, as in ``bound_hard``; it takes all others from its theorem, but where it
measures something else, nothing that constructs or scales its theorem's witnesses.

Theorems of one family, which share case and proof, share a module: its docstring holds a document
for each, with a line of ``=`` between them. The parts of the second one end with a suffix of its
own, as in ``draw_price``, and ``CLAUSES`` lists it too.

``COMPUTE`` lists functions of plain numbers, such as a threshold by the number of hops, which
`loratheory theorems NAME --at` calls.
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
NEXT_DOCUMENT = r"\n={20,}\n"  # between the documents of a family's module
FIRST_SENTENCE = r"(.+?[.])(?=\s[A-Z]|\n\n|\s*\Z)"


class AssumptionError(ValueError):
    """Raised where a theorem is applied to an instance that violates one of its hypotheses."""


@dataclass(frozen=True)
class Assumption(Generic[C, W]):
    """One hypothesis of a theorem, in words and as a predicate.

    Attributes
    ----------
    text : str
        The hypothesis in words. If it ends with "(to attain the bound)", the bound is true without
        this hypothesis, and only its tightness depends on it.
    holds : callable
        Whether the hypothesis is true of a case and a witness.
    unbroken : str
        Why there is no control that violates this hypothesis; empty where there is one.
    """

    text: str
    holds: Callable[[C, W], bool]
    unbroken: str = ""

    def __str__(self) -> str:
        return f"{self.text} (no control: {self.unbroken})" if self.unbroken else self.text

    @property
    def to_attain(self) -> bool:
        """Whether only the tightness of the bound, not the bound, needs this hypothesis."""
        return self.text.endswith("(to attain the bound)")


@dataclass(frozen=True)
class Control(Generic[C, W]):
    """An instance that violates one hypothesis, and for which the conclusion must fail too.

    Attributes
    ----------
    name : str
        In words, how the instance violates the hypothesis.
    breaks : str
        The `Assumption.text` of the hypothesis that is violated.
    example : callable
        Returns the instance: a case and a witness.
    fails : {"holds", "tight"}
        What must fail: the bound itself (``holds``), or only that it is attained (``tight``).
    """

    name: str
    breaks: str
    example: Callable[[], tuple[C, W]]
    fails: Literal["holds", "tight"] = "holds"


def spoil(
    name: str, breaks: str, fine: Callable[[], tuple[C, W]], change: Callable[[W], W]
) -> Control[C, W]:
    """Return a control whose instance is that of `fine`, with its witness changed."""

    def _spoilt() -> tuple[C, W]:
        case, witness = fine()
        return case, change(witness)

    return Control(name, breaks, _spoilt)


@dataclass(frozen=True, repr=False)
class Verdict:
    """The outcome of checking one witness against a theorem's bound.

    Attributes
    ----------
    label : str
        The theorem's label, ``thm:…``.
    bound, value : float
        What the theorem promises and what the witness achieves, in the units of the statement.
    slack : float
        How far the value lies on the allowed side of the bound; negative on the forbidden side.
    room : float
        The largest violation that rounding and sampling can explain.
    condition : float
        Condition number of the matrices inverted on the way; 1 where none is inverted.
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

    def __repr__(self) -> str:
        found = "is violated" if not self.holds else "holds and is tight" if self.tight else "holds"
        return f"<{self.label} {found}: bound {self.bound:.6g}, value {self.value:.6g}>"


# the names of a module's parts; the first ones build witnesses, and give the units to judge them
WITNESSES = ("attain", "rival", "adversary", "scale", "condition", "noise")
FUNCTIONS = ("draw", "bound", "branch", "measure", *WITNESSES)
TEXTS = ("SENSE", "STATUS", "SOURCE", "KIND", "PART_OF", "UNSEEN")
LISTS = ("USES", "ASSUMPTIONS", "CONTROLS", "COMPUTE")


def parts(document: str) -> dict[str, str]:
    """Return the parts of a theorem's document by name.

    Parameters
    ----------
    document : str
        `Theorem.document`, in the markup of docstrings.

    Returns
    -------
    dict
        ``Title``; ``Statement``, its paragraph in plain words; ``Precisely``, the formal statement;
        ``Proof`` and so on, in order; ``References`` last, empty where there are none.

    Examples
    --------
    >>> found = parts(lt.theorems.theorem("two-read-region").document)
    >>> found["Title"], list(found)[1:4]
    ('Two-read region', ['Statement', 'Precisely', 'Proof'])
    """
    body, *references = re.split(r"\nReferences\n-+\n", document)
    opening, *pieces = re.split(r"^\*\*([^*]+)\.\*\*", body, flags=re.MULTILINE)
    found = {"Title": opening.split(":")[0].strip(), "Statement": "", "Precisely": ""}
    # names and texts alternate
    for name, text in zip(pieces[::2], pieces[1::2], strict=True):
        found[name] = text.strip()
    found["Statement"], _, found["Precisely"] = found["Statement"].partition("\n\n")
    return {**found, "References": "".join(references).strip()}


def state(document: str, name: str) -> str:
    """Return the statement of a document in one line; ValueError if it has none."""
    stated = parts(document)["Statement"]
    if not stated:
        message = f"{name}: its docstring has no paragraph that opens with **Statement.**: write it"
        raise ValueError(message)
    return " ".join(stated.split())


def find_document(text: str, title: str, name: str) -> str:
    """Return the document of this title in a module's docstring, or the first; else ValueError."""
    documents = re.split(NEXT_DOCUMENT, text)
    if not title:
        return documents[0]
    for document in documents:
        if parts(document)["Title"].lower() == title.lower():
            return document.strip() + "\n"
    message = f"{name}: its docstring has no document with the title {title!r}: correct one of them"
    raise ValueError(message)


def collect(module: str, suffix: str) -> dict[str, Any]:
    """Return the parts that a module defines under their fixed names followed by this suffix."""
    defined, given = vars(sys.modules[module]), {}
    # parts are found by their fixed names, so that a module needs no list
    for part in (*FUNCTIONS, *TEXTS, *LISTS):
        name = part + (suffix.upper() if part.isupper() else suffix)
        if name in defined:
            given[part.lower()] = defined[name]
    return given


def list_assumptions(given: Any) -> tuple[Assumption[Any, Any], ...]:
    """Return hypotheses that are given as a dict from words to predicates, or as they are."""
    if isinstance(given, dict):
        return tuple(Assumption(text, holds) for text, holds in given.items())
    return tuple(given)


@dataclass(frozen=True, kw_only=True, repr=False)
class Theorem(Generic[C, W]):
    """A theorem, lemma or clause with the functions that check it on concrete instances.

    Attributes
    ----------
    label, statement, source : str
        The label (``thm:…``), the statement in plain words, and who proved it where.
    status : {"proved", "cited", "conjectured", "refuted"}
        Whether it is proved here, proved elsewhere, open, or known to be false.
    document : str
        Statement and proof in full, from the module's docstring.
    module : str
        The full name of the module that states it.
    chapter : str
        The package that contains the module, for example ``merging``.
    sense : {"lower", "upper", "equal"}
        Whether the bound is a lower bound of the value, an upper bound, or equal to it.
    assumptions : tuple of Assumption
        The hypotheses.
    draw : callable
        ``draw(rng, size)`` returns a random case whose largest dimension is about `size`.
    bound, measure : callable
        ``bound(case)`` is the theorem's number; ``measure(case, witness)`` is what the witness
        achieves. They share the case's data and tolerance, and array functions such as norms and
        ranks, but no other code.
    scale, condition, noise : callable
        Functions of the case. A violation below ``SAFETY * condition * scale + noise`` is put
        down to rounding and sampling.
    attain : callable, optional
        ``attain(case)`` builds a witness whose value equals the bound; for a refuted claim, a
        counterexample.
    rival, adversary : callable, optional
        ``rival(case, rng)`` is a random witness, often close to the best one;
        ``adversary(case, rng)`` is what a numerical optimiser finds that shares no code with
        `bound` or `attain`. Both take cases of NumPy arrays.
    controls : tuple of Control
        Instances that violate a hypothesis: at least one for each that has no `unbroken`.
    uses : tuple of str
        Labels of the theorems that the proof uses.
    kind : {"theorem", "lemma", "clause"}
        A lemma is not listed among the theorems; a clause is a part of another's statement.
    part_of : str
        For a clause the label of its theorem; otherwise empty.
    branch : callable
        ``branch(case)`` names the branch of the law that decides the case, as the term of a
        maximum; empty where there is but one.
    unseen : str
        Why `verify` would not notice if the law were changed by a tenth; empty where it would.
    compute : tuple of callable
        Functions of plain numbers that evaluate the law, such as a threshold by number of hops.

    Examples
    --------
    Draw a case, build a witness that attains the bound, and check it:

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
    scale: Callable[[C], float] = lambda _: 1.0
    status: Status = "proved"
    condition: Callable[[C], float] = lambda _: 1.0
    noise: Callable[[C], float] = lambda _: 0.0
    attain: Callable[[C], W] | None = None
    rival: Callable[[C, np.random.Generator], W] | None = None
    adversary: Callable[[C, np.random.Generator], W] | None = None
    controls: tuple[Control[C, W], ...] = ()
    uses: tuple[str, ...] = ()
    module: str = ""
    chapter: str = ""
    kind: Kind = "theorem"
    part_of: str = ""
    branch: Callable[[C], str] = lambda _: ""
    unseen: str = ""
    compute: tuple[Callable[..., Any], ...] = ()

    @classmethod
    def of(cls, name: str, title: str = "", suffix: str = "", **more: Any) -> "Theorem[Any, Any]":
        """Make a theorem of what its module defines, see this module's docstring for the names.

        Parameters
        ----------
        name : str
            The ``__name__`` of its module, such as
            ``loratheory.theorems.composition.routing_reach``.
        title : str
            In a module of several theorems the title of this one's document, up to a colon. By
            default the first document is taken, and the label is made of the module's name.
        suffix : str
            What the names of its parts end with in a module of several theorems: with
            ``_price`` they are ``draw_price``, ``ASSUMPTIONS_PRICE`` and so on.
        **more
            Further attributes, such as a `scale` that is one ``lambda``.

        Returns
        -------
        Theorem
            Its label is ``thm:`` and the title or the module's name, with hyphens.

        Raises
        ------
        TypeError
            If the module lacks a name that every theorem needs.
        ValueError
            If the docstring has no statement.
        """
        *_, chapter, result = name.split(".")
        module = vars(sys.modules[name])
        document = find_document(module["__doc__"] or "", title, name)
        given = collect(name, suffix)
        # a case of the module's first theorem may know its own scale and condition
        for part in ("scale", "condition"):
            if not suffix and hasattr(module.get("Case"), part):
                given[part] = attrgetter(part)
        given |= more
        if "part_of" in given:
            given["kind"], given["uses"] = "clause", (given["part_of"], *given.get("uses", ()))
        return Theorem(
            label="thm:" + (title.lower().replace(" ", "-") or result.replace("_", "-")),
            module=name,
            chapter=chapter,
            document=document,
            statement=state(document, name),
            assumptions=list_assumptions(given.pop("assumptions", ())),
            **given,
        )

    def clause(self, name: str, suffix: str = "", **changes: Any) -> "Theorem[Any, Any]":
        """Return a clause of this theorem: a claim with a label and a verdict of its own.

        Parameters
        ----------
        name : str
            Its name in the docstring, where ``**Corollary (name).**`` opens its statement.
        suffix : str
            What the names of the module's parts end with that differ: with ``_hard`` they are
            ``bound_hard``, ``CONTROLS_HARD`` and so on.
        **changes
            Further attributes that differ.

        Returns
        -------
        Theorem
            A copy with these changes, labelled by `name`; `uses` begins with this theorem.

        Raises
        ------
        ValueError
            If the docstring has no paragraph of that name.
        """
        # a clause opens with Corollary, Remark or Refuted, and its name in parentheses
        stated = [text for key, text in parts(self.document).items() if key.endswith(f" ({name})")]
        if not stated:
            message = f"{self.label}: its docstring has no **Corollary ({name}).**: state it there"
            raise ValueError(message)
        if suffix:
            changes = collect(self.module, suffix) | changes
        # another bound has other branches, and another measure other witnesses and units
        reset = ["branch"] * ("bound" in changes) + [*WITNESSES] * ("measure" in changes)
        changes = {part: getattr(Theorem, part) for part in reset} | changes
        if "assumptions" in changes:
            changes["assumptions"] = list_assumptions(changes["assumptions"])
        text, title = stated[0], f"{name[0].upper()}{name[1:]}"
        return replace(
            self,
            label=f"thm:{name.replace(' ', '-')}",
            statement=" ".join(text.partition("\n\n")[0].split()),
            document=f"{title}: a part of {self.label}.\n\n**Statement.** {text}\n",
            kind="clause",
            part_of=self.label,
            uses=(self.label, *changes.pop("uses", ())),
            unseen=changes.pop("unseen", ""),
            compute=changes.pop("compute", ()),
            **changes,
        )

    @property
    def implication(self) -> str:
        """The practical consequence for someone who merges or routes adapters; may be empty."""
        text = parts(self.document).get("Implication", "")
        found = re.match(FIRST_SENTENCE, text, re.DOTALL)
        return " ".join(found[1].split()) if found else ""

    def __repr__(self) -> str:
        return f"<{self.label}, {self.status}>"

    def check(self, case: C, witness: W) -> Verdict:
        """Compare what `witness` achieves with the bound.

        Parameters
        ----------
        case : C
            What the statement quantifies over first, for example the weights to approximate.
        witness : W
            What tries to beat the bound, for example an adapter.

        Returns
        -------
        Verdict
            Bound, value and slack; no error is raised where the bound is violated.

        Raises
        ------
        AssumptionError
            If a hypothesis of the bound is violated: the theorem then claims nothing.
        """
        for assumption in self.assumptions:
            # what only tightness needs is no reason to refuse
            if not (assumption.to_attain or assumption.holds(case, witness)):
                message = f"{self.label} says nothing here: it needs {assumption.text}"
                raise AssumptionError(message)
        return self.judge(case, witness)

    def judge(self, case: C, witness: W) -> Verdict:
        """Return the verdict without testing the hypotheses, as controls require."""
        bound, value = self.bound(case), self.measure(case, witness)
        # the slack is positive on the allowed side, whatever the sense
        slack = {"lower": value - bound, "upper": bound - value, "equal": -abs(value - bound)}
        condition = self.condition(case)
        # rounding grows with the data and with what is inverted, sampling does not
        room = SAFETY * condition * self.scale(case) + self.noise(case)
        return Verdict(self.label, bound, value, slack[self.sense], room, condition)
