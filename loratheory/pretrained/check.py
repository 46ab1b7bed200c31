r"""Check theorems on a real model: verdicts, or the hypothesis that fails there.

`QUESTIONS` is the table of what is asked: a row names a theorem and the function that puts it to a
module. Facts, which need prompts and answers, come after all modules.

**Noise.** Entries of variance :math:`s^2` give singular values between :math:`s(\sqrt n - \sqrt m)`
and :math:`s(\sqrt n + \sqrt m)` (Marchenko and Pastur). Larger ones, by more than chance, are
structure, for which ``thm:intruder-threshold`` makes no claim.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, permutations
from math import acos, degrees
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from scipy.sparse.linalg import aslinearoperator, svds

from loratheory.adapters import Adapter, AdapterOrPath, merge, read_all
from loratheory.diagnosis import distinct, layer_of
from loratheory.lowrank import LowRank, double, host, largest_cosine, project
from loratheory.pretrained.attach import Attached, attach, collect_inputs, fit_adapters
from loratheory.pretrained.augment import read_rows
from loratheory.pretrained.corners import COEFFICIENTS, interpolate
from loratheory.pretrained.metrics import (
    answer_tokens,
    batch,
    describe_large,
    last_logits,
    measure_drift,
    measure_relative_norm,
    one_by_one,
    require_words,
)
from loratheory.pretrained.models import GENERIC, Map, Model, failure, read_json
from loratheory.pretrained.stand_ins import are_texts
from loratheory.shapes import Float, Float64
from loratheory.theorems import AssumptionError, Theorem, theorem
from loratheory.theorems.expressiveness.rank_floor import Tasks
from loratheory.theorems.libraries import interference
from loratheory.theorems.merging import averaging_survival, corner_law, intruder_threshold
from loratheory.theorems.routing import arrow
from loratheory.toy import AssociativeMemory

TOKENS = 128  # inputs of a module that are looked at, at most
PROMPTS = 10  # of each adapter, from which inputs come
AT_ONCE = 16  # prompts in memory with the logits of every rule
CHANCE = 5.0  # Tracy-Widom units above the edge that noise does not reach
TOP, ALIKE = 10, 0.5
SMALL = 64  # up to this size a dense decomposition is quicker than Lanczos iteration
CLEAR = 1e-6  # a base direction this weak, relative to the strongest, is not compared with
TINY = 1e-300  # in place of a length of zero that is divided by
SIGNED = ("thm:averaging-survival", "thm:corner-law")  # margins: their sign is compared
REMEDY = 'write {"adapter": {"prompt": "answer", …}, "two-hop": {…}}'
Progress = Callable[[Iterable[str], int], Iterable[str]]
# The answer to each prompt: by adapter, and two-hop questions under any other name.
FactGroups = Mapping[str, Mapping[str, str]]
Logits = Float64[np.ndarray, " v"]
Outcome = Literal["holds", "tight", "broken", "not applicable"]


@dataclass(frozen=True)
class Reading:
    """The result of checking one theorem at one place of a model.

    Attributes
    ----------
    label : str
        The theorem, ``thm:…``.
    module : str
        The name of the module; empty for the whole model.
    layer : int or None
        The first number in that name.
    about : str
        The adapter, pair of adapters or prompt that was checked.
    bound, value : float or None
        What the theorem predicts and what was measured; given also where a hypothesis fails, if
        they can be computed.
    outcome : {"holds", "tight", "broken", "not applicable"}
        The judge's verdict.
    note : str
        Which hypothesis fails, with the quantity that shows it; or what else was seen.
    """

    label: str
    module: str
    layer: int | None
    about: str
    bound: float | None
    value: float | None
    outcome: Outcome
    note: str = ""


class Place(NamedTuple):
    """A module, and whom the reading is about."""

    module: str
    about: str

    def reading(
        self,
        label: str,
        bound: float | None,
        value: float | None,
        note: str,
        outcome: Outcome = "not applicable",
    ) -> Reading:
        """The reading of these numbers here; the theorem is silent unless another is given."""
        layer = layer_of(self.module)
        return Reading(label, self.module, layer, self.about, bound, value, outcome, note)


def judge(
    theorem: Theorem[Any, Any],
    case: Any,
    witness: Any,
    place: Place,
    shown: str = "",
    note: str = "",
) -> Reading:
    """Check a theorem on a case and a witness, and return the verdict as a reading at a place.

    The outcome is ``not applicable`` exactly where the theorem's `check` raises `AssumptionError`;
    bound and value are given all the same. `shown` says, in words, which quantity shows that a
    hypothesis fails; `note` is added to other verdicts.
    """
    try:
        verdict = theorem.check(case, witness)
    except AssumptionError as error:
        verdict = theorem.judge(case, witness)
        note = f"needs {str(error).partition('it needs ')[2]}; {shown}"
        return place.reading(theorem.label, verdict.bound, verdict.value, note)
    outcome: Outcome = "broken" if not verdict.holds else "tight" if verdict.tight else "holds"
    return place.reading(theorem.label, verdict.bound, verdict.value, note, outcome)


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


def decompose(
    matrix: Float[np.ndarray, "m n"],
) -> tuple[Float64[np.ndarray, "m k"], Float64[np.ndarray, " k"]]:
    """Return a weight's left singular vectors that are clear, and its singular values, descending.

    Costs the eigenvectors of its smaller Gram matrix, ``O(m n k)`` with ``k = min(m, n)``.
    """
    # The smaller Gram matrix has the squared singular values, at a fraction of the cost.
    squared, vectors = np.linalg.eigh(_gram(matrix))
    sigma, vectors = np.sqrt(np.maximum(squared[::-1], 0.0)), vectors[:, ::-1]
    if matrix.shape[0] > matrix.shape[1]:
        # Left vectors follow from right ones through the weight.
        clear = sigma > CLEAR * sigma[0]
        vectors = matrix @ vectors[:, clear] / sigma[clear]
    return vectors, sigma


def _gram(matrix: Float[np.ndarray, "m n"]) -> Float64[np.ndarray, "k k"]:
    """The Gram matrix of the shorter side, in float64."""
    wide = np.asarray(matrix, np.float64)
    return wide @ wide.T if wide.shape[0] <= wide.shape[1] else wide.T @ wide


class Noise(NamedTuple):
    """A weight compared with a Gaussian matrix of the same shape and norm."""

    spread: float  # root mean square of the entries
    kurtosis: float  # fourth moment over the squared second: 3 for a normal law
    spikes: int  # how many singular values are beyond what noise reaches


def measure_noise(matrix: Float[np.ndarray, "m n"], sigma: Float64[np.ndarray, " k"]) -> Noise:
    """Return how a weight, with these singular values, compares with pure noise.

    References
    ----------
    Marchenko and Pastur (1967); Johnstone, *Annals of Statistics* 29 (2001), for the edge.
    """
    # The law is the same for a matrix and its transpose.
    m, n = sorted(matrix.shape)
    squares = np.asarray(matrix, np.float64) ** 2
    second, fourth = float(squares.mean()), float((squares**2).mean())
    # Johnstone's centre and scale of the largest eigenvalue of noise.
    roots = (n - 1) ** 0.5 + m**0.5
    unit = roots * (1 / max(n - 1, 1) ** 0.5 + 1 / m**0.5) ** (1 / 3)
    beyond = sigma**2 > second * (roots**2 + CHANCE * unit)
    return Noise(second**0.5, fourth / second**2 if second else 0.0, int(beyond.sum()))


def find_intruders(
    matrix: Float[np.ndarray, "m n"],
    base: Float64[np.ndarray, "m k"],
    update: LowRank,
    top: int = TOP,
) -> tuple[Float64[np.ndarray, " top"], Float64[np.ndarray, " m"]]:
    """Return how alike the top directions of an adapted weight are to the base's, and the first.

    The directions are left singular vectors; of each the largest cosine with one of the base. An
    intruder's is below `ALIKE`. `matrix` is the base weight, `base` its left singular vectors,
    `update` what an adapter adds (NumPy). Costs about a hundred products with the weight.

    References
    ----------
    Shuttleworth et al. (arXiv 2410.21228).
    """
    size = min(matrix.shape)
    if size <= max(SMALL, top):
        found = np.linalg.svd(matrix + update.dense())[0][:, : min(top, size)]
    else:
        added = aslinearoperator(update.up) @ aslinearoperator(update.down)
        # A fixed start, so that the same weights give the same numbers.
        start = 1.0 + np.arange(size) / size
        found, sigma, _ = svds(aslinearoperator(matrix) + added, k=top, v0=start)
        found = found[:, np.argsort(sigma)[::-1]]
    return np.abs(base.T @ found).max(axis=0), found[:, 0]


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
    def parts(self) -> tuple[Any, ...]:
        """The singular value decomposition of each update."""
        return tuple(map(LowRank.svd, self.updates))

    @property
    def together(self) -> Place:
        """The module, about all adapters."""
        return Place(self.name, " + ".join(self.names))


def ask_intrusion(module: Module) -> Iterator[Reading]:
    """How far each adapter's strongest direction becomes the weight's own, alone and in the mean.

    The bound is the squared overlap in a Gaussian base, the value that of the top left singular
    vector of the adapted weight with the adapter's own. Never a verdict: no trained weight is
    Gaussian.
    """
    base, sigma = decompose(module.weight)
    seen = measure_noise(module.weight, sigma)
    # The theorem is stated for entries of variance 1 / n.
    size = seen.spread * max(module.weight.shape) ** 0.5 or 1.0
    for name, low, part in zip(module.names, module.updates, module.parts, strict=True):
        for c in sorted({1.0, module.coefficient}, reverse=True):
            cosines, first = find_intruders(module.weight, base, c * low)
            overlap = float(part.left[:, 0] @ first) ** 2
            case = intruder_threshold.Case(float(part.sigma[0]) / size, c, max(low.shape))
            note = (
                f"needs {intruder_threshold.GAUSSIAN}; kurtosis {seen.kurtosis:.3g}, {seen.spikes} "
                f"singular values beyond noise; {(cosines < ALIKE).sum()} of the top "
                f"{len(cosines)} directions are not the base's; the adapter's largest singular "
                f"value is {case.merged:.2g} times the noise level"
            )
            place = Place(module.name, name if c == 1 else f"{c:g} × {name}")
            label, bound = intruder_threshold.THEOREM.label, intruder_threshold.bound(case)
            yield place.reading(label, bound, overlap, note)


def ask_merge_floor(module: Module) -> Iterator[Reading]:
    """The merge floor, put to the best merge there is at the widest adapter's rank: tight."""
    # Of all adapters with equal weights, as the theorem has it.
    adapters = [Adapter.of({module.name: low}) for low in module.updates]
    weights, rank = [1 / len(adapters)] * len(adapters), max(low.width for low in module.updates)
    # The truncated mean meets the floor, so that its verdict is tight.
    best = merge(adapters, "svd", weights=weights, rank=rank)[module.name]
    case = Tasks(module.updates, rank)
    yield judge(theorem("merge-floor"), case, best, module.together, note=f"at rank {rank}")


def ask_crosstalk(module: Module) -> Iterator[Reading]:
    """What each adapter answers to the part of an input that another reads, at the worst token."""
    own = zip(module.names, module.updates, strict=True)
    for (reads, reader), (acts, other) in permutations(own, 2):
        case = interference.Case(reader, other)
        # The part of each input that the reader looks at.
        read = project(module.inputs.T, case.spaces[0]).T
        length = np.maximum(np.linalg.norm(read, axis=1), TINY)
        worst = int(np.argmax(np.linalg.norm(read @ other.down.T @ other.up.T, axis=1) / length))
        answer = interference.Answer(other, read[worst : worst + 1, :].T)
        shown = f"the smallest angle between rows has cosine {largest_cosine(*case.spaces):.3g}"
        place = Place(module.name, f"{reads} ← {acts}")
        yield judge(interference.THEOREM, case, answer, place, shown, shown)


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
        note = (
            f"the nearest of {len(unit)} tokens is {degrees(angle):.0f}° from the prototype, "
            f"another prototype {degrees(acos(max(case.cosines))):.0f}°"
        )
        place = Place(module.name, name)
        yield judge(theorem("arrow-margin"), case, unit[nearest], place, note, note)


def ask_arrow_blind_spot(module: Module) -> Iterator[Reading]:
    """Arrow's blind spot, with each adapter's right singular vectors for the keys that it edits."""
    # As many keys of each as the adapter with the fewest has.
    facts = min(int((part.sigma > 1e-9 * part.sigma[0]).sum()) for part in module.parts)
    keys = tuple(part.right[:facts, :].T for part in module.parts)
    case = arrow.Case(keys, tuple(part.sigma[:facts] for part in module.parts))
    crossing = max(largest_cosine(one, two) for one, two in combinations(keys, 2))
    note = f"keys of different adapters meet at cosine {crossing:.2g}"
    yield judge(arrow.THEOREM, case, module.updates, module.together, note, note)


@dataclass(frozen=True)
class Kept:
    """How many answers of one group are the most likely token under one rule of reuse.

    Attributes
    ----------
    group : str
        The adapter whose facts were asked, or the name of the two-hop questions.
    rule : {"base", "alone", "mean", "sum"}
        No adapter; the group's own at coefficient 1; all adapters at 1 / their number; all at 1.
    predicted : int or None
        Right answers that ``thm:averaging-survival`` predicts for facts (from each adapter's logits
        alone) or ``thm:corner-law`` for two-hop questions under the mean; None if neither does.
    measured, total : int
        Right answers, and prompts.
    """

    group: str
    rule: str
    predicted: int | None
    measured: int
    total: int


def read_fact_groups(file: Path) -> dict[str, dict[str, str]]:
    """Return the facts in a JSON file: for each adapter an object from prompts to answers.

    An example: ``{"persons": {"Zorvik was born in": "Germany", …}, "two-hop": {…}}``. A file of
    JSON Lines, rows of `prompt` and `completion` or `answer`, is for a single adapter; its group
    has no name.

    Raises
    ------
    ModelError
        If the file has another form, no fact, the same group twice, or two answers to a prompt.
    """
    if file.suffix == ".jsonl":
        return {"": read_rows(file)}
    groups = read_json(file, REMEDY)
    if not groups:
        raise failure(file, "there are no facts", REMEDY)
    for name, group in groups.items():
        if not isinstance(group, dict) or not are_texts([*group, *group.values()]):
            where, fact = f"{file}: {name}", "is no object from prompts to answers in words"
            raise failure(where, fact, REMEDY)
    return groups


def group_facts(facts: FactGroups, adapters: Sequence[Adapter], names: Sequence[str]) -> FactGroups:
    """Return the facts by the adapters' short `names`, adapters first, two-hop questions last.

    Groups may also be named by an adapter's whole path. Raises `ModelError` if a group belongs to
    no adapter and cannot be two-hop questions, for which two adapters must have facts.
    """
    # Users name groups by short name or by path. An empty one asks nothing.
    paths = {one.info.name: name for one, name in zip(adapters, names, strict=True)}
    named, place = dict[str, Mapping[str, str]](), "the facts"
    for group, pairs in facts.items():
        name = paths.get(group, group)
        if name in named:
            fact = f"{name!r} is there twice, by its short name and by its path"
            raise failure(place, fact, "put all its facts into one group")
        if pairs:
            named[name] = pairs
    if "" in named:
        if len(names) != 1:
            fact = f"rows of one adapter, and there are {len(names)}"
            raise failure(place, fact, "name one adapter, or write groups by adapter")
        named[names[0]] = named.pop("")
    own = {name: named[name] for name in names if name in named}
    others = {group: named[group] for group in named if group not in own}
    if others and not len(names) == len(own) == 2:
        fact = f"no adapter goes by the name {next(iter(others))!r}"
        remedy = f"write one of {', '.join(names)}; two-hop questions need two adapters with facts"
        raise failure(place, fact, remedy)
    return own | others


class Asked(NamedTuple):
    """The logits of the token after one prompt."""

    number: int  # its place in the group, from 1, as the user's file has it
    target: int  # first token of the answer
    logits: Mapping[Any, Logits]  # of the base, each adapter alone, by number, and each merge

    def margin(self, rule: Any) -> float:
        """Of the target over the best other token."""
        logits = self.logits[rule]
        return float(logits[self.target] - np.delete(logits, self.target).max())

    def predict(self, coefficient: float) -> float:
        """Of the target in a merge of two adapters, interpolated from those that are on or off."""
        corners = (self.logits[rule] for rule in ("base", 0, 1, "sum"))
        logits = interpolate(coefficient, *corners)
        return float(logits[self.target] - np.delete(logits, self.target).max())


def _ask(
    model: Model, acting: Attached, facts: Mapping[str, str], rows: Mapping[Any, Any]
) -> Iterator[Asked]:
    """Prompts and answers asked in order with each row of coefficients, a few prompts at a time."""
    numbered = [*enumerate(facts, 1)]
    answers = [*facts.values()]
    targets = [row[0] for row in answer_tokens(model, answers, [*facts])]
    require_words(model, answers, targets)
    for start in range(0, len(numbered), AT_ONCE):
        # The logits of all prompts would need much room.
        numbers, prompts = zip(*numbered[start : start + AT_ONCE], strict=True)
        ready, passes = batch(model, prompts), []
        for row in rows.values():
            acting.set(row)
            with torch.no_grad():
                passes.append(last_logits(model, ready).double().cpu().numpy())
        for i, number in enumerate(numbers):
            logits = dict(zip(rows, (one[i] for one in passes), strict=True))
            yield Asked(number, targets[number - 1], logits)


def ask_facts(
    model: Model, adapters: Sequence[Adapter], names: Sequence[str], facts: FactGroups
) -> tuple[list[Reading], list[Kept], dict[str, tuple[int, ...]]]:
    """Ask every prompt under every rule, and hold the margins against two theorems.

    `facts` come from `group_facts`. Returns a reading for each fact and merge and for each two-hop
    question; what is kept for each group and rule; and for two adapters, by group, how many
    answers are predicted at each of `COEFFICIENTS`. Costs a pass a prompt for the base, each
    adapter and each merge.
    """
    readings, kept, count = list[Reading](), list[Kept](), len(names)
    predicted = dict[str, tuple[int, ...]]()
    if not facts:
        return readings, kept, predicted
    # The sum of a single adapter is itself.
    merges = {"mean": 1 / count, "sum": 1.0} if count > 1 else {}
    rows: dict[Any, Any] = {"base": 0.0, **dict(enumerate(np.eye(count))), **merges}
    with attach(model, adapters) as acting:
        for group, pairs in facts.items():
            own = names.index(group) if group in names else None
            margins = defaultdict[str, list[float]](list)
            bounds = defaultdict[str, list[float | None]](list)
            windows = list[list[float]]()
            for asked in _ask(model, acting, pairs, rows):
                margins["base"].append(asked.margin("base"))
                if count == 2:
                    windows.append([asked.predict(c) for c in COEFFICIENTS])
                if own is not None:
                    margins["alone"].append(asked.margin(own))
                else:
                    place = Place("", f"{' + '.join(names)}, {group}, question {asked.number}")
                    readings.append(predict_mean(place, asked))
                    bounds["mean"].append(readings[-1].bound)
                for rule, c in merges.items():
                    margins[rule].append(asked.margin(rule))
                    if own is not None:
                        place = Place("", f"{c:g} × {group}, fact {asked.number}")
                        readings.append(predict_survival(place, asked, own, c, rule))
                        bounds[rule].append(readings[-1].bound)
            if windows:
                predicted[group] = tuple((np.array(windows) > 0).sum(0).tolist())
            for rule, values in margins.items():
                # A rule is predicted where every question is.
                known = bounds[rule] and None not in bounds[rule]
                sure = _count_positive(bounds[rule]) if known else None
                kept.append(Kept(group, rule, sure, _count_positive(values), len(values)))
    return readings, kept, predicted


def _count_positive(values: Sequence[Any]) -> int:
    return int((np.array(values) > 0).sum())


def predict_mean(place: Place, asked: Asked) -> Reading:
    """The margin of a question under the mean of two adapters, and what the corners predict.

    The corners are logits with each adapter on or off. Never a verdict: how much a margin bends
    between them is not known.
    """
    bound, value = asked.predict(0.5), asked.margin("mean")
    # By the law the difference is at most an eighth of the curvatures.
    note = (
        f"needs {corner_law.CURVED}; curvatures of {8 * abs(bound - value):.2g} or more in all "
        "would explain the difference"
    )
    return place.reading(corner_law.THEOREM.label, bound, value, note)


def predict_survival(place: Place, fact: Asked, i: int, c: float, rule: str) -> Reading:
    """The margin of a fact of adapter `i` in a merge at coefficient `c`, and its prediction.

    The prediction mixes logits as if the network read its key once, by one weight. Where the
    adapter's logits are not what it adds to the merge, the theorem is silent.
    """
    bare, alone = fact.logits["base"], fact.logits[i]
    # What the other adapters add, if logits were linear in the weights.
    others = np.zeros_like(bare)
    for j, logits in fact.logits.items():
        if isinstance(j, int) and j != i:
            others += c * (logits - bare)
    added = (fact.logits[rule] - bare - others) / c
    # A constant in all logits changes no probability.
    change = alone - bare - (alone - bare).mean()
    size = float(np.linalg.norm(change))
    gap = float(np.linalg.norm(added - added.mean() - change)) / size if size else 0.0
    note = f"what it adds to the merge is {100 * gap:.0f}% off what it adds alone"
    # The theorem's case has the target first.
    order = np.r_[fact.target, np.delete(np.arange(len(added)), fact.target)]
    base, edited, others = bare[order], alone[order], others[order]
    case = averaging_survival.Case(np.ones(1), base, edited, others, c)
    read, *written = (LowRank(x[:, None], np.ones((1, 1))) for x in (base, added[order], others))
    merged = AssociativeMemory(read, tuple(written), (c, 1.0))
    return judge(averaging_survival.THEOREM, case, merged, place, note, note)


class Question(NamedTuple):
    """What a theorem is asked: in words, and of each module that at least `adapters` change.

    `answers` is None where logits are looked at and not a module.
    """

    text: str
    answers: Callable[[Module], Iterator[Reading]] | None = None
    adapters: int = 2


# The theorems that are asked, in the order of what is printed.
# fmt: off
QUESTIONS = {
    "thm:intruder-threshold": Question(
        "Does an adapter dominate the weight? (squared overlap)", ask_intrusion, 1),
    "thm:merge-floor": Question(
        "How close can one merge be to all? (mean squared distance)", ask_merge_floor),
    "thm:interference-angle": Question(
        "How strong is a response to inputs of another? (output / input)", ask_crosstalk),
    "thm:arrow-margin": Question(
        "Does Arrow send the nearest token to its adapter? (margin)", ask_arrow_margin),
    "thm:arrow-blind-spot": Question(
        "How many edited keys does Arrow send to theirs? (share)", ask_arrow_blind_spot),
    "thm:averaging-survival": Question("Does a fact survive the merge? (margin in logits)"),
    "thm:corner-law": Question("Is a two-hop question answered in the mean? (margin)"),
}
# fmt: on


@dataclass(frozen=True)
class ModelCheck:
    """The result of checking the theorems on a model and its adapters."""

    model: str
    adapters: tuple[str, ...]  # their names, in the order given
    notes: tuple[str, ...]  # what the user should know about model and adapters, in sentences
    readings: tuple[Reading, ...]  # for each theorem, place and adapter or pair
    kept: tuple[Kept, ...] = ()  # answers of each group under each rule; empty without facts
    drifts: tuple[float, ...] = ()  # drift of each adapter on generic text, nats per token
    # of two adapters, by group: right answers that the corners predict at each of `COEFFICIENTS`
    predicted: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def check_model(
    model: Model,
    adapters: Sequence[AdapterOrPath],
    *,
    layers: Collection[int] | None = None,
    facts: FactGroups | None = None,
    progress: Progress | None = None,
) -> ModelCheck:
    """Check the theorems on a real model's weights, inputs and logits, as `loratheory verify` does.

    Parameters
    ----------
    model : Model
        The base. Nothing of it is changed.
    adapters : sequence of Adapter or path
        Two or more are also checked as merged and routed.
    layers : collection of int, optional
        Which layers' modules to look at; all where not given.
    facts : mapping, optional
        For each adapter's name the answer to each prompt; with two adapters also two-hop questions
        under any other name. Inputs of modules come from the first ten prompts of each adapter, or
        from the twelve sentences of `GENERIC` if there are no facts.
    progress : callable, optional
        ``progress(modules, count)`` wraps the work in a progress bar.

    Returns
    -------
    ModelCheck
        Costs the singular vectors of each weight and a few thin decompositions a module. Sums in
        float32 depend on the number of threads: values differed by up to 4e-7, relatively.

    Raises
    ------
    ModelError
        If an adapter does not fit, no module is left, facts come without a tokenizer or belong to
        no adapter, or weights or inputs are not finite.
    AdapterError
        If the adapters do not fit each other.
    """
    notes, adapters = list(model.notes), read_all(adapters)
    names = distinct(list(map(attrgetter("info.name"), adapters)))
    facts = group_facts(facts, adapters, names) if facts else {}
    together, places = fit_adapters(model, adapters)
    notes += (*together.report, *together.info.notes)
    for name, one in zip(names, adapters, strict=True):
        if large := describe_large(name, measure_relative_norm(model, one)):
            notes.append(large)
    updates: dict[str, list[LowRank]] = {}
    for name, place in places.items():
        if (layers is None or layer_of(name) in layers) and not place.embedding:
            updates[name] = [low.map(double).map(host) for low in together.updates(name)]
    if not updates:
        raise failure(model, "no linear map is left to check", "name other layers or adapters")
    inputs = _collect_inputs(model, names, facts, [*updates])
    readings: list[Reading] = []
    for name in progress([*updates], len(updates)) if progress else updates:
        who, changes = list[str](), list[LowRank]()
        for adapter, low in zip(names, updates[name], strict=True):
            # An update of zeros is no adapter of this module.
            if low.up.any() and low.down.any():
                who.append(adapter)
                changes.append(low)
        weight, share = read_weight(places[name], name), 1 / len(names)
        module = Module(name, weight, tuple(who), tuple(changes), inputs[name], share)
        for question in QUESTIONS.values():
            if question.answers and len(module.updates) >= question.adapters:
                readings += question.answers(module)
    margins, kept, predicted = ask_facts(model, adapters, names, facts)
    drifts = measure_drift(model, adapters)
    about = (model.name or model.kind, names, tuple(notes), (*readings, *margins))
    return ModelCheck(*about, tuple(kept), drifts, predicted)


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
    first note that explains why there is no verdict, else the first.
    """
    groups, rows = defaultdict[str, list[Reading]](list), list[dict[str, Any]]()
    for reading in readings:
        groups[reading.label].append(reading)
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
    silent = [r.note for r in readings if r.outcome == "not applicable"]
    row["why"] = [*silent, readings[0].note][0]
    row |= {"holds": counts["holds"] + counts["tight"], "tight": counts["tight"]}
    row |= {"broken": counts["broken"], "silent": counts["not applicable"]}
    return {**row, "label": label, "question": question, "places": len(readings)}
