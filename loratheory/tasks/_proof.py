"""The proof that sets of data share nothing that they are claimed not to share.

Each task says what a set contains, kind by kind: its questions, its answers, and so on.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from loratheory.tasks import LeakError, one_of

Contents = Mapping[str, frozenset[object]]
"""What a set contains, by kind, such as ``prompts`` or ``answers``."""


class Claim(NamedTuple):
    """Two sets, what they are called, and the kinds of things of which they share none."""

    names: tuple[str, str]
    one: Contents
    other: Contents
    kinds: tuple[str, ...]


def proved(claims: Iterable[Claim]) -> int:
    """Check all claims, and return how many comparisons of two sets in one kind were made.

    Raises
    ------
    LeakError
        If two sets share something; the message names the first two, and up to three shared things.
    """
    count = 0
    for names, one, other, kinds in claims:
        for kind in kinds:
            one_of("a part of the claim", kind, tuple(one))
            count += 1
            shared = sorted(map(str, one[kind] & other[kind]))
            if shared:
                some = ", ".join(shared[:3]) + (" …" if len(shared) > 3 else "")
                message = (
                    f"{' and '.join(names)} share {len(shared)} {kind} ({some}); "
                    "leave them out of one, or claim less"
                )
                raise LeakError(message)
    return count
