r"""Write the paper's appendix as LaTeX, with all statements and proofs of the modules' docstrings.

A theorem's docstring is a title line, parts that open with ``**Statement.**``, ``**Proof.**`` and
the like, and references. The statement is one paragraph in words and then the formal text.
"""

import re
from collections.abc import Sequence
from importlib import import_module
from itertools import groupby

from loratheory.theorems import LABELS, Theorem, load_cited, parts, theorem

TITLES = {"citedtheorem": "Cited theorem", "refuted": "Refuted claim"}
"""How statements are headed; others by the name of their environment."""
HEADER = "% Written by `python -m paper`; edit the modules' docstrings instead.\n"

# Letters and signs with their names in TeX, and signs of mathematics.
NAMES = """
    α alpha  β beta  γ gamma  δ delta  ε varepsilon  η eta  θ theta  κ kappa  λ lambda  π pi  ρ rho
    σ sigma  τ tau  φ varphi  Δ Delta  Φ Phi  Σ sum  ∏ prod  √ surd  · cdot  × times  ± pm  ≤ le
    ≥ ge  → to  ‖ |
"""
MATHS = {"−": "-", "⁺": "^+", "²": "^2", "₀": "_0", "₁": "_1", "₂": "_2", "<": "<", ">": ">"}
MATHS |= {sign: rf"\{name}" for sign, name in zip(*[iter(NAMES.split())] * 2, strict=True)}
LETTERS = str.maketrans(
    {sign: f"${name}$" for sign, name in MATHS.items()}
    | {sign: rf"\{sign}" for sign in "&%#_$"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"½": r"$\tfrac12$", "ᵀ": r"$^\top$", "…": r"\dots{}"}
)


ROLE, CODE = r":math:`[^`]*`", r"``[^`]*``|`[^`]*`"
SCRIPT = r"([_^])(\{[^}]*\}|\((?:[^()]|\([^()]*\))*\)|−?[A-Za-z0-9]+)"
BLOCK = r"\.\. math::[^\n]*(?:\n {4}[^\n]*|\n *(?=\n))*"  # up to the next line that is not indented


def chapter(name: str) -> tuple[str, str, str]:
    """Return a chapter's title, its subject in one line, and its introduction."""
    document = import_module(f"loratheory.theorems.{name}").__doc__ or ""
    opening, _, introduction = document.strip().partition("\n\n")
    title, _, subject = opening.partition(": ")
    return title, subject, introduction


def environment_of(theorem: Theorem) -> str:  # type: ignore[type-arg]
    """Return the name of a theorem's LaTeX environment."""
    if theorem.status == "proved":
        return {"clause": "corollary", "lemma": "lemma"}.get(theorem.kind, "theorem")
    return {"cited": "citedtheorem", "conjectured": "conjecture"}.get(theorem.status, "refuted")


def environment(theorem: Theorem) -> str:  # type: ignore[type-arg]
    """Return a theorem as LaTeX: the labelled statement, its proof, its limits and its sources."""
    found, kind = parts(theorem.document), environment_of(theorem)
    head = rf"\begin{{{kind}}}[{latex(found.pop('Title'))}]\label{{{theorem.label}}}"
    statement = [latex(scripts(found.pop("Statement"))), "", linked(found.pop("Precisely"))]
    lines = [head, *statement, rf"\end{{{kind}}}", rf"\provenance{{{latex(theorem.source)}}}"]
    # The references follow all other parts.
    references = found.pop("References")
    for name, text in found.items():
        if name.startswith(("Corollary (", "Remark (", "Refuted (")):
            continue  # these parts are separate environments
        opening = r"\begin{proof}" if name == "Proof" else rf"\paragraph{{{latex(name)}.}}"
        closing = [r"\end{proof}"] if name == "Proof" else []
        lines += [opening, linked(text.replace(r":math:`\square`", "").rstrip()), *closing]
    if references:
        lines += [r"\paragraph{References.}", linked(references)]
    return "\n".join(lines) + "\n"


def appendix(theorems: Sequence[Theorem]) -> str:  # type: ignore[type-arg]
    """Return the appendix as LaTeX: a section per chapter, then the cited results."""
    proofs = []
    for name, results in groupby(theorems, key=lambda theorem: theorem.chapter):
        title, _, introduction = chapter(name)
        proofs.append(rf"\subsection{{{latex(title)}}}" + f"\n{linked(introduction)}\n")
        proofs += list(map(environment, results))
    proofs.append(r"\section{Known results that the package does not test}")
    for cited in load_cited():
        proofs.append(
            rf"\paragraph{{{latex(cited.name)}.}} {linked(cited.statement)} "
            rf"\emph{{Source:}} {latex(cited.source)}. "
            rf"\emph{{Why it is not tested:}} {linked(cited.reason)}"
        )
    return "\n".join([HEADER, *proofs, ""])


def linked(text: str) -> str:
    """Return text as LaTeX in which each theorem's label is a reference by name and number."""
    displayed = re.sub(r"\n\s*\n(?=\\\[)", "\n", latex(text))  # a formula belongs to its sentence
    return re.sub(r"\\texttt\{(thm:[a-z-]+)\}", _reference, displayed)


def _reference(found: re.Match[str]) -> str:
    # Predictions stay as they were written, and may name results that have gone since.
    if found[1] not in LABELS:
        return found[0]
    kind = environment_of(theorem(found[1]))
    return rf"\result{{{found[1]}}}{{{TITLES.get(kind, kind.capitalize())}}}"


def scripts(text: str) -> str:
    """Return a statement in words with its indices and exponents as formulas."""
    tex = str.maketrans({sign: name + " " for sign, name in MATHS.items()})
    return re.sub(SCRIPT, lambda s: f":math:`{s[1]}{{{s[2].strip('{}').translate(tex)}}}`", text)


def latex(text: str) -> str:
    r"""Return text of a docstring as LaTeX.

    Converted are :math:`…` roles, ``code``, **bold**, *emphasis* and blocks of mathematics.

    Parameters
    ----------
    text : str
        In the markup of a theorem's docstring.

    Returns
    -------
    str
        The body of a LaTeX document that loads `amsmath`.
    """
    # Mathematics and code are split off first, because their letters are not text.
    parts = re.split(rf"({ROLE}|{CODE}|{BLOCK})", text)
    return "".join(_part(part) for part in parts)


def _part(part: str) -> str:
    if part.startswith(":math:`"):
        return f"${part[7:-1]}$"
    if part.startswith(".. math::"):
        formula = re.sub(r"\n\s*\n", "\n", part.removeprefix(".. math::").strip())
        return f"\\[\n{formula}\n\\]"
    if part.startswith("`"):
        return rf"\texttt{{{_plain(part.strip('`'))}}}"
    bold = re.sub(r"\*\*([^*]+)\*\*", r"\\textbf{\1}", _plain(part))
    return re.sub(r"\*([^*\s](?:[^*]*[^*\s])?)\*", r"\\emph{\1}", bold)


def _plain(text: str) -> str:
    # TeX needs opening and closing quotation marks.
    quoted = re.sub(r'"([^"]*)"', r"“\1”", text)
    return quoted.replace("<=", "≤").replace(">=", "≥").translate(LETTERS)
