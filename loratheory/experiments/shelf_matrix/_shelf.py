"""A folder of adapters as a sweep over blocks of pairs."""

import hashlib
from dataclasses import replace
from pathlib import Path

from loratheory.adapters import read, same_base
from loratheory.experiments.engine import Experiment, ExperimentError
from loratheory.experiments.shelf_matrix._blocks import Block, cell, members

MODULE = __name__.rpartition(".")[0]


def sweep(folder: Path, block: int = 50, *, any_base: bool = False) -> Experiment:
    """Return the sweep over all pairs of adapters in a folder.

    Parameters
    ----------
    folder : Path
        Each adapter in a folder of its own below it; on a cluster, where all workers see it.
    block : int
        How many adapters a cell holds against how many others.
    any_base : bool
        Whether different base models' names may pass; different shapes never do.

    Returns
    -------
    Experiment
        Its only profile is ``all``: a cell for each pair of groups, so that a kill loses little.

    Raises
    ------
    ExperimentError
        If there are fewer than two adapters, or the name of one has a newline or is no UTF-8.
    AdapterError
        If a folder is no adapter, or two name different base models.
    """
    home = folder.resolve()
    names = members(home)
    if len(names) < 2:
        message = f"{folder} holds {len(names)} adapters: name a folder with at least two below it"
        raise ExperimentError(message)
    for name in names:
        if not name.isprintable():  # one that is no UTF-8 holds surrogates, which are not either
            message = f"{folder} holds {name!r}, which fits on no line of names.txt: rename it"
            raise ExperimentError(message)
    if not any_base:
        same_base([replace(read(home / name), modules={}, shapes={}) for name in names])
    groups = -(-len(names) // block)
    state = stamp(home, names)
    cells = tuple(
        Block(str(home), state, block, first, second)
        for first in range(groups)
        for second in range(first, groups)
    )
    document = "**Question.** Which adapters of a shelf disturb which?"
    return Experiment(MODULE, document, cell, {"all": cells}, {"all": len(cells)})


def stamp(home: Path, names: list[str]) -> str:
    """A digest of which adapters there are and of which size and age: another shelf, other cells.

    Parameters
    ----------
    home : Path
        The shelf.
    names : list of str
        Its adapters.

    Returns
    -------
    str
        Sixteen hexadecimal digits; costs a look at each folder.
    """
    digest = hashlib.sha256()
    for name in names:
        for file in sorted((home / name).glob("adapter_model*")):
            state = file.stat()
            told = f"{name}/{file.name} {state.st_size} {state.st_mtime_ns}\n"
            digest.update(told.encode())
    return digest.hexdigest()[:16]
