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
from loratheory.evaluate.task_library import CHOOSING, FEW, NAMES, Collection
from loratheory.pretrained import Model, attach, first_tokens, kl_to_base, next_token_logits
from loratheory.pretrained.attach import collect_inputs
from loratheory.pretrained.coefficients import divergence_slopes, optimise_coefficients
from loratheory.pretrained.methods import METHODS, Method, attach_method
from loratheory.pretrained.metrics import batch, kl_by_row, measure_drift, token_log_probs
from loratheory.pretrained.models import GENERIC
from loratheory.shapes import Float64
from paper.studies._shared import Language

OPENINGS = ("The", "In", "She", "When", "If", "We", "After", "It", "They", "On", "One", "Many")
"""What texts begin with that are drawn from the base."""
FULL_TIES = Method("full ties", "ties", {"space": "full", "density": 0.3, "rank": 16})
"""TIES as published, which trims and elects entries of full matrices, cut to the rank of two
adapters. `METHODS` leaves it out for its time."""
Found = tuple[list[float], list[dict[str, float]]]
"""The coefficients with which a group acted, and measures of each adapter."""


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

    def group(self, number: int, seed: int) -> tuple[int, ...]:
        """Return the numbers of the adapters in a group, in order."""
        # All groups in order, of which a permutation picks: no group comes twice.
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


def draw_texts(model: Model, count: int, seed: int, tokens: int) -> list[str]:
    """Draw texts of a few new tokens from what acts on a model, `count` for each opening."""
    import torch

    starts = batch(model, np.repeat(OPENINGS, count).tolist())
    del starts["position_ids"]
    how = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "pad_token_id": 0}
    # The draw depends on the seed alone, and later draws do not depend on it.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        rows = model.network.generate(**starts, **how, max_new_tokens=tokens)
    return [model.tokenizer.decode(row, skip_special_tokens=True) for row in rows]


@lru_cache(maxsize=1)
def collection(model: str, device: str, seed: int, *, taught_silence: bool) -> "StudiedCollection":
    """Return the collection of a seed on a model; it is kept for the next cell of this process."""
    base = Language(model=model, device=device).base(dtype="bfloat16")
    return StudiedCollection(base, seed, taught_silence=taught_silence)


def _kl(one: Any, other: Any) -> Any:
    """Return the divergence from `one` to `other` of each row of log-probabilities, in nats."""
    return kl_by_row(one, other).clamp(min=0)


def weigh(adapters: Sequence[Adapter]) -> dict[str, Float64[np.ndarray, "k k"]]:
    """Return the measures of weights that `StudiedCollection.beside` names, for each two adapters.

    All adapters change the same maps with the same rank. Costs a thin decomposition an adapter and
    map.
    """
    count, answers = len(adapters), []
    inner, alike, weights, energy = np.zeros((4, count, count))
    for name in adapters[0]:
        parts = [adapter[name].svd() for adapter in adapters]
        left, sigma, right = map(np.stack, zip(*parts, strict=True))
        own, other = sigma[:, None, :, None], sigma[None, :, None, :]
        rows = np.einsum("irn,jsn->ijrs", right, right, optimize=True)
        columns = np.einsum("imr,jms->ijrs", left, left, optimize=True)
        # Directions of no size are not read.
        reads = own > 1e-12 * own.max(axis=2, keepdims=True)
        answer = np.linalg.svd(reads * rows * other, compute_uv=False)[..., 0]
        answers.append(answer / sigma[:, :1])
        inner += (own * rows * columns * other).sum((2, 3))
        read, squares = ((own * rows * other) ** 2).sum((2, 3)), (sigma**2).sum(1)
        weight, size = np.sqrt(np.outer(squares, squares)), np.sqrt(read.diagonal())
        alike += weight * read / np.outer(size, size)
        weights += weight
        energy += squares[:, None]
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
        """Self-distillation on 24 texts drawn from the base; none where it is not taught."""
        if not self.taught_silence:
            return []
        return continue_texts(self.model, draw_texts(self.model, 6, self.seed, 8))[:24]

    def asked(self, number: int, count: int | None = None) -> list[str]:
        """Return the prompts of the first `count` questions of a task."""
        return [prompt for prompt, _ in self.questions(number)[:count]]

    def right(self, number: int, logs: Any) -> Any:
        """Return which scoring questions have the right token on top of these log-probabilities."""
        wanted = first_tokens(self.model, [answer for _, answer in self.questions(number)])
        return (logs.argmax(1) == wanted)[CHOOSING:]

    def logs(self, numbers: Sequence[int], count: int | None = None) -> list[Any]:
        """Return the log-probabilities after the first `count` questions of each of these tasks.

        The adapters that act on the model now count.
        """
        import torch

        each = [self.asked(number, count) for number in numbers]
        prompts = np.concatenate(each).tolist()
        # Prompts of like length are passed together, so that little is padded.
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        logits = next_token_logits(self.model, [prompts[i] for i in order], size=48)
        logs = torch.empty_like(logits)
        logs[order] = logits.log_softmax(1)
        return list(logs.split([*map(len, each)]))

    def alone(self, number: int) -> Any:
        """Return the log-probabilities after all questions of a task, its adapter acting alone."""
        if number not in self._alone:
            with attach(self.model, [self.adapter(number)]):
                [self._alone[number]] = self.logs([number])
        return self._alone[number]

    def taught(self, number: int) -> dict[str, float]:
        """Return accuracies of an adapter alone and of the base, and properties of the adapter."""
        [base] = self.logs([number])
        adapter = self.adapter(number)
        return {
            "right": float(self.right(number, self.alone(number)).float().mean()),
            "base": float(self.right(number, base).float().mean()),
            "leak": measure_drift(self.model, [adapter])[0],
            "norm": sum(float(low.norm) ** 2 for low in adapter.values()) ** 0.5,
            "rate": self.rate(number),
        }

    def acted(self, group: Sequence[int], way: Method) -> Found:
        """Let a group act in some way; return the coefficients, and measures of each adapter.

        ``right`` is the accuracy on the adapter's scoring prompts, ``kept`` that on those which it
        answers correctly alone. The prompts that choose are used without their answers: ``kl`` is
        the mean divergence there from the adapter alone, ``kl_few`` that on the first few, and
        ``agreement`` the share with the same top token. Where coefficients are free, those with the
        smallest worst ``kl`` are chosen.
        """
        alone, found = list(map(self.alone, group)), []
        before = [logs[:CHOOSING] for logs in alone]
        acting = attach_method(self.model, list(map(self.adapter, group)), way)

        def _score(numbers: Any) -> Any:
            acting.set(numbers)
            now = self.logs(group, CHOOSING)
            return np.array([_kl(*pair).mean() for pair in zip(before, now, strict=True)])

        with acting:
            # A merged adapter has one number, added ones have one each.
            numbers = acting.coefficients[0].tolist()
            if way.free:
                asked = [self.asked(number, CHOOSING) for number in group]
                slopes = partial(divergence_slopes, self.model, acting, asked, before)
                numbers = list(optimise_coefficients(_score, slopes, way.free, numbers)[0])
                acting.set(numbers)
            now = self.logs(group)
        for number, own, merged in zip(group, alone, now, strict=True):
            knew, knows = self.right(number, own), self.right(number, merged)
            one, two = own[:CHOOSING], merged[:CHOOSING]
            measures = {
                "right": knows.float().mean(),
                "kept": (knows & knew).sum() / knew.sum(),
                "kl_few": _kl(one, two)[:FEW].mean(),
                "kl": _kl(one, two).mean(),
                "agreement": (one.argmax(1) == two.argmax(1)).float().mean(),
            }
            found.append(measures)
        return numbers, found

    def generated(self, number: int) -> tuple[list[str], Any]:
        """Return texts drawn from an adapter alone, and its log-probabilities at their tokens."""
        if number not in self._generated:
            with attach(self.model, [self.adapter(number)]):
                texts = draw_texts(self.model, 1, self.seed, 16)
                self._generated[number] = texts, token_log_probs(self.model, texts)[0]
        return self._generated[number]

    def acted_on_generated(self, group: Sequence[int], way: Method) -> Found:
        """Let a group act in some way; return its coefficients, and a divergence of each adapter.

        ``kl`` is the mean divergence from the adapter alone over the tokens of texts that it wrote.
        """
        written, found = list(map(self.generated, group)), []
        acting = attach_method(self.model, list(map(self.adapter, group)), way)
        with acting:
            for texts, alone in written:
                found.append({"kl": kl_to_base(alone, token_log_probs(self.model, texts)[0])})
        return acting.coefficients[0].tolist(), found

    @cached_property
    def weighed(self) -> dict[str, Float64[np.ndarray, "k k"]]:
        """Measures of the weights of each two adapters, by the name of the measure."""
        return weigh(list(map(self.adapter, range(len(NAMES)))))

    def responses(self, prompts: Sequence[str]) -> Any:
        """Return mean response norms (maps, adapters) in the base, over all tokens of prompts."""
        import torch

        everyone, norms = list(map(self.adapter, range(len(NAMES)))), []
        # Attached but silent: the activations are the bare base's.
        with attach(self.model, everyone, 0.0) as acting:
            fed = collect_inputs(self.model, [batch(self.model, prompts)], acting.names)
            for name, updates in acting.updates.items():
                norms.append(response_norms(updates)(fed[name].float()).mean(0))
        return torch.stack(norms)

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
        [base] = self.logs([number], CHOOSING)
        answer = self.responses(self.asked(number, CHOOSING))
        heard, ordinary = ((each / each[:, [number]]).mean(0) for each in (answer, self.ordinary))
        own, found = self.alone(number)[:CHOOSING], []
        for j in range(len(NAMES)):
            with attach(self.model, [self.adapter(j)]):
                [theirs] = self.logs([number], CHOOSING)
            # Logits add where adapters do not interact.
            mixed = (own + theirs - base).log_softmax(1)
            measures = {
                "own_kl": _kl(base, own).mean(),
                "partner_kl": _kl(base, theirs).mean(),
                "mixed_kl": _kl(own, mixed).mean(),
                "mixed": (mixed.argmax(1) == own.argmax(1)).float().mean(),
                "heard": heard[j],
                "ordinary": ordinary[j],
            }
            weights = {name: table[number, j] for name, table in self.weighed.items()}
            found.append({**measures, **weights})
        return found
