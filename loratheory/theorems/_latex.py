"""From the docstrings' markup to LaTeX, so that code and paper cannot drift apart."""

import re

GREEK = {
    "β": "beta",
    "γ": "gamma",
    "δ": "delta",
    "ε": "varepsilon",
    "θ": "theta",
    "ρ": "rho",
    "σ": "sigma",
    "φ": "varphi",
}
LETTERS = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "#": r"\#",
        "_": r"\_",
        "$": r"\$",
        "~": r"\textasciitilde{}",
        "∏": r"$\prod$",
        "Σ": r"$\sum$",
        "√": r"$\surd$",
        "−": "$-$",
        "·": r"$\cdot$",
        "≤": r"$\le$",
        "≥": r"$\ge$",
        "⁺": "$^+$",
        "Δ": r"$\Delta$",
        "½": r"$\tfrac12$",
        "ᵀ": r"$^\top$",
        "‖": r"$\|$",
        "…": r"\dots{}",
        **{letter: rf"$\{name}$" for letter, name in GREEK.items()},
        "→": r"$\to$",
        "×": r"$\times$",
        "±": r"$\pm$",
        "²": "$^2$",
        "^": r"\textasciicircum{}",
        "<": "$<$",
        ">": "$>$",
    }
)


ROLE, CODE = r":math:`[^`]*`", r"``[^`]*``|`[^`]*`"
BLOCK = r"\.\. math::[^\n]*(?:\n {4}[^\n]*|\n *(?=\n))*"  # up to the next line that is not indented


def latex(text: str) -> str:
    r"""Return running text as LaTeX: :math:`…` roles, ``code``, **bold**, *emphasis*, math blocks.

    Parameters
    ----------
    text : str
        In the markup of a theorem's docstring.

    Returns
    -------
    str
        What a LaTeX document with `amsmath` can take in.
    """
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
    quoted = re.sub(r'"([^"]*)"', r"“\1”", text)
    return quoted.replace("<=", "≤").replace(">=", "≥").translate(LETTERS)
