"""The verdict on a shelf of adapters before anything is merged."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePath

from loratheory.adapters import Adapter, aligned, read
from loratheory.diagnosis._findings import Finding, findings
from loratheory.diagnosis._module import ModuleDiagnosis, examined

Folder = str | os.PathLike[str]
Modules = Iterable[ModuleDiagnosis]


class DiagnosisError(ValueError):
    """A shelf that cannot be diagnosed."""


@dataclass(frozen=True)
class Diagnosis:
    """Findings in words, and the numbers they come from.

    Attributes
    ----------
    adapters : tuple of str
        Names, in the order of all tuples below.
    findings : tuple of Finding
        Each with its kind and its theorem.
    notes : tuple of str
        Modules that some adapters lack, and what reading them left aside.
    modules : tuple of ModuleDiagnosis
        One a module.
    """

    adapters: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    modules: tuple[ModuleDiagnosis, ...]

    def __str__(self) -> str:
        """The findings, a paragraph each."""
        return "\n".join(f"[{f.kind}] {f.text} ({f.label})" for f in self.findings)


def diagnose(
    *shelf: Adapter | Folder,
    any_base: bool = False,
    progress: Callable[[Modules, int], Modules] | None = None,
) -> Diagnosis:
    """Say what these adapters' weights tell about merging and routing them, and what they do not.

    Parameters
    ----------
    *shelf : Adapter or path
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
    """
    adapters = [item if isinstance(item, Adapter) else read(item) for item in shelf]
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
    return Diagnosis(names, findings(names, modules), notes, modules)


def distinct(names: list[str]) -> tuple[str, ...]:
    """Last parts of the paths where they differ, whole paths where not, numbered if equal."""
    short = [PurePath(name).name or name for name in names]
    names = short if len(set(short)) == len(names) else names
    return tuple(
        name if names.count(name) == 1 else f"{name} ({number})"
        for number, name in enumerate(names, start=1)
    )
