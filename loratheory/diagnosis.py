"""What weights tell about merging and routing adapters, and what only the model can tell.

`diagnose` measures each module of a library of adapters and says what follows by the theorems;
`spectra` describes one adapter. A theorem is loaded when its sentence is written.
"""

import json
import math
import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePath
from typing import Any, Literal

import numpy as np

from loratheory.adapters import MERGE_METHODS, Adapter, Options, aligned, interference, read_all
from loratheory.arguments import checked
from loratheory.lowrank import EPS, LowRank, double, host, in_common_frames, total

# a relative gap of the gauge below it is not worth a sentence
CLEAR = 1e-6
# a share below it is printed as zero
ROUNDING = 1e-12
# Cross-talk above this counts as large: half of the disturbed adapter's own largest output.
LARGE = 0.5
GATE_THRESHOLD, GATE_FAILURE = 0.5, 0.05


def layer_of(module: str) -> int | None:
    """Return the layer number in a module's name, its first numeric part; None if there is none."""
    number = re.search(r"(?:^|\.)(\d{1,9})(?:\.|$)", module)
    return int(number[1]) if number else None


def kind_of(module: str) -> str:
    """Return a module's name without its layer number, which is the same in all layers."""
    return re.sub(r"(?:^|(?<=\.))\d+(?=\.|$)", "*", module)


def distinct(names: list[str]) -> tuple[str, ...]:
    """Return short names for paths: their last parts, or the full paths if two last parts agree.

    Equal paths get numbers, as in ``path (2)``.
    """
    short = [PurePath(name).name or name for name in names]
    found = short if len(set(short)) == len(names) else names
    # A path may end like a number that was given.
    while len(set(found)) < len(found):
        found = [x if found.count(x) == 1 else f"{x} ({i})" for i, x in enumerate(found, start=1)]
    return tuple(found)


# One adapter


@dataclass(frozen=True)
class ModuleSpectrum:
    """The singular values `sigma` of one module's update, and numbers computed from them.

    `energy` is the squared Frobenius norm, `spectral` the spectral norm; the others have the names
    that they have in `LowRank`.
    """

    module: str
    outputs: int
    inputs: int
    width: int
    rank: int
    energy: float
    spectral: float
    stable_rank: float
    effective_rank: float
    sigma: tuple[float, ...]


def spectra(adapter: Adapter) -> Iterator[ModuleSpectrum]:
    """Yield the spectrum of each module in order, with one module in memory at a time.

    Costs as `LowRank.svd` for each.

    Examples
    --------
    >>> first = next(spectra(lt.read_adapter("tests/data/persons")))
    >>> first.module, first.rank, round(first.spectral, 2)
    ('model.layers.0.mlp.down_proj', 4, 3.77)
    """
    for name in adapter:
        low = adapter[name]
        sigma = tuple(map(float, low.S))
        numbers = low.tail_energy(0), low.spectral_norm, low.stable_rank, low.effective_rank
        yield ModuleSpectrum(name, *low.shape, low.width, low.rank, *numbers, sigma)


# One module of several adapters


@dataclass(frozen=True)
class ModuleDiagnosis:
    """Numbers of one module that tell about merging and routing the adapters in it.

    Attributes
    ----------
    module, outputs, inputs : str, int and int
        Its name and the sides of its matrix.
    ranks : tuple of int
        Numerical rank of each adapter, 0 where it leaves the module alone.
    pair : (int, int)
        The adapters (reader, other) with the largest relative cross-talk.
    row_cosine : float
        Largest cosine between the row spaces of this pair.
    crosstalk : float
        Largest output norm of `other` on unit inputs from the row space of `reader`, divided by the
        spectral norm of `reader`.
    ceiling : float
        Upper bound of `crosstalk` (``thm:interference-angle``).
    energy : float
        Mean squared norm of the adapters here.
    floors : tuple of (int, float)
        Pairs of a rank and the least mean squared distance to the adapters that a merge of this
        rank can have, divided by `energy` (``thm:merge-floor``).
    gauge_gap : float or None
        Relative distance between the products of averaged factors, once of the factors as stored
        and once of balanced ones; None where the widths differ (``thm:factor-mean-residual``).
    arrow_gap : tuple of float
        ``1 - sigma_2 / sigma_1`` of each adapter: how well defined its Arrow prototype, the first
        right singular vector, is.
    arrow_blind : tuple of float
        Share of each adapter's energy outside its prototype (``thm:arrow-blind-spot``).
    prototype_cosine : float
        Largest absolute cosine between the prototypes of two adapters.
    """

    module: str
    outputs: int
    inputs: int
    ranks: tuple[int, ...]
    pair: tuple[int, int]
    row_cosine: float
    crosstalk: float
    ceiling: float
    energy: float
    floors: tuple[tuple[int, float], ...]
    gauge_gap: float | None
    arrow_gap: tuple[float, ...]
    arrow_blind: tuple[float, ...]
    prototype_cosine: float


def examine_module(name: str, updates: list[LowRank]) -> ModuleDiagnosis:
    """Return the numbers of one module from its updates, one for each adapter (may be width 0).

    Costs two QRs, ``O((m + n) R^2)`` with the total width ``R``; all but the gauge gap is computed
    in their coordinates, where no side is longer than ``R``.
    """
    outputs, inputs = updates[0].shape
    # rounding is that of the full sides
    tolerance = max(outputs, inputs) * EPS
    # signs of balanced factors are those in the full frame
    gauge_gap = _measure_gauge_gap([low for low in updates if low.width], tolerance)
    updates = in_common_frames(updates)
    table = interference(updates, tolerance)
    # who disturbs whom most, in units of the largest answer that the disturbed one gives itself
    own = table.crosstalk.diagonal()
    relative = np.full(table.crosstalk.shape, -np.inf)
    relative[own > 0] = table.crosstalk[own > 0] / own[own > 0, None]
    np.fill_diagonal(relative, -np.inf)
    worst = divmod(int(relative.argmax()), len(own))
    unit = float(own[worst[0]]) if relative[worst] >= 0 else math.inf
    gaps, blind, energies = [], [], []
    prototypes = np.zeros((len(updates), updates[0].shape[1]))
    for place, low in enumerate(updates):
        top, second, *_ = *map(float, low.S[:2]), 0.0, 0.0
        energies.append(low.norm**2)
        gaps.append(1 - second / top if top else 0.0)
        blind.append(max(0.0, 1 - top**2 / energies[-1]) if top else 0.0)
        if low.width:
            prototypes[place] = host(low.Vh[0, :])
    energy = sum(energies) / len(updates)
    return ModuleDiagnosis(
        module=name,
        outputs=outputs,
        inputs=inputs,
        ranks=tuple(low.rank_at(tolerance) for low in updates),
        pair=worst,
        row_cosine=float(table.row_cosine[worst]) if unit < math.inf else 0.0,
        crosstalk=float(table.crosstalk[worst]) / unit,
        ceiling=float(table.bound[worst]) / unit,
        energy=energy,
        floors=_list_floors(updates, energy),
        gauge_gap=gauge_gap,
        arrow_gap=tuple(gaps),
        arrow_blind=tuple(blind),
        prototype_cosine=float(np.triu(np.abs(prototypes @ prototypes.T), 1).max()),
    )


def _list_floors(updates: list[LowRank], energy: float) -> tuple[tuple[int, float], ...]:
    """Return the merge floor at 1, 2, 4, … and at the rank where no truncation is left."""
    mean = total(updates, [1 / len(updates)] * len(updates))
    whole = int(mean.S.shape[0])
    disagreement = max(0.0, energy - mean.norm**2)
    floors, rank = [], 1
    while rank < whole:
        floors.append((rank, (disagreement + mean.tail_energy(rank)) / (energy or 1.0)))
        rank *= 2
    return (*floors, (whole, disagreement / (energy or 1.0)))


def _measure_gauge_gap(updates: list[LowRank], tolerance: float) -> float | None:
    """Return how much a factor mean depends on how the same updates were written down."""
    # factors of different widths have no mean
    if len({low.width for low in updates}) != 1:
        return None
    forms = [low.balanced(tolerance) for low in updates]
    if len({form.width for form in forms}) != 1:
        return None
    even, average = [1.0] * len(forms), MERGE_METHODS["factor-mean"].rule
    stored = average(updates, even, Options()).map(double)
    canonical = average(forms, even, Options()).map(double)
    return (stored - canonical).norm / (max(stored.norm, canonical.norm) or 1.0)


# A library of adapters


Kind = Literal["measured", "needed", "unknown"]
Names = Sequence[str]
Modules = Sequence[ModuleDiagnosis]


class DiagnosisError(ValueError):
    """There are too few adapters to diagnose."""


@dataclass(frozen=True)
class Finding:
    """One sentence about the adapters, the theorem it rests on, and what sort of sentence it is.

    It is ``measured`` on the weights, ``needed``: a condition that a merge must meet, or
    ``unknown``: what weights cannot tell.
    """

    kind: Kind
    text: str
    label: str  #: The theorem, ``thm:…``.


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """Findings in words, and the numbers of each module they come from."""

    adapters: tuple[str, ...]  #: Names of the adapters; tuples below follow this order.
    findings: tuple[Finding, ...]  #: Sentences, each with its theorem.
    notes: tuple[str, ...]  #: Which adapters lack modules, and what in the files was not read.
    modules: tuple[ModuleDiagnosis, ...]
    record: str = ""  #: What one study found of pairs of its own adapters, in sentences.

    def __repr__(self) -> str:
        """The findings and the record, one paragraph each."""
        lines = [f"[{f.kind}] {f.text} ({f.label})" for f in self.findings]
        return "\n".join([*lines, self.record])


@checked
def diagnose(
    *library: Adapter | str | os.PathLike[str],
    any_base: bool = False,
    progress: Callable[[Iterable[str], int], Iterable[str]] | None = None,
) -> Diagnosis:
    """Return what the adapters' weights tell, and do not tell, about merging and routing them.

    Parameters
    ----------
    *library : Adapter or path, each an argument of its own
        At least two adapters, or places that `read_adapter` can read them from.
    any_base : bool
        Whether the adapters may name different base models.
    progress : callable, optional
        ``progress(names, count)`` returns an iterator over the same modules that shows a bar.

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
    adapters = read_all(library)
    if len(adapters) < 2:
        message = f"{len(adapters)} adapter has nothing to be merged with: name at least two"
        raise DiagnosisError(message)
    together = aligned(adapters, any_base=any_base)
    names = distinct([adapter.info.name for adapter in adapters])
    work: Iterable[str] = together.shapes
    if progress:
        work = progress(work, len(together.shapes))
    modules = tuple(examine_module(name, together.updates(name)) for name in work)
    findings = list[Finding]()
    for kind, label, write in _SENTENCES:
        for text in [write] if isinstance(write, str) else write(names, modules):
            findings.append(Finding(kind, text, label))
    notes = (*together.report, *together.info.notes)
    return Diagnosis(names, tuple(findings), notes, modules, library_record())


def _percent(share: float) -> str:
    return f"{100 * share if share > ROUNDING else 0:.3g}%"


def _list(modules: Modules, number: str) -> np.ndarray:
    """Return one number of all modules, (modules,) or (modules, adapters); NaN stands for None."""
    return np.array([getattr(module, number) for module in modules], dtype=float)


def _write_overlap(names: Names, modules: Modules) -> Iterator[str]:
    shared = (_list(modules, "ranks") > 0).sum(axis=1) > 1
    if not shared.any():
        yield "No two adapters change the same module, and there is no cross-talk in weights."
        return
    crosstalk = np.where(shared, _list(modules, "crosstalk"), np.nan)
    worst = modules[int(np.nanargmax(crosstalk))]
    reader, other = names[worst.pair[0]], names[worst.pair[1]]
    yield (
        f"For some input of {reader}, the response of {other} reaches {_percent(worst.crosstalk)} "
        f"of the largest response of {reader} (module {worst.module}, "
        f"bound {_percent(worst.ceiling)}). The median over {shared.sum()} shared modules is "
        f"{_percent(float(np.nanmedian(crosstalk)))}; {(crosstalk > LARGE).sum()} of them exceed "
        f"{_percent(LARGE)}."
    )


def _write_floor(names: Names, modules: Modules) -> Iterator[str]:
    rank = 2 ** (int(_list(modules, "ranks").max()) - 1).bit_length()
    free = least = 0.0
    for m in modules:
        # floors are listed at powers of two: the first at this rank or above
        at_rank = next((floor for r, floor in m.floors if r >= rank), m.floors[-1][1])
        free, least = free + m.energy * m.floors[-1][1], least + m.energy * at_rank
    energy = float(_list(modules, "energy").sum()) or 1.0
    yield (
        f"The mean squared distance of one merge to the {len(names)} adapters is at least "
        f"{_percent(free / energy)} of their mean energy at any rank, and "
        f"{_percent(least / energy)} at rank {rank}. It is a distance between weights, not between "
        "answers."
    )


def _write_gauge(_: Names, modules: Modules) -> Iterator[str]:
    gaps = _list(modules, "gauge_gap")
    unlike = int(np.isnan(gaps).sum())
    if unlike:
        yield (
            f"In {unlike} of {len(modules)} modules the ranks of the adapters' updates differ. "
            "Factors cannot be averaged there; average the updates."
        )
    if unlike < len(modules) and np.nanmax(gaps) > CLEAR:
        yield (
            "Averaging factors is ill-defined here: with balanced factors of the same updates the "
            f"merge differs by {_percent(float(np.nanmedian(gaps)))} of its norm (median; worst "
            f"{_percent(float(np.nanmax(gaps)))}). mean, sum, cat and svd do not depend on the "
            "factors."
        )


def _write_arrow(names: Names, modules: Modules) -> Iterator[str]:
    ranks, gaps = _list(modules, "ranks"), _list(modules, "arrow_gap")
    # an adapter that changes no module has no energy outside anything
    outside = np.ma.masked_where(ranks == 0, _list(modules, "arrow_blind"))
    blind = np.ma.median(outside, axis=0).filled(0.0)  # type: ignore[no-untyped-call]
    worst = int(blind.argmax())
    yield (
        f"Arrow represents a module of an adapter by one direction: {_percent(blind[worst])} of "
        f"the energy of {names[worst]} (median over its modules) lies outside it. An input that is "
        "orthogonal to the direction gets the score 0."
    )
    # one direction is all that there is where the rank is one
    several = gaps[ranks > 1]
    flat = int((several < 0.05).sum())
    if flat:
        yield (
            f"{flat} of {several.size} Arrow prototypes are poorly determined: the second singular "
            "value is within 5% of the first."
        )


def _write_survival(names: Names, _: Modules) -> Iterator[str]:
    from loratheory.theorems.merging.averaging_survival import margin_needed

    count = len(names)
    mean, factors = margin_needed(count, 1.0, "mean"), margin_needed(count, 1.0, "factor_mean")
    yield (
        f"In the mean of {count} adapters an answer stays ahead of a competitor if and only if its "
        f"lead with its own adapter exceeds {mean:g} times its deficit in the base ({factors:g} "
        "times if factors are averaged). In the sum any lead suffices. Both without cross-talk."
    )


def _write_composition(names: Names, _: Modules) -> Iterator[str]:
    from loratheory.theorems.composition.two_read_region import strength_needed

    count = len(names)
    old, both = strength_needed(2, count), strength_needed(2, count, "overwrite both")
    yield (
        f"Two edits of equal strength compose in the mean of {count} adapters if and only if the "
        f"strength exceeds {old:.4g}, or {both:.4g} if the old bridge was edited, too. An edit of "
        "strength 1 replaces the old value exactly."
    )


def _write_gates(names: Names, modules: Modules) -> Iterator[str]:
    from loratheory.theorems.routing.gates import largest_library

    facts, width = int(_list(modules, "ranks").max()), int(_list(modules, "inputs").min())
    if not 0 < facts < width:
        return
    size = largest_library(facts, width, GATE_THRESHOLD, hops=2, failure=GATE_FAILURE)
    count = f"{size:,.0f}" if size < 1e6 else "more than a million"
    yield (
        f"Calibrated gates can distinguish {count} adapters of {facts} edits in dimension {width} "
        f"(threshold {GATE_THRESHOLD:g}, two hops, failure {GATE_FAILURE:g}); you have "
        f"{len(names)}. This holds for Gaussian keys: calibrate on the base's activations."
    )


_SENTENCES: tuple[tuple[Kind, str, str | Callable[[Names, Modules], Iterator[str]]], ...] = (
    ("measured", "thm:interference-angle", _write_overlap),
    ("measured", "thm:merge-floor", _write_floor),
    ("measured", "thm:factor-mean-residual", _write_gauge),
    ("measured", "thm:arrow-blind-spot", _write_arrow),
    ("needed", "thm:averaging-survival", _write_survival),
    ("needed", "thm:two-read-region", _write_composition),
    ("needed", "thm:gate-detection", _write_gates),
    ("unknown", "thm:single-read-no-go", (
        "Whether a two-hop answer is possible: if one module holds both facts and the base does "
        "not know the bridge entity, no merge made from weights alone beats chance."
    )),
    ("unknown", "thm:two-read-region", (
        "Whether the base knows the bridge entity, and how strong each edit is: measure single-hop "
        "margins and two-hop answers on the model."
    )),
    ("unknown", "thm:interference-angle", (
        "Whether your inputs lie in the row spaces of the adapters: the bound holds only for "
        "inputs that do."
    )),
)  # fmt: skip


# What one study found of its own adapters


# Where the numbers of `library_record` and `expect_retention` come from.
LIBRARY = "one library of 24 on SmolLM2-135M with one seed"


@cache
def _load_library() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files("loratheory") / "library.json").read_text())
    return found


def library_record() -> str:
    """Return what the study of a library found of pairs of its adapters, in sentences."""
    mean, added = _load_library()["mean"], _load_library()["sum"]

    def _both(measure: str) -> str:
        return f"{mean[measure][0]:.2f} and {added[measure][0]:.2f}"

    return (
        f"In {LIBRARY}, both adapters kept 90% of their answers in {mean['kept']} of "
        f"{mean['pairs']} pairs under the mean and in {added['kept']} under the sum. At equal "
        "learning rates, adapters that kept less were found with an AUC (mean and sum) of "
        f"{_both('crosstalk')} by cross-talk, {_both('overlap')} by overlap of input subspaces, "
        f"{_both('kl')} by the merge's divergence on a dozen prompts (chance 0.50). To measure: "
        "`loratheory advise FOLDER FOLDER --prompts FILE`."
    )


def expect_retention(drift: float) -> tuple[float, int]:
    """Return what adapters of that study kept in a sum with a partner of similar drift.

    Parameters
    ----------
    drift : float
        The partner's KL to the base on generic text, in nats per token.

    Returns
    -------
    kept : float
        The mean share of what each adapter answers alone that the sum still answers.
    count : int
        The number of adapters that it is the mean of: those whose partners' drift was in the same
        of five ranges, the last of which stands for all larger drifts too.
    """
    rows = _load_library()["sum"]["other_response"]
    ends = [row[0] for row in rows]
    # No number is what a model that overflows drifts by: the worst.
    place = len(rows) - 1 if math.isnan(drift) else min(bisect_left(ends, drift), len(rows) - 1)
    _, count, kept, _ = rows[place]
    return kept, count
