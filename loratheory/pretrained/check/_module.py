"""What the theorems say of one module: its base weight, and the adapters that act there.

Each function puts one question to one theorem and yields what it answered, adapter by adapter or
pair by pair; the table of them all stands in `loratheory.pretrained.check._checked`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import acos, degrees
from typing import Any

import numpy as np

from loratheory.adapters import Adapter, merge
from loratheory.lowrank import LowRank, largest_cosine, project
from loratheory.pretrained.check._reading import Place, Reading, judged
from loratheory.pretrained.check._weights import Basis, Noise, basis, intruders, noise
from loratheory.shapes import Float, Float64
from loratheory.theorems import theorem
from loratheory.theorems.expressiveness.rank_floor import Tasks, attain
from loratheory.theorems.libraries import interference
from loratheory.theorems.merging import factor_mean_residual, intruder_threshold, rank_subadditivity
from loratheory.theorems.routing import arrow

TINY = 1e-300  # in place of a length of zero that is divided by


@dataclass(frozen=True, eq=False)
class Module:
    """One module of the model, with what is only worked out once asked for."""

    name: str
    weight: Float[np.ndarray, "m n"]  # the base's
    names: tuple[str, ...] = ()  # of the adapters that change it
    updates: tuple[LowRank, ...] = ()  # one an adapter, float64, of positive rank
    inputs: Any = None  # (t, n): what the base feeds it, a token a row, none zero
    coefficient: float = 1.0  # of each in the mean of all adapters, those absent here included
    prompts: tuple[tuple[Any, ...], ...] = ()  # by adapter: (t, n) inputs of each of its prompts

    @cached_property
    def basis(self) -> Basis:
        """The weight's singular vectors, from the cache where they are there."""
        return basis(self.weight)

    @cached_property
    def noise(self) -> Noise:
        """How Gaussian the weight is; singular vectors are worth their price for adapters only."""
        return noise(self.weight, self.basis.sigma if self.updates else None)

    @cached_property
    def parts(self) -> tuple[Any, ...]:
        """The singular value decomposition of each update."""
        return tuple(low.svd() for low in self.updates)

    @property
    def rank(self) -> int:
        """Of the widest adapter: what one that replaces them all may have."""
        return max(low.width for low in self.updates)

    @property
    def together(self) -> Place:
        """The module, about all adapters."""
        return Place(self.name, " + ".join(self.names))


def spectrum(module: Module) -> Iterator[Reading]:
    """The largest singular value beside the edge of Marchenko and Pastur.

    Measured, not judged: that a weight is Gaussian is a hypothesis, not a theorem.
    """
    seen = module.noise
    note = (
        f"{seen.spikes} singular values beyond noise hold {100 * seen.energy:.2g} % of the squared "
        f"norm; distance to the law {seen.distance:.2f}, kurtosis {seen.kurtosis:.3g} (normal: 3)"
    )
    label = intruder_threshold.THEOREM.label
    yield Place(module.name, "base").reading(label, seen.edge, seen.top, note, "measured")


def intrusion(module: Module) -> Iterator[Reading]:
    """How far each adapter's strongest direction becomes the weight's own, alone and in the mean.

    The bound is the squared overlap in a Gaussian base, the value that of the top left singular
    vector of the adapted weight with the adapter's own.
    """
    for name, low in zip(module.names, module.updates, strict=True):
        for c in sorted({1.0, module.coefficient}, reverse=True):
            place = Place(module.name, name if c == 1 else f"{c:g} × {name}")
            yield _intruder(module, place, low, c)


def _intruder(module: Module, place: Place, low: LowRank, coefficient: float) -> Reading:
    (m, n), seen, part = low.shape, module.noise, low.svd(1)
    top = intruders(module.weight, module.basis, coefficient * low)
    overlap = float(part.left[:, 0] @ top.first) ** 2
    size = seen.spread * max(m, n) ** 0.5 or 1.0
    case = intruder_threshold.Case(float(part.sigma[0]) / size, coefficient, n)
    note = (
        f"{top.count()} of the top {len(top.cosines)} directions are not the base's; the "
        f"adapter's largest singular value is {case.merged:.2g} times the noise level"
    )
    needs = f"a square base, this is {m} × {n}"
    if m == n:
        matrix = np.asarray(module.weight, np.float64)[None] / size
        sample = intruder_threshold.Sample(matrix, part.left.T, part.right)
        hypotheses = intruder_threshold.THEOREM.assumptions
        missing = [each.text for each in hypotheses if not each.holds(case, sample)]
        if not missing:
            return judged(intruder_threshold.THEOREM, case, sample, place, note=note)
        kind = f"kurtosis {seen.kurtosis:.3g}, {seen.spikes} singular values beyond noise"
        needs = f"{missing[0]}; {kind}"
    # The theorem's own measure would be that of a Gaussian base: the overlap here is measured.
    label, bound = intruder_threshold.THEOREM.label, intruder_threshold.bound(case)
    return place.reading(label, bound, overlap, f"needs {needs}; {note}")


def floor(module: Module) -> Iterator[Reading]:
    """The merge floor, put to the best merge there is at the widest adapter's rank: tight."""
    adapters = [Adapter.of({module.name: low}) for low in module.updates]
    weights = [1 / len(adapters)] * len(adapters)
    best = merge(adapters, "svd", weights=weights, rank=module.rank)[module.name]
    case, note = Tasks(module.updates, module.rank), f"at rank {module.rank}"
    yield judged(theorem("merge-floor"), case, best, module.together, note=note)


def summed_rank(module: Module) -> Iterator[Reading]:
    """The rank of the sum."""
    ranks = tuple(low.rank_at(rank_subadditivity.SURE) for low in module.updates)
    if all(ranks):
        rows, columns = rank_subadditivity.spans(module.updates)
        case = rank_subadditivity.Case(ranks, rows, columns)
        note = f"ranks {', '.join(map(str, ranks))} span {rows} rows and {columns} columns together"
        yield judged(rank_subadditivity.THEOREM, case, module.updates, module.together, note, note)


def factor_mean(module: Module) -> Iterator[Reading]:
    """What the mean of factors misses: put to no correction at all, so that the value is that."""
    law, widths = factor_mean_residual.THEOREM, [low.width for low in module.updates]
    if len(set(widths)) > 1:
        note = f"needs factors of one width; they have {', '.join(map(str, widths))}"
        yield module.together.reading(law.label, None, None, note)
        return
    case = factor_mean_residual.Case(module.updates, (1 / len(widths),) * len(widths), 0)
    nothing = LowRank(module.updates[0].up[:, :0], module.updates[0].down[:0, :])
    yield judged(law, case, nothing, module.together, note="uncorrected")


def input_floor(module: Module) -> Iterator[Reading]:
    """The covariance floor on real inputs, put to the merge that is best without data."""
    x, updates = module.inputs, module.updates
    case = Tasks(updates, module.rank, (x.T / len(x) ** 0.5,) * len(updates))
    best = attain(Tasks(updates, module.rank))
    note = f"the data-free optimum of rank {module.rank} on {len(x)} tokens"
    yield judged(theorem("covariance-floor"), case, best, module.together, note=note)


def crosstalk(module: Module) -> Iterator[Reading]:
    """What each adapter answers to the part of an input that another reads, at the worst token."""
    for i, reader in enumerate(module.updates):
        for j, other in enumerate(module.updates):
            if i != j:
                place = Place(module.name, f"{module.names[i]} ← {module.names[j]}")
                yield _crosstalk(place, reader, other, module.inputs)


def _crosstalk(
    place: Place, reader: LowRank, other: LowRank, x: Float64[np.ndarray, "t n"]
) -> Reading:
    case = interference.Case(reader, other)
    read = project(x.T, case.spaces[0]).T
    length, full = (np.maximum(np.linalg.norm(part, axis=1), TINY) for part in (read, x))
    ratio = np.linalg.norm((read @ other.down.T) @ other.up.T, axis=1) / length
    answered = np.linalg.norm((x @ other.down.T) @ other.up.T, axis=1) / full
    note = (
        f"{100 * float(np.median((length / full) ** 2)):.2g} % of an input's energy lies in the "
        f"rows read (median of {len(x)} tokens); on whole inputs the answer is up to "
        f"{answered.max():.3g} of their length"
    )
    worst = int(np.argmax(ratio))
    answer = interference.Answer(other, read[worst : worst + 1, :].T)
    shown = f"the smallest angle between rows has cosine {largest_cosine(*case.spaces):.3g}"
    return judged(interference.THEOREM, case, answer, place, shown, note)


def arrow_nearest(module: Module) -> Iterator[Reading]:
    """Arrow's margin for the token nearest to each prototype.

    Where the bound is negative the theorem holds and promises nothing.
    """
    tops = np.stack([part.right[0, :] for part in module.parts], axis=1)
    sizes = [float(part.sigma[0]) for part in module.parts]
    unit = module.inputs / np.linalg.norm(module.inputs, axis=1, keepdims=True)
    for i, name in enumerate(module.names):
        order = [i, *(j for j in range(len(sizes)) if j != i)]
        cosines = np.abs(unit @ tops[:, i])
        nearest = int(np.argmax(cosines))
        angle = acos(min(1.0, float(cosines[nearest])))
        case = arrow.Near(tops[:, order], tuple(sizes[j] for j in order), angle)
        between = acos(max(case.cosines))
        within = np.arccos(np.minimum(cosines, 1.0)) < arrow.safe_angle(between)
        note = (
            f"the nearest of {len(unit)} tokens is {degrees(angle):.0f}° from the prototype, "
            f"another prototype {degrees(between):.0f}°; {100 * float(within.mean()):.2g} % of "
            "tokens are within half of that"
        )
        place = Place(module.name, name)
        yield judged(theorem("arrow-margin"), case, unit[nearest], place, note, note)


def arrow_blind(module: Module) -> Iterator[Reading]:
    """Arrow's blind spot, with each adapter's right singular vectors for the keys that it edits."""
    parts, x = module.parts, module.inputs
    facts = min(int((part.sigma > 1e-9 * part.sigma[0]).sum()) for part in parts)
    keys = tuple(part.right[:facts, :].T for part in parts)
    case = arrow.Case(keys, tuple(part.sigma[:facts] for part in parts))
    crossing = max(largest_cosine(one, two) for k, one in enumerate(keys) for two in keys[:k])
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
    yield judged(arrow.THEOREM, case, module.updates, module.together, note, note)


def arrow_facts(module: Module) -> Iterator[Reading]:
    """Arrow's law on facts: the key of each is the token of its prompt that is answered most.

    Its strength is that answer's length. Never a verdict: the law is of keys in random directions
    and of updates that hold these facts alone, and whoever reads it sees how far both are away.
    """
    each = list(map(_keys, module.updates, module.prompts))
    if not each or any(len(keys) == 0 for keys, _ in each):
        return
    tops = np.stack([part.right[0, :] for part in module.parts])
    for i, name in enumerate(module.names):
        keys, strengths = each[i]
        relative = strengths / max(float(strengths.max()), TINY)
        laws = [arrow.limit_accuracy(len(tops), float(s)) for s in relative]
        right = np.argmax(np.abs(keys @ tops.T), axis=1) == i
        others = np.concatenate([other for j, (other, _) in enumerate(each) if j != i])
        n, within = keys.shape[1], (keys @ keys.T)[np.triu_indices(len(keys), 1)]
        near = [n * float(np.mean(c**2)) if c.size else 0.0 for c in (within, keys @ others.T)]
        note = (
            f"needs keys in independent random directions; their mean squared cosines are "
            f"{near[0]:.3g} times 1/{n} within the adapter, {near[1]:.3g} times with others; "
            f"the median strength is {float(np.median(relative)):.2g} of the largest"
        )
        label, bound = arrow.LAW.label, float(np.mean(laws))
        yield Place(module.name, name).reading(label, bound, float(np.mean(right)), note)


def _keys(low: LowRank, prompts: tuple[Any, ...]) -> tuple[Any, Any]:
    """The direction that an update answers most in each prompt, and how strongly."""
    keys, strengths = [], []
    for x in prompts:
        unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), TINY)
        answers = np.linalg.norm((unit @ low.down.T) @ low.up.T, axis=1)
        keys.append(unit[int(np.argmax(answers))])
        strengths.append(float(answers.max()))
    return np.array(keys), np.array(strengths)
