"""Numbers that someone typed where they should have been generated."""

import re

GENERATED = r"\\(?:measured|within|share|counted|constant|stored|ifstored|question|finding|stated)"
NAMES = r"\\(?:ref|label|result|cite[pt]?|citealp|input|includegraphics|url|href|bibliography)"
LENGTH = r"-?\d*\.?\d+\s*(?:\\(?:line|text|column|paper)\w+|em|ex|cm|mm|pt|in)\b"
NUMBER = r"\d*\.?\d+\s*(?:\\,|~)?\s*\\%|\d*\.\d+"


def typed(source: str) -> list[str]:
    r"""Return the decimals and percentages that stand in a document's own text.

    Parameters
    ----------
    source : str
        LaTeX. What precedes ``\begin{document}``, comments, lengths, names and arguments of
        generated numbers do not count.

    Returns
    -------
    list of str
        ``line: number``, empty where all is generated. Whole numbers may be typed.
    """
    start = source.find(r"\begin{document}")
    head, body = source[: max(start, 0)], source[max(start, 0) :]
    for pattern in (
        r"(?<!\\)%[^\n]*",
        GENERATED + r"\{[^}]*\}",
        NAMES + r"(?:\[[^\]]*\])*\{[^}]*\}",
        LENGTH,
    ):
        body = re.sub(pattern, lambda cut: re.sub(r"[^\n]", " ", cut[0]), body)
    first = head.count("\n") + 1
    return [
        f"{first + body.count(chr(10), 0, found.start())}: {found[0].strip()}"
        for found in re.finditer(NUMBER, body)
    ]
