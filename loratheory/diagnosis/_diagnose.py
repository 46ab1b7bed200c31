"""What weights tell before anything is merged, and how alike adapters or their solutions are."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path, PurePath

from loratheory.adapters import (
    Adapter,
    Aligned,
    aligned,
    read_adapter,
    read_likeness,
    write_likeness,
)
from loratheory.diagnosis._findings import Finding, findings, library_record
from loratheory.diagnosis._module import ModuleDiagnosis, examined
from loratheory.tasks.word_problems import template_overlap

Folder = str | os.PathLike[str]
Modules = Iterable[ModuleDiagnosis]


class DiagnosisError(ValueError):
    """There are too few adapters to diagnose."""


@dataclass(frozen=True)
class Diagnosis:
    """Findings in words, and the numbers of each module they come from."""

    adapters: tuple[str, ...]  #: Names of the adapters; tuples below follow this order.
    findings: tuple[Finding, ...]  #: Sentences, each with its theorem.
    notes: tuple[str, ...]  #: Which adapters lack modules, and what in the files was not read.
    modules: tuple[ModuleDiagnosis, ...]
    record: str = ""  #: What one study found of pairs of its own adapters, in sentences.

    def __str__(self) -> str:
        """The record and the findings, one paragraph each."""
        lines = [f"[{f.kind}] {f.text} ({f.label})" for f in self.findings]
        return "\n".join([self.record, *lines])


def diagnose(
    *library: Adapter | Folder,
    any_base: bool = False,
    progress: Callable[[Modules, int], Modules] | None = None,
) -> Diagnosis:
    """Return what the adapters' weights tell, and do not tell, about merging and routing them.

    Parameters
    ----------
    *library : Adapter or path
        At least two adapters, or places that `read` can read them from.
    any_base : bool
        Whether the adapters may name different base models.
    progress : callable, optional
        ``progress(modules, count)`` returns an iterator over the same modules that shows a bar.

    Returns
    -------
    Diagnosis
        While it is computed, one module of all adapters is in memory at a time.

    Raises
    ------
    AdapterError
        If an adapter cannot be read, or the adapters do not fit each other.
    DiagnosisError
        If there are fewer than two adapters.

    Examples
    --------
    >>> found = diagnose("tests/data/persons", "tests/data/mascots")
    >>> len(found.modules), found.findings[0].label
    (90, 'thm:interference-angle')
    """
    adapters = [item if isinstance(item, Adapter) else read_adapter(item) for item in library]
    if len(adapters) < 2:
        message = f"{len(adapters)} adapter has nothing to be merged with: name at least two"
        raise DiagnosisError(message)
    together = aligned(adapters, any_base=any_base)
    names = distinct([adapter.info.name for adapter in adapters])
    work: Modules = examined(together)
    if progress:
        work = progress(work, len(together.shapes))
    modules = tuple(work)
    notes = (*together.report, *together.info.notes)
    return Diagnosis(names, findings(names, modules), notes, modules, library_record())


def distinct(names: list[str]) -> tuple[str, ...]:
    """Return short names for paths: their last parts, or the full paths if two last parts agree.

    Equal paths get numbers, as in ``path (2)``.
    """
    short = [PurePath(name).name or name for name in names]
    names = short if len(set(short)) == len(names) else names
    return tuple(
        name if names.count(name) == 1 else f"{name} ({number})"
        for number, name in enumerate(names, start=1)
    )


Pairs = dict[tuple[int, int], float]
LIKENESS = {"read": read_likeness, "write": write_likeness}


class SolutionsError(ValueError):
    """A file of solutions cannot be read, is empty, or has a line without a template."""


def solution_templates(file: Path) -> list[str]:
    """Return the template of every solution in a file of JSON Lines.

    Each line is an object with a text ``template``, as ``loratheory data word-problems`` writes
    them; two solutions have the same structure if their templates are equal.

    Raises
    ------
    SolutionsError
        If the file is missing or empty, or a line has no template.
    """
    try:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file} cannot be read ({error}): name a file of JSON Lines"
        raise SolutionsError(message) from error
    templates = []
    for number, line in enumerate(lines, start=1):
        try:
            template = json.loads(line)["template"]
        except (ValueError, KeyError, TypeError):
            template = None
        if not isinstance(template, str):
            message = (
                f"line {number} of {file} has no template: give an object a line with the text "
                '"template", as `loratheory data word-problems` writes it'
            )
            raise SolutionsError(message)
        templates.append(template)
    if not templates:
        message = f"{file} is empty: give at least one solution"
        raise SolutionsError(message)
    return templates


def solution_overlaps(sets: Sequence[Sequence[str]]) -> Pairs:
    """Return the `template_overlap` of each pair of training sets, keyed by their positions."""
    return {
        (i, j): template_overlap(sets[i], sets[j]) for i, j in combinations(range(len(sets)), 2)
    }


def weight_likeness(library: Aligned) -> dict[str, Pairs]:
    """Return how alike each pair of adapters is in what they ``read`` and in what they ``write``.

    The value of a pair ``(i, j)`` is the mean of `read_likeness` or `write_likeness` over modules,
    each weighted by the product of the two updates' norms; 0 if no module is shared. Costs
    ``O((m + n) R^2)`` for each module, ``R`` the sum of the widths.
    """
    total: Pairs = {}
    sums: dict[str, Pairs] = {name: {} for name in LIKENESS}
    for name in library.shapes:
        updates = library.updates(name)
        sizes = [low.norm for low in updates]
        for i, j in combinations(range(len(updates)), 2):
            weight = sizes[i] * sizes[j]
            total[i, j] = total.get((i, j), 0.0) + weight
            for kind, likeness in LIKENESS.items():
                value = likeness(updates[i], updates[j]) if weight else 0.0
                sums[kind][i, j] = sums[kind].get((i, j), 0.0) + weight * value
    return {
        kind: {pair: value / (total[pair] or 1.0) for pair, value in values.items()}
        for kind, values in sums.items()
    }
