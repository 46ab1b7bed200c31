r"""Check theorems on the layers of a real model: verdicts, or the hypothesis that fails there.

`QUESTIONS` is the table of what is asked: a row names a theorem and the function that puts it to a
module. Facts, which need prompts and answers, are asked in `check_facts`.

**Noise.** Entries of variance :math:`s^2` give singular values between :math:`s(\sqrt n - \sqrt m)`
and :math:`s(\sqrt n + \sqrt m)` (Marchenko and Pastur). Larger ones, by more than chance, are
structure, for which ``thm:intruder-threshold`` makes no claim.

**Intruders** are found without decomposing the adapted weight. Let the base have the left singular
vectors :math:`U` and no more outputs than inputs (else all is transposed). In these coordinates
:math:`(W + \Delta)(W + \Delta)^\top` is :math:`\Sigma^2` plus rank :math:`2r`, so that a product
with it costs ``O(k r)``: Lanczos iteration finds the few eigenvectors that are looked at, and their
entries are the cosines with the base's own directions.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations, permutations
from math import acos, degrees
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.sparse.linalg import LinearOperator, eigsh

from loratheory.adapters import Adapter, merge
from loratheory.diagnosis import distinct, layer_of
from loratheory.lowrank import LowRank, double, host, largest_cosine, project, total
from loratheory.pretrained.architectures import Head, find_heads
from loratheory.pretrained.attach import collect_inputs, fit_adapters
from loratheory.pretrained.check_facts import (
    FactGroups,
    Kept,
    Place,
    Reading,
    ask_facts,
    group_facts,
    judge,
)
from loratheory.pretrained.metrics import measure_drift, one_by_one
from loratheory.pretrained.models import GENERIC, Map, Model, failure, maps
from loratheory.shapes import Float, Float64
from loratheory.store import cache_folder, draft
from loratheory.theorems import theorem
from loratheory.theorems.expressiveness.attention_budget import Change
from loratheory.theorems.expressiveness.rank_floor import Tasks, attain
from loratheory.theorems.libraries import interference
from loratheory.theorems.merging import factor_mean_residual, intruder_threshold, rank_subadditivity
from loratheory.theorems.routing import arrow

TOKENS = 128  # inputs of a module that are looked at, at most
PROMPTS = 10  # of each adapter, from which inputs come
CHANCE = 5.0  # Tracy-Widom units above the edge that noise does not reach
TOP, ALIKE = 10, 0.5
SMALL = 64  # up to this size a dense decomposition is quicker than Lanczos iteration
CLEAR = 1e-6  # a base direction this weak, relative to the strongest, is not compared with
TINY = 1e-300  # in place of a length of zero that is divided by
SIGNED = ("thm:averaging-survival", "thm:two-read-region")  # margins: their sign is compared
Progress = Callable[[Iterable[str], int], Iterable[str]]


def read_weight(place: Map, name: str) -> Float[np.ndarray, "m n"]:
    """Return a weight matrix, outputs × inputs, on the CPU, as float32 unless it is float64.

    Raises `ModelError` if an entry is not finite.
    """
    stored = place.module.weight.detach()
    kind = torch.float64 if stored.dtype == torch.float64 else torch.float32
    matrix: Float[np.ndarray, "m n"] = stored.to("cpu", kind).numpy()
    if not np.isfinite(matrix).all():
        remedy = "mend or replace the model's files: no theorem speaks of such a weight"
        raise failure(name, "not every entry of its weight is finite", remedy)
    return matrix if isinstance(place.module, torch.nn.Linear) else matrix.T


@dataclass(frozen=True, eq=False)
class Basis:
    """The singular vectors of a base weight on its shorter side, and its singular values.

    The columns of `frame` are the left vectors if there are no more outputs than inputs, else the
    right ones; the others follow from the weight and are not stored.
    """

    frame: Float64[np.ndarray, "k k"]  # orthonormal, k = min(m, n)
    sigma: Float64[np.ndarray, " k"]  # descending


def compute_basis(matrix: Float[np.ndarray, "m n"]) -> Basis:
    """Return a base weight's singular vectors on its shorter side, from the cache if there.

    The cache key is a digest of the weight, so that revisions of a model are told apart. Costs the
    eigenvectors of its smaller Gram matrix once, ``O(m n k)``, and ``4 k^2`` bytes of disk, in
    float32; later the digest and reading the file. A damaged file is made anew; if the cache cannot
    be written, on a full disk for instance, nothing is stored.
    """
    block = np.ascontiguousarray(matrix)
    digest = hashlib.blake2b(f"{block.dtype} {block.shape}".encode(), digest_size=16)
    digest.update(block.data.cast("B"))
    file = cache_folder() / "bases" / digest.hexdigest() / "basis.safetensors"
    with suppress(OSError, SafetensorError, KeyError):
        parts = load_file(file)
        return Basis(parts["frame"].astype(np.float64), parts["sigma"])
    # The smaller Gram matrix has the squared singular values, at a fraction of the cost.
    squared, vectors = np.linalg.eigh(_gram(matrix))
    parts = {
        "frame": np.ascontiguousarray(vectors[:, ::-1], dtype=np.float32),
        "sigma": np.sqrt(np.maximum(squared[::-1], 0.0)),
    }
    with suppress(OSError, SafetensorError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with draft(file) as path:
            save_file(parts, path)
    return Basis(parts["frame"].astype(np.float64), parts["sigma"])


def _gram(matrix: Float[np.ndarray, "m n"]) -> Float64[np.ndarray, "k k"]:
    """The Gram matrix of the shorter side, in float64."""
    wide = np.asarray(matrix, np.float64)
    return wide @ wide.T if wide.shape[0] <= wide.shape[1] else wide.T @ wide


@dataclass(frozen=True)
class Noise:
    """A weight compared with a Gaussian matrix of the same shape and norm."""

    spread: float  # root mean square of the entries
    kurtosis: float  # fourth moment over the squared second: 3 for a normal law
    edge: float  # largest singular value of the Gaussian matrix, in the limit
    top: float  # largest singular value of the weight
    spikes: int  # how many singular values are beyond what noise reaches
    energy: float  # their share of the squared norm


def measure_noise(
    matrix: Float[np.ndarray, "m n"], sigma: Float64[np.ndarray, " k"] | None = None
) -> Noise:
    """Return how a weight's spectrum compares with that of pure noise.

    Costs the eigenvalues of its smaller Gram matrix, ``O(m n min(m, n))``, unless its singular
    values, descending, are given.

    References
    ----------
    Marchenko and Pastur (1967); Johnstone, *Annals of Statistics* 29 (2001), for the edge.
    """
    # The law is the same for a matrix and its transpose.
    m, n = sorted(matrix.shape)
    squares = np.asarray(matrix, np.float64) ** 2
    second, fourth = float(squares.mean()), float((squares**2).mean())
    squared = np.linalg.eigvalsh(_gram(matrix)) if sigma is None else sigma[::-1] ** 2
    squared = np.maximum(squared, 0.0)  # rounding makes a zero negative
    # Johnstone's centre and scale of the largest eigenvalue of noise.
    roots = (n - 1) ** 0.5 + m**0.5
    unit = roots * (1 / max(n - 1, 1) ** 0.5 + 1 / m**0.5) ** (1 / 3)
    beyond = squared > second * (roots**2 + CHANCE * unit)
    return Noise(
        spread=second**0.5,
        kurtosis=fourth / second**2 if second else 0.0,
        edge=(second * n) ** 0.5 * (1 + (m / n) ** 0.5),
        top=float(squared[-1]) ** 0.5,
        spikes=int(beyond.sum()),
        energy=float(squared[beyond].sum() / squared.sum()) if second else 0.0,
    )


def find_intruders(
    matrix: Float[np.ndarray, "m n"], base: Basis, update: LowRank, top: int = TOP
) -> tuple[Float64[np.ndarray, " top"], Float64[np.ndarray, " m"]]:
    """Return how alike the top directions of an adapted weight are to the base's, and the first.

    The directions are left singular vectors; of each the largest cosine with one of the base. An
    intruder's is below `ALIKE`. `matrix` is the base weight, `base` its singular vectors, `update`
    what an adapter adds (NumPy). Errors are about the square root of the precision in which `base`
    was stored. Costs ``O(m n r)`` once, then ``O(k r)`` a step of Lanczos iteration; no
    decomposition of an (m, n) matrix.

    References
    ----------
    Shuttleworth et al. (arXiv 2410.21228).
    """
    wide, sigma = matrix.shape[0] <= matrix.shape[1], base.sigma
    near, far = (update.up, update.down.T) if wide else (update.down.T, update.up)
    through = (matrix if wide else matrix.T) @ far.astype(matrix.dtype)  # what the base makes of it
    own, cross = base.frame.T @ near.astype(np.float64), base.frame.T @ through.astype(np.float64)
    inner = far.T.astype(np.float64) @ far

    def _squared(y: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
        """The smaller Gram matrix of the adapted weight, in the base's coordinates."""
        y = y.ravel()
        codes = own.T @ y
        return sigma**2 * y + cross @ codes + own @ (cross.T @ y + inner @ codes)

    values, vectors = _top(_squared, len(sigma), min(top, len(sigma)))
    strength = np.sqrt(np.maximum(values, 0.0))
    first = base.frame @ vectors[:, 0]
    if wide:
        return np.abs(vectors).max(axis=0), first
    # The frame is on the right: left vectors follow through the weight.
    safe = np.where(strength > 0, strength, 1.0)
    clear = sigma > CLEAR * sigma[0]
    seen = (sigma[:, None] ** 2 * vectors + cross @ (own.T @ vectors))[clear]
    cosines = np.abs(seen / sigma[clear, None] / safe).max(axis=0)
    left = (matrix @ first + update.up @ (update.down @ first)) / safe[0]
    return cosines, left.astype(np.float64)


def _top(squared: object, size: int, keep: int) -> tuple[np.ndarray, np.ndarray]:
    """Its largest eigenvalues, descending, and their vectors."""
    operator = LinearOperator((size, size), matvec=squared, dtype=np.float64)
    if size <= max(SMALL, 4 * keep + 2):
        values, vectors = np.linalg.eigh(operator @ np.eye(size))
    else:
        # A fixed start, so that the same weights give the same numbers.
        start = 1.0 + np.arange(size) / size
        values, vectors = eigsh(operator, k=keep, v0=start, ncv=4 * keep + 2)
    order = np.argsort(values)[::-1][:keep]
    return values[order], vectors[:, order]


@dataclass(frozen=True, eq=False)
class Module:
    """One module of the model, with what is only worked out once asked for."""

    name: str
    weight: Float[np.ndarray, "m n"]  # the base's
    names: tuple[str, ...] = ()  # of the adapters that change it
    updates: tuple[LowRank, ...] = ()  # one an adapter, float64, of positive rank
    inputs: Any = None  # (t, n): what the base feeds it, a token a row, none zero
    coefficient: float = 1.0  # of each in the mean of all adapters, those absent here included

    @cached_property
    def basis(self) -> Basis:
        """The weight's singular vectors, from the cache where they are there."""
        return compute_basis(self.weight)

    @cached_property
    def noise(self) -> Noise:
        """How Gaussian the weight is; singular vectors are worth their price for adapters only."""
        return measure_noise(self.weight, self.basis.sigma if self.updates else None)

    @cached_property
    def parts(self) -> tuple[Any, ...]:
        """The singular value decomposition of each update."""
        return tuple(map(LowRank.svd, self.updates))

    @property
    def rank(self) -> int:
        """Of the widest adapter: what one that replaces them all may have."""
        return max(map(attrgetter("width"), self.updates))

    @property
    def together(self) -> Place:
        """The module, about all adapters."""
        return Place(self.name, " + ".join(self.names))


def ask_spectrum(module: Module) -> Iterator[Reading]:
    """The largest singular value beside the edge of Marchenko and Pastur.

    Measured, not judged: that a weight is Gaussian is a hypothesis, not a theorem.
    """
    seen = module.noise
    note = (
        f"{seen.spikes} singular values beyond noise hold {100 * seen.energy:.2g} % of the squared "
        f"norm; kurtosis {seen.kurtosis:.3g} (normal: 3)"
    )
    label = intruder_threshold.THEOREM.label
    yield Place(module.name, "base").reading(label, seen.edge, seen.top, note, "measured")


def ask_intrusion(module: Module) -> Iterator[Reading]:
    """How far each adapter's strongest direction becomes the weight's own, alone and in the mean.

    The bound is the squared overlap in a Gaussian base, the value that of the top left singular
    vector of the adapted weight with the adapter's own.
    """
    for name, low in zip(module.names, module.updates, strict=True):
        for c in sorted({1.0, module.coefficient}, reverse=True):
            yield _judge_intruder(module, name, low, c)


def _judge_intruder(module: Module, name: str, low: LowRank, coefficient: float) -> Reading:
    place = Place(module.name, name if coefficient == 1 else f"{coefficient:g} × {name}")
    (m, n), seen, part = low.shape, module.noise, low.svd(1)
    cosines, first = find_intruders(module.weight, module.basis, coefficient * low)
    overlap = float(part.left[:, 0] @ first) ** 2
    # The theorem is stated for entries of variance 1 / n.
    size = seen.spread * max(m, n) ** 0.5 or 1.0
    case = intruder_threshold.Case(float(part.sigma[0]) / size, coefficient, n)
    note = (
        f"{(cosines < ALIKE).sum()} of the top {len(cosines)} directions are not the base's; the "
        f"adapter's largest singular value is {case.merged:.2g} times the noise level"
    )
    needs = f"a square base, this is {m} × {n}"
    if m == n:
        matrix = np.asarray(module.weight, np.float64)[None] / size
        sample = intruder_threshold.Sample(matrix, part.left.T, part.right)
        hypotheses = intruder_threshold.THEOREM.assumptions
        missing = [each.text for each in hypotheses if not each.holds(case, sample)]
        if not missing:
            return judge(intruder_threshold.THEOREM, case, sample, place, note=note)
        kind = f"kurtosis {seen.kurtosis:.3g}, {seen.spikes} singular values beyond noise"
        needs = f"{missing[0]}; {kind}"
    # The theorem's own measure would be that of a Gaussian base: the overlap here is measured.
    label, bound = intruder_threshold.THEOREM.label, intruder_threshold.bound(case)
    return place.reading(label, bound, overlap, f"needs {needs}; {note}")


def ask_merge_floor(module: Module) -> Iterator[Reading]:
    """The merge floor, put to the best merge there is at the widest adapter's rank: tight."""
    # Of all adapters with equal weights, as the theorem has it.
    adapters = [Adapter.of({module.name: low}) for low in module.updates]
    weights = [1 / len(adapters)] * len(adapters)
    # The truncated mean meets the floor, so that its verdict is tight.
    best = merge(adapters, "svd", weights=weights, rank=module.rank)[module.name]
    case, note = Tasks(module.updates, module.rank), f"at rank {module.rank}"
    yield judge(theorem("merge-floor"), case, best, module.together, note=note)


def ask_summed_rank(module: Module) -> Iterator[Reading]:
    """The rank of the sum."""
    ranks = tuple(low.rank_at(rank_subadditivity.SURE) for low in module.updates)
    if all(ranks):
        rows, columns = rank_subadditivity.spans(module.updates)
        case = rank_subadditivity.Case(ranks, rows, columns)
        note = f"ranks {', '.join(map(str, ranks))} span {rows} rows and {columns} columns together"
        yield judge(rank_subadditivity.THEOREM, case, module.updates, module.together, note, note)


def ask_factor_mean(module: Module) -> Iterator[Reading]:
    """What the mean of factors misses: put to no correction at all, so that the value is that."""
    law, widths = factor_mean_residual.THEOREM, list(map(attrgetter("width"), module.updates))
    if len(set(widths)) > 1:
        note = f"needs factors of one width; they have {', '.join(map(str, widths))}"
        yield module.together.reading(law.label, None, None, note)
        return
    case = factor_mean_residual.Case(module.updates, (1 / len(widths),) * len(widths), 0)
    # Put to no correction at all, the theorem's value is what averaging misses.
    nothing = LowRank(module.updates[0].up[:, :0], module.updates[0].down[:0, :])
    yield judge(law, case, nothing, module.together, note="uncorrected")


def ask_covariance_floor(module: Module) -> Iterator[Reading]:
    """The covariance floor on real inputs, put to the merge that is best without data."""
    x, updates = module.inputs, module.updates
    # The root of the second moments that all adapters share.
    case = Tasks(updates, module.rank, (x.T / len(x) ** 0.5,) * len(updates))
    best = attain(Tasks(updates, module.rank))
    note = f"the data-free optimum of rank {module.rank} on {len(x)} tokens"
    yield judge(theorem("covariance-floor"), case, best, module.together, note=note)


def ask_crosstalk(module: Module) -> Iterator[Reading]:
    """What each adapter answers to the part of an input that another reads, at the worst token."""
    x, own = module.inputs, zip(module.names, module.updates, strict=True)
    for (reads, reader), (acts, other) in permutations(own, 2):
        case = interference.Case(reader, other)
        # The part of each input that the reader looks at.
        read = project(x.T, case.spaces[0]).T
        length, full = _lengths(read), _lengths(x)
        ratio = _lengths((read @ other.down.T) @ other.up.T) / length
        answered = _lengths((x @ other.down.T) @ other.up.T) / full
        note = (
            f"{100 * float(np.median((length / full) ** 2)):.2g} % of an input's energy lies in "
            f"the rows read (median of {len(x)} tokens); on whole inputs the answer is up to "
            f"{answered.max():.3g} of their length"
        )
        worst = int(np.argmax(ratio))
        answer = interference.Answer(other, read[worst : worst + 1, :].T)
        shown = f"the smallest angle between rows has cosine {largest_cosine(*case.spaces):.3g}"
        place = Place(module.name, f"{reads} ← {acts}")
        yield judge(interference.THEOREM, case, answer, place, shown, note)


def _lengths(x: Float64[np.ndarray, "t n"]) -> Float64[np.ndarray, " t"]:
    """Lengths of rows, to divide by."""
    return np.maximum(np.linalg.norm(x, axis=1), TINY)


def ask_arrow_margin(module: Module) -> Iterator[Reading]:
    """Arrow's margin for the token nearest to each prototype.

    Where the bound is negative the theorem holds and promises nothing.
    """
    tops = np.stack([part.right[0, :] for part in module.parts], axis=1)
    sizes = np.array([part.sigma[0] for part in module.parts])
    unit = module.inputs / np.linalg.norm(module.inputs, axis=1, keepdims=True)
    for i, name in enumerate(module.names):
        # The theorem's case has the adapter in question first.
        order = np.r_[i, np.delete(np.arange(len(sizes)), i)]
        cosines = np.minimum(np.abs(unit @ tops[:, i]), 1.0)
        nearest = int(np.argmax(cosines))
        angle = acos(cosines[nearest])
        case = arrow.Near(tops[:, order], tuple(sizes[order].tolist()), angle)
        between = acos(max(case.cosines))
        within = np.arccos(cosines) < arrow.safe_angle(between)
        note = (
            f"the nearest of {len(unit)} tokens is {degrees(angle):.0f}° from the prototype, "
            f"another prototype {degrees(between):.0f}°; {100 * float(within.mean()):.2g} % of "
            "tokens are within half of that"
        )
        place = Place(module.name, name)
        yield judge(theorem("arrow-margin"), case, unit[nearest], place, note, note)


def ask_arrow_blind_spot(module: Module) -> Iterator[Reading]:
    """Arrow's blind spot, with each adapter's right singular vectors for the keys that it edits."""
    parts, x = module.parts, module.inputs
    # As many keys of each as the adapter with the fewest has.
    facts = min(int((part.sigma > 1e-9 * part.sigma[0]).sum()) for part in parts)
    keys = tuple(part.right[:facts, :].T for part in parts)
    case = arrow.Case(keys, tuple(part.sigma[:facts] for part in parts))
    crossing = max(largest_cosine(one, two) for one, two in combinations(keys, 2))
    unseen = []
    for low, part in zip(module.updates, parts, strict=True):
        top = part.right[:1, :]
        full = (((x @ low.down.T) @ low.up.T) ** 2).sum(axis=1)
        seen = (((x @ top.T @ top @ low.down.T) @ low.up.T) ** 2).sum(axis=1)
        share = float(np.median(1 - seen / np.maximum(full, TINY)))
        unseen.append(f"{100 * share:.2g} %")
    note = (
        f"keys of different adapters meet at cosine {crossing:.2g}; of real answers "
        f"{', '.join(unseen)} comes from directions that Arrow does not look at (medians)"
    )
    yield judge(arrow.THEOREM, case, module.updates, module.together, note, note)


def ask_scores(
    block: str,
    pairs: Sequence[Head],
    places: Mapping[str, Map],
    names: Sequence[str],
    updates: Mapping[str, Sequence[LowRank]],
) -> Iterator[Reading]:
    """Yield, for each adapter that moves attention scores and for their sum, the most moved head.

    `updates` by module, one for each adapter, of width 0 where there is none. The scores' form is
    taken at equal positions: a rotary embedding turns the keys by an orthogonal matrix, which
    changes no rank. Costs thin decompositions of width 2h a head.
    """
    frozen: dict[str, np.ndarray] = {}
    moves: dict[str, dict[str, LowRank]] = {who: {} for who in names}
    together: dict[str, LowRank] = {}
    for name in sorted({rows.module for rows in chain.from_iterable(pairs)}):
        frozen[name] = read_weight(places[name], name).astype(np.float64)
        for who, low in zip(names, updates.get(name, ()), strict=False):
            if low.width:
                moves[who][name] = low
        if name in updates:
            together[name] = total(list(updates[name]))
    if sum(map(bool, moves.values())) > 1:
        moves[" + ".join(names)] = together
    for who, lows in moves.items():
        if lows:
            readings = [_check_head(Place(block, who), pair, frozen, lows) for pair in pairs]
            # The head that comes nearest to its bound, or beyond it.
            yield max(readings, key=lambda one: (one.value or 0.0) - (one.bound or 0.0))


def _check_head(
    place: Place, pair: Head, frozen: Mapping[str, np.ndarray], updates: Mapping[str, LowRank]
) -> Reading:
    """Check one head: rows of the frozen weights, and of the updates, none wider than the head."""
    bases, moves, least = [], [], 1.0
    for module, start, stop in pair:
        base = frozen[module][start:stop]
        nothing = LowRank(np.zeros((stop, 0)), np.zeros((0, base.shape[1])))
        low = updates.get(module, nothing).rows(slice(start, stop))
        bases.append(base)
        # A wide update of few rows is rewritten with as many factors as rows.
        moves.append(low if low.width <= len(base) else LowRank(np.eye(len(base)), low.dense()))
        sigma = np.linalg.svd(base, compute_uv=False)
        least = min(least, float(sigma[-1] / sigma[0]) if sigma[0] else 0.0)
    ranks = (moves[0].width, moves[1].width)
    case = Change(bases[0], bases[1], ranks)
    note = f"ranks {ranks[0]} of the queries and {ranks[1]} of the keys, of {len(bases[0])} rows"
    shown = f"the least singular value of a head is {least:.1g} of the largest"
    return judge(theorem("score-change-rank"), case, tuple(moves), place, shown, note)


class Question(NamedTuple):
    """What a theorem is asked: in words, and of each module that at least `adapters` change.

    `answers` is None where more than a module is looked at: an attention block, or logits.
    """

    text: str
    answers: Callable[[Module], Iterator[Reading]] | None = None
    adapters: int = 2


# fmt: off
QUESTIONS = {
    "base": Question("Is the base weight noise? (largest singular value)", ask_spectrum, 0),
    "thm:intruder-threshold": Question(
        "Does an adapter top the weight? (squared overlap)", ask_intrusion, 1),
    "thm:merge-floor": Question(
        "How near can one adapter come to all? (mean squared distance)", ask_merge_floor),
    "thm:rank-subadditivity": Question("Which rank has the sum? (at least)", ask_summed_rank),
    "thm:factor-mean-residual": Question(
        "What does averaging factors miss? (squared distance)", ask_factor_mean),
    "thm:covariance-floor": Question(
        "What must one for all miss on inputs? (squared error)", ask_covariance_floor),
    "thm:interference-angle": Question(
        "What does one answer to what others read? (output / input)", ask_crosstalk),
    "thm:arrow-margin": Question(
        "Does Arrow send the nearest token right? (margin)", ask_arrow_margin),
    "thm:arrow-blind-spot": Question(
        "How many edited keys does Arrow send right? (share)", ask_arrow_blind_spot),
    "thm:score-change-rank": Question("By which rank do attention scores move? (at most)"),
    "thm:averaging-survival": Question("Does a fact survive the merge? (margin in logits)"),
    "thm:two-read-region": Question("Do two facts compose in the merge? (margin, in deficits)"),
}
# fmt: on
"""The theorems that are asked, in the order of what is printed; ``base`` is only measured."""


@dataclass(frozen=True)
class ModelCheck:
    """The result of checking the theorems on a model and its adapters."""

    model: str
    adapters: tuple[str, ...]  # their names, in the order given
    notes: tuple[str, ...]  # what the user should know about model and adapters, in sentences
    readings: tuple[Reading, ...]  # for each theorem, place and adapter or pair
    kept: tuple[Kept, ...] = ()  # answers of each group under each rule; empty without facts
    leaks: tuple[float, ...] = ()  # drift of each adapter, nats a token on ordinary sentences


def check_model(
    model: Model,
    adapters: Sequence[Adapter] = (),
    *,
    layers: Collection[int] | None = None,
    facts: FactGroups | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> ModelCheck:
    """Check the theorems on a real model's weights, inputs and logits, as `loratheory verify` does.

    Parameters
    ----------
    model : Model
        The base. Nothing of it is changed.
    adapters : sequence of Adapter
        Without any, only the base is checked; two or more are also checked as merged and routed.
    layers : collection of int, optional
        Which layers' modules to look at; all where not given.
    facts : mapping, optional
        For each adapter's name the answer to each prompt; with two adapters also two-hop questions
        under any other name. Inputs of modules come from the first ten prompts of each adapter, or
        from twelve ordinary sentences if there are no facts.
    limit : int, optional
        The largest number of prompts asked of a group, evenly chosen; all where not given.
    progress : callable, optional
        ``progress(modules, count)`` wraps the work in a progress bar.

    Returns
    -------
    ModelCheck
        Costs the eigenvalues of each weight, its singular vectors once for each model (kept in the
        cache), and a few thin decompositions a module. Sums in float32 depend on the number of
        threads: values on one and on two differed by up to 4e-7, relatively.

    Raises
    ------
    ModelError
        If an adapter does not fit, no module is left, facts come without a tokenizer or belong to
        no adapter, or weights or inputs are not finite.
    AdapterError
        If the adapters do not fit each other.
    """
    places, notes = maps(model), list(model.notes)
    names = distinct(list(map(attrgetter("info.name"), adapters)))
    facts = group_facts(facts, adapters, names) if facts else {}
    wanted: Iterable[str] = places
    if adapters:
        together, wanted = fit_adapters(model, adapters)
        notes += (*together.report, *together.info.notes)
    updates: dict[str, list[LowRank]] = {}
    for name in wanted:
        layer = layer_of(name)
        # Without adapters nothing is asked of maps outside the layers, such as the head.
        inside = (adapters or layer is not None) if layers is None else layer in layers
        if inside and not places[name].embedding:
            own = together.updates(name) if adapters else ()
            updates[name] = [low.map(double).map(host) for low in own]
    if not updates:
        raise failure(model, "no linear map is left to check", "name other layers or adapters")
    inputs = _collect_inputs(model, names, facts, [*updates]) if adapters else {}
    readings: list[Reading] = []
    for name in progress([*updates], len(updates)) if progress else updates:
        who, changes = list[str](), list[LowRank]()
        for adapter, low in zip(names, updates[name], strict=False):
            # An update of zeros is no adapter of this module.
            if low.up.any() and low.down.any():
                who.append(adapter)
                changes.append(low)
        weight, share = read_weight(places[name], name), 1 / max(1, len(names))
        module = Module(name, weight, tuple(who), tuple(changes), inputs.get(name), share)
        for question in QUESTIONS.values():
            if question.answers and len(module.updates) >= question.adapters:
                readings += question.answers(module)
    # Scores need queries and keys together, so that no single module can be asked.
    for block, pairs in find_heads(model, places).items() if adapters else ():
        if layers is None or layer_of(block) in layers:
            readings += ask_scores(block, pairs, places, names, updates)
    margins, kept = ask_facts(model, adapters, names, facts, limit)
    drifts = measure_drift(model, adapters)
    title = model.name or model.kind
    return ModelCheck(title, names, tuple(notes), (*readings, *margins), tuple(kept), drifts)


def _collect_inputs(
    model: Model, names: Sequence[str], facts: FactGroups, modules: Sequence[str]
) -> dict[str, Float64[np.ndarray, "t n"]]:
    """Return at most `TOKENS` inputs of each module, evenly chosen, none zero."""
    prompts: list[str] = []
    for name in names:
        prompts += [*facts.get(name, ())][:PROMPTS]
    inputs = {}
    for name, x in collect_inputs(model, one_by_one(model, prompts or GENERIC), modules).items():
        # A direction is asked of inputs, and zero has none.
        rows = x[x.any(dim=1)]
        # Thinned before they are widened: those of all modules are in memory at once.
        inputs[name] = rows[:: max(1, -(-len(rows) // TOKENS))].double().cpu().numpy()
    return inputs


def summarise(readings: Sequence[Reading]) -> list[dict[str, Any]]:
    """Return a row for each theorem that a check has readings of, in the order of `QUESTIONS`.

    A row has the `label`, the `question` in plain words, the number of readings as `places`, how
    many `holds` (with those that are tight), are `tight`, `broken` and `silent`, and the medians
    `bound` and `value` of what was predicted and measured, silent readings included. For margins
    they are None, since a median would hide which adapter and rule of reuse lose what: see `Kept`.
    There `agree` is the share of readings whose bound and value have the same sign. `why` is the
    commonest kind of note, from its first reading.
    """
    groups, rows = defaultdict[str, list[Reading]](list), list[dict[str, Any]]()
    for reading in readings:
        groups["base" if reading.outcome == "measured" else reading.label].append(reading)
    for label, question in QUESTIONS.items():
        if groups[label]:
            rows.append(_sum_up(question.text, groups[label]))
    return rows


def _sum_up(question: str, readings: Sequence[Reading]) -> dict[str, Any]:
    label, counts = readings[0].label, Counter(map(attrgetter("outcome"), readings))
    pairs = [(r.bound, r.value) for r in readings if r.bound is not None and r.value is not None]
    row: dict[str, Any] = dict.fromkeys(("bound", "value", "agree"))
    if pairs:
        numbers = np.array(pairs)
        # A median of margins would hide which adapter loses what.
        if label in SIGNED:
            row["agree"] = float(((numbers[:, 0] > 0) == (numbers[:, 1] > 0)).mean())
        else:
            row["bound"], row["value"] = np.median(numbers, axis=0).tolist()
    notes = [r.note for r in readings if r.outcome in ("not applicable", "measured")]
    notes = notes or [readings[0].note]
    # Notes are of one kind if they differ only in the numbers at the end of their first clause.
    kinds = [note.partition(";")[0].rstrip("0123456789 ×.") for note in notes]
    row["why"] = notes[kinds.index(max(kinds, key=kinds.count))]
    row |= {"holds": counts["holds"] + counts["tight"], "tight": counts["tight"]}
    row |= {"broken": counts["broken"], "silent": counts["not applicable"]}
    return {**row, "label": label, "question": question, "places": len(readings)}
