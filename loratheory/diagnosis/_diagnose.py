"""The verdict on adapters before anything is merged, and what they have in common."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path, PurePath

from loratheory.adapters import Adapter, Aligned, aligned, read, read_likeness, write_likeness
from loratheory.diagnosis._findings import Finding, findings, verdict
from loratheory.diagnosis._module import ModuleDiagnosis, examined
from loratheory.tasks.word_problems import template_overlap

Folder = str | os.PathLike[str]
Modules = Iterable[ModuleDiagnosis]


class DiagnosisError(ValueError):
    """A library that cannot be diagnosed."""


@dataclass(frozen=True)
class Diagnosis:
    """Findings in words, and the numbers they come from."""

    adapters: tuple[str, ...]  #: Names, in the order of all tuples.
    findings: tuple[Finding, ...]  #: Each with its kind and its theorem.
    notes: tuple[str, ...]  #: Modules that some lack, and what reading left aside.
    modules: tuple[ModuleDiagnosis, ...]
    verdict: str = ""  #: What is known of any pairs, with its record, and what can tell.

    def __str__(self) -> str:
        """The findings, a paragraph each."""
        lines = [f"[{f.kind}] {f.text} ({f.label})" for f in self.findings]
        return "\n".join([self.verdict, *lines])


def diagnose(
    *library: Adapter | Folder,
    any_base: bool = False,
    progress: Callable[[Modules, int], Modules] | None = None,
) -> Diagnosis:
    """Say what these adapters' weights tell about merging and routing them, and what they do not.

    Parameters
    ----------
    *library : Adapter or path
        At least two adapters, or folders as PEFT saves them.
    any_base : bool
        Whether different base models' names may pass.
    progress : callable, optional
        ``progress(modules, count)`` wraps the work in a progress bar.

    Returns
    -------
    Diagnosis
        One module of all adapters is in memory at a time.

    Raises
    ------
    AdapterError
        If a folder is no adapter, or the adapters do not fit each other.
    DiagnosisError
        If there are fewer than two.

    Examples
    --------
    >>> found = diagnose("tests/data/persons", "tests/data/mascots")
    >>> len(found.modules), found.findings[0].label
    (90, 'thm:interference-angle')
    """
    adapters = [item if isinstance(item, Adapter) else read(item) for item in library]
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
    return Diagnosis(names, findings(names, modules), notes, modules, verdict())


def distinct(names: list[str]) -> tuple[str, ...]:
    """Last parts of the paths where they differ, whole paths where not, numbered if equal."""
    short = [PurePath(name).name or name for name in names]
    names = short if len(set(short)) == len(names) else names
    return tuple(
        name if names.count(name) == 1 else f"{name} ({number})"
        for number, name in enumerate(names, start=1)
    )


Pairs = dict[tuple[int, int], float]
LIKENESS = {"read": read_likeness, "write": write_likeness}


class SolutionsError(ValueError):
    """Files of solutions that say nothing about the adapters."""


def solution_templates(file: Path) -> list[str]:
    """Return the template of every solution in a file of JSON Lines.

    Each line is an object with the text `template`, as ``loratheory data word-problems`` writes it:
    equal texts mean solutions of one structure.

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
    """Return the `template_overlap` of each two training sets, by their places."""
    return {
        (i, j): template_overlap(sets[i], sets[j]) for i, j in combinations(range(len(sets)), 2)
    }


def weight_likeness(library: Aligned) -> dict[str, Pairs]:
    """Return how alike each two adapters are in what they ``read``, and in what they ``write``.

    It is the mean likeness over the modules of each pair, each module weighted by the product of
    its two norms; 0 for a pair that shares no module. Costs ``O((m + n) R^2)`` a module.
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
