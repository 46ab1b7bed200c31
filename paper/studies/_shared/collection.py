"""Groups of 24 adapters of eight kinds of tasks, and what tells beforehand how they act."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import combinations
from typing import Any

import numpy as np

from loratheory.adapters import Adapter, response_norms
from loratheory.evaluate.answers import continue_texts
from loratheory.evaluate.fact_sets import Items
from loratheory.evaluate.task_library import CHOOSING, FEW, NAMES, TASKS, Collection
from loratheory.pretrained import Model, attach, first_tokens, kl_to_base, next_token_logits
from loratheory.pretrained.attach import collect_inputs
from loratheory.pretrained.coefficients import divergence_slopes, optimise_coefficients
from loratheory.pretrained.methods import METHODS, Method, attach_method
from loratheory.pretrained.metrics import batch, measure_drift, token_log_probs
from loratheory.pretrained.models import GENERIC
from loratheory.shapes import Float64
from paper.studies._shared import Language

OPENINGS = ("The", "In", "She", "When", "If", "We", "After", "It", "They", "On", "One", "Many")
"""What texts begin with that are drawn from the base."""


FULL_TIES = Method("full ties", "ties", {"space": "full", "density": 0.3, "rank": 16})
"""TIES as published, which trims and elects entries of full matrices, cut to the rank of two
adapters. `METHODS` leaves it out for its time."""


@dataclass(frozen=True)
class Stage:
    """A stage of a study: groups of adapters, each measured under several ways of reuse.

    There are `groups` groups of `size` adapters, drawn at random; a cell measures `each` of them,
    on their prompts or, where `generated`, on texts that the adapters themselves write. `ways` are
    names in `loratheory.pretrained.methods.METHODS`, that of `FULL_TIES`, or a number, the
    coefficient with which all adapters of a group are added.
    """

    size: int
    groups: int
    each: int
    ways: tuple[str | float, ...]
    generated: bool = False

    @property
    def cells(self) -> int:
        """The number of cells of this stage."""
        return -(-self.groups // self.each)

    def group(self, number: int, seed: int) -> tuple[int, ...]:
        """Return the numbers of the adapters in a group, in order."""
        every = [*combinations(range(len(NAMES)), self.size)]
        rng = np.random.default_rng([seed, 15, self.size])
        return every[int(rng.permutation(len(every))[number])]

    def acts(self) -> Iterator[tuple[str, Method]]:
        """Yield the names of the ways of reuse, and the ways."""
        for way in self.ways:
            if isinstance(way, str):
                yield way, {**METHODS, FULL_TIES.name: FULL_TIES}[way]
            else:
                name = f"{way} each"
                yield name, Method(name, "cat", free="", share=partial(_always, way))


def _always(coefficient: float, _: int) -> float:
    return coefficient


def silent(model: Model, seed: int, *, tokens: int = 8) -> Items:
    """Return texts drawn from the base, each with the most likely next word.

    Six texts are drawn for each word of `OPENINGS`, and the first 24 good ones returned. A text is
    bad if no word follows, or if its likeliest next token does not begin that word.
    """
    return continue_texts(model, drawn(model, 6, seed, tokens))[:24]


def drawn(model: Model, count: int, seed: int, tokens: int) -> list[str]:
    """Draw texts of a few new tokens from what acts on a model, `count` for each opening."""
    import torch

    starts = batch(model, [word for word in OPENINGS for _ in range(count)])
    given = {name: starts[name] for name in ("input_ids", "attention_mask")}
    how = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "pad_token_id": 0}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        rows = model.network.generate(**given, **how, max_new_tokens=tokens)
    return [model.tokenizer.decode(row, skip_special_tokens=True) for row in rows]


@lru_cache(maxsize=1)
def collection(model: str, device: str, seed: int, *, taught_silence: bool) -> "StudiedCollection":
    """Return the collection of a seed on a model; it is kept for the next cell of this process."""
    base = Language(model=model, device=device).base(dtype="bfloat16")
    return StudiedCollection(base, seed, taught_silence=taught_silence)


def _kl(one: Any, other: Any) -> Any:
    """Return the divergence from `one` to `other` of each row of log-probabilities, in nats."""
    return (one.exp() * (one - other)).sum(1).clamp(min=0)


def weighed(adapters: Sequence[Adapter]) -> dict[str, Float64[np.ndarray, "k k"]]:
    """Return the measures of weights that `Collection.beside` names, for each two adapters.

    All adapters change the same maps. Costs a thin decomposition an adapter and map.
    """
    count, answers = len(adapters), []
    inner, alike, weights, energy = (np.zeros((count, count)) for _ in range(4))
    for name, shape in adapters[0].shapes.items():
        side = factors(name, shape, adapters)
        answer, _, product = relative(side, side)
        answers.append(answer)
        inner += product
        _, sigma, right = side
        both = np.einsum("ir,irn,jsn,js->ijrs", sigma, right, right, sigma, optimize=True)
        read, squares = (both**2).sum((2, 3)), (sigma**2).sum(1)
        weight, own = np.sqrt(np.outer(squares, squares)), np.sqrt(read.diagonal())
        alike += weight * read / np.outer(own, own)
        weights += weight
        energy += np.outer(squares, np.ones(count))
    return {
        "crosstalk": np.median(answers, axis=0),
        "worst": np.max(answers, axis=0),
        "cosine": inner / np.sqrt(energy * energy.T),
        "overlap": alike / weights,
    }


class StudiedCollection(Collection):
    """The same adapters, with what the study measures of groups of them."""

    def __init__(self, model: Model, seed: int, *, taught_silence: bool) -> None:
        super().__init__(model, seed)
        self.taught_silence = taught_silence
        self._alone: dict[int, Any] = {}
        self._generated: dict[int, tuple[list[str], Any]] = {}

    @cached_property
    def silence(self) -> Items:
        """Lessons of silence, see `silent`; none where it is not taught."""
        return silent(self.model, self.seed) if self.taught_silence else []

    def right(self, number: int, logs: Any) -> Any:
        """Return which scoring questions have the right token on top of these log-probabilities."""
        wanted = first_tokens(self.model, [answer for _, answer in self.questions(number)])
        return (logs.argmax(1) == wanted)[CHOOSING:]

    def logs(self, numbers: Sequence[int], count: int | None = None) -> list[Any]:
        """Return the log-probabilities after the first `count` questions of each of these tasks.

        The adapters that act on the model now count.
        """
        import torch

        each = [[prompt for prompt, _ in self.questions(i)[:count]] for i in numbers]
        prompts = [prompt for some in each for prompt in some]
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))  # little is padded
        logits = next_token_logits(self.model, [prompts[i] for i in order], size=48)
        logs = torch.empty_like(logits)
        logs[order] = logits.log_softmax(1)
        return list(logs.split([len(some) for some in each]))

    def alone(self, number: int) -> Any:
        """Return the log-probabilities after all questions of a task, its adapter acting alone."""
        if number not in self._alone:
            with attach(self.model, [self.adapter(number)]):
                [self._alone[number]] = self.logs([number])
        return self._alone[number]

    def taught(self, number: int) -> dict[str, float]:
        """Return accuracies of an adapter alone and of the base, and properties of the adapter."""
        [base] = self.logs([number])
        adapter, alone = self.adapter(number), self.alone(number)
        return {
            "right": float(self.right(number, alone).float().mean()),
            "base": float(self.right(number, base).float().mean()),
            "leak": measure_drift(self.model, [adapter])[0],
            "norm": sum(float(low.norm) ** 2 for low in adapter.values()) ** 0.5,
            "rate": self.rate(number),
        }

    def acted(
        self, group: Sequence[int], way: Method
    ) -> tuple[list[float], list[dict[str, float]]]:
        """Let a group act in some way; return the coefficients, and measures of each adapter.

        ``right`` is the accuracy on the adapter's scoring prompts, ``kept`` that on those which it
        answers correctly alone. The prompts that choose are used without their answers: ``kl`` is
        the mean divergence there from the adapter alone, ``kl_few`` that on the first few, and
        ``agreement`` the share with the same top token. Where coefficients are free, those with the
        smallest worst ``kl`` are chosen.
        """
        alone = [self.alone(number) for number in group]
        acting, _ = attach_method(self.model, [self.adapter(number) for number in group], way)
        with acting:

            def _score(numbers: Any) -> Any:
                acting.set(numbers)
                now = self.logs(group, CHOOSING)
                return np.array(
                    [_kl(a[:CHOOSING], b).mean() for a, b in zip(alone, now, strict=True)]
                )

            numbers = acting.coefficients[0].tolist()
            if way.free:
                asked = [[prompt for prompt, _ in self.questions(i)[:CHOOSING]] for i in group]
                before = [logs[:CHOOSING] for logs in alone]
                slopes = partial(divergence_slopes, self.model, acting, asked, before)
                numbers = list(optimise_coefficients(_score, slopes, way.free, numbers)[0])
                acting.set(numbers)
            now = self.logs(group)
        found = []
        for number, before, after in zip(group, alone, now, strict=True):
            kl = _kl(before[:CHOOSING], after[:CHOOSING])
            knew, knows = self.right(number, before), self.right(number, after)
            same = before[:CHOOSING].argmax(1) == after[:CHOOSING].argmax(1)
            found.append(
                {
                    "right": float(knows.float().mean()),
                    "kept": float((knows & knew).sum() / knew.sum()),
                    "kl_few": float(kl[:FEW].mean()),
                    "kl": float(kl.mean()),
                    "agreement": float(same.float().mean()),
                }
            )
        return numbers, found

    def generated(self, number: int) -> tuple[list[str], Any]:
        """Return texts drawn from an adapter alone, and its log-probabilities at their tokens."""
        if number not in self._generated:
            with attach(self.model, [self.adapter(number)]):
                texts = drawn(self.model, 1, self.seed, tokens=16)
                self._generated[number] = texts, token_log_probs(self.model, texts)[0]
        return self._generated[number]

    def acted_on_generated(
        self, group: Sequence[int], way: Method
    ) -> tuple[list[float], list[dict[str, float]]]:
        """Let a group act in some way; return its coefficients, and a divergence of each adapter.

        ``kl`` is the mean divergence from the adapter alone over the tokens of texts that it wrote.
        """
        written = [self.generated(number) for number in group]
        acting, _ = attach_method(self.model, [self.adapter(number) for number in group], way)
        with acting:
            now = [token_log_probs(self.model, texts)[0] for texts, _ in written]
        found = [
            {"kl": kl_to_base(one, other)} for (_, one), other in zip(written, now, strict=True)
        ]
        return acting.coefficients[0].tolist(), found

    @cached_property
    def weighed(self) -> dict[str, Float64[np.ndarray, "k k"]]:
        """Measures of the weights of each two adapters, by the name of the measure."""
        return weighed([self.adapter(number) for number in range(len(TASKS))])

    def responses(self, prompts: Sequence[str]) -> Any:
        """Return mean response norms (maps, adapters) in the base, over all tokens of prompts."""
        import torch

        everyone = [self.adapter(number) for number in range(len(TASKS))]
        with attach(self.model, everyone, 0.0) as acting:
            fed = collect_inputs(self.model, [batch(self.model, prompts)], acting.names)
            return torch.stack(
                [response_norms(low)(fed[n].float()).mean(0) for n, low in acting.updates.items()]
            )

    @cached_property
    def ordinary(self) -> Any:
        """Mean response norms (maps, adapters) in the base on ordinary sentences."""
        return self.responses(GENERIC)

    def beside(self, number: int) -> list[dict[str, float]]:
        """Return measures of each partner beside this adapter that need no pass of their merge.

        On this adapter's prompts that choose: ``partner_kl`` and ``own_kl``, the divergence from
        the base to the partner and to this adapter; ``mixed_kl``, that from this adapter to the
        base's logits plus what both add to them, and ``mixed``, the share with the same top token;
        ``heard``, the partner's mean response norm over this adapter's, averaged over maps; and
        ``ordinary``, the same on ordinary sentences. From weights: the partner's cross-talk over
        this adapter's largest output norm, its median over maps ``crosstalk`` and its maximum
        ``worst``; the ``cosine`` of the updates; and ``overlap``, the similarity of both row
        spaces, with maps weighted by both norms.
        """
        everyone = [self.adapter(j) for j in range(len(TASKS))]
        [base] = self.logs([number], CHOOSING)
        answer = self.responses([prompt for prompt, _ in self.questions(number)[:CHOOSING]])
        heard, ordinary = ((each / each[:, [number]]).mean(0) for each in (answer, self.ordinary))
        own, found = self.alone(number)[:CHOOSING], []
        for j, partner in enumerate(everyone):
            with attach(self.model, [partner]):
                [theirs] = self.logs([number], CHOOSING)
            mixed = (own + theirs - base).log_softmax(1)
            found.append(
                {
                    "own_kl": float(_kl(base, own).mean()),
                    "partner_kl": float(_kl(base, theirs).mean()),
                    "mixed_kl": float(_kl(own, mixed).mean()),
                    "mixed": float((mixed.argmax(1) == own.argmax(1)).float().mean()),
                    "heard": float(heard[j]),
                    "ordinary": float(ordinary[j]),
                    **{name: float(table[number, j]) for name, table in self.weighed.items()},
                }
            )
        return found


Factors = tuple[np.ndarray, np.ndarray, np.ndarray]


def factors(module: str, shape: tuple[int, int], side: Sequence[Adapter]) -> Factors:
    """Return the singular value decompositions of one module in some adapters, side by side."""
    parts = {a: adapter[module].svd() for a, adapter in enumerate(side) if module in adapter}
    rank = max((part.sigma.shape[0] for part in parts.values()), default=0)
    left, right = np.zeros((len(side), shape[0], rank)), np.zeros((len(side), rank, shape[1]))
    sigma = np.zeros((len(side), rank))
    for a, part in parts.items():
        r = part.sigma.shape[0]
        left[a, :, :r], sigma[a, :r], right[a, :r] = part
    return left, sigma, right


def relative(one: Factors, two: Factors) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return by pairs the relative cross-talk to the first, that to the second, and inner products.

    NaN where one of them is zero or leaves the module alone.
    """
    (left, sigma, right), (other_left, other_sigma, other_right) = one, two
    if not sigma.size or not other_sigma.size:
        nothing = np.full((len(sigma), len(other_sigma)), np.nan)
        return nothing, nothing, np.zeros_like(nothing)
    rows = np.einsum("arn,bsn->abrs", right, other_right, optimize=True)
    columns = np.einsum("amr,bms->abrs", left, other_left, optimize=True)
    own, other = sigma[:, None, :, None], other_sigma[None, :, None, :]
    inner = (own * rows * columns * other).sum(axis=(2, 3))
    sides = (_directions(own) * rows * other, own * rows * _directions(other))
    answers = [np.linalg.svd(side, compute_uv=False)[..., 0] for side in sides]
    tops = np.broadcast_arrays(sigma[:, :1], other_sigma[:, :1].T)
    with np.errstate(invalid="ignore", divide="ignore"):
        some = np.where((tops[0] > 0) & (tops[1] > 0), 1.0, np.nan)
        to_first, to_second = (
            some * answer / top for answer, top in zip(answers, tops, strict=True)
        )
    return to_first, to_second, inner


def _directions(sigma: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """Ones for directions that are read, zeros for those filled up or of no size."""
    return np.asarray(sigma > 1e-12 * sigma.max(axis=(2, 3), keepdims=True), dtype=float)
