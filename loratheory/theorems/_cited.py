"""Published results that are cited without a check, and why none of them can be checked here."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Cited:
    """A published result that no module states.

    Attributes
    ----------
    name, statement, source : str
        Its name, what it claims according to the publication, and the publication.
    reason : str
        Why it cannot be checked on instances here, and what can be run instead.
    """

    name: str
    statement: str
    source: str
    reason: str


def load_cited() -> tuple[Cited, ...]:
    """Return the published results of ``cited.toml`` in order, each text on one line.

    Examples
    --------
    >>> load_cited()[0].source
    'Jang, Lee and Ryu (ICML 2024, arXiv 2402.11867)'
    """
    text = (files("loratheory.theorems") / "cited.toml").read_text(encoding="utf-8")
    return tuple(map(_unwrap, tomllib.loads(text)["cited"]))


def _unwrap(entry: dict[str, str]) -> Cited:
    # texts are wrapped in the file, and printed as one paragraph
    return Cited(**{key: " ".join(words.split()) for key, words in entry.items()})
