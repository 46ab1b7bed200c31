"""Measure the retention of adapters in groups from a library of 24 adapters."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import combinations
from typing import Any

import numpy as np

from loratheory.evaluate.answers import continue_texts
from loratheory.evaluate.fact_sets import Items
from loratheory.evaluate.task_library import CHOOSING, FEW, NAMES, Collection
from loratheory.pretrained import Model, attach, first_tokens, next_token_logits
from loratheory.pretrained.coefficients import optimise_coefficients
from loratheory.pretrained.exam import Divergence, join_slopes
from loratheory.pretrained.methods import METHODS, Method, attach_method
from loratheory.pretrained.metrics import batch, kl_by_row, measure_drift
from paper.studies._shared import Language

OPENINGS = ("The", "In", "She", "When", "If", "We", "After", "It", "They", "On", "One", "Many")
"""The first words of texts that are drawn from the base."""


@dataclass(frozen=True)
class Stage:
    """A stage of a study: groups of adapters, each measured under several combination methods.

    There are `groups` groups of `size` adapters `among` all, drawn at random; a run measures `each`
    of them. `methods` are names in `loratheory.pretrained.methods.METHODS`, or a number, the
    coefficient of all adapters in the sum.
    """

    size: int
    groups: int
    each: int
    methods: tuple[str | float, ...]
    among: tuple[int, ...] = tuple(range(len(NAMES)))

    def group(self, number: int, seed: int) -> tuple[int, ...]:
        """Return the numbers of the adapters in a group, in order."""
        # A permutation of all groups, so that no group occurs twice.
        every = [*combinations(self.among, self.size)]
        rng = np.random.default_rng([seed, 15, self.size])
        return every[int(rng.permutation(len(every))[number])]

    def named_methods(self) -> Iterator[tuple[str, Method]]:
        """Yield the names of the combination methods, and the methods."""
        for method in self.methods:
            if isinstance(method, str):
                yield method, METHODS[method]
            else:
                name = f"{method} each"
                yield name, Method(name, "cat", free="", share=partial(_always, method))


def _always(coefficient: float, _: int) -> float:
    return coefficient


def draw_texts(model: Model, count: int, seed: int, tokens: int) -> list[str]:
    """Draw texts of `tokens` new tokens from a model with its adapters, `count` per opening."""
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
def collection(model: str, device: str, seed: int, *, self_distilled: bool) -> "StudiedCollection":
    """Return the collection of a seed on a model; it is kept for the next run of this process."""
    base = Language(model=model, device=device).base(dtype="bfloat16")
    return StudiedCollection(base, seed, self_distilled=self_distilled)


def _kl(one: Any, other: Any) -> Any:
    """Return the mean divergence from `one` to `other` over rows of log-probabilities, in nats."""
    return kl_by_row(one, other).clamp(min=0).mean()


class StudiedCollection(Collection):
    """The task adapters, with the measures of groups of adapters."""

    def __init__(self, model: Model, seed: int, *, self_distilled: bool) -> None:
        super().__init__(model, seed)
        self.self_distilled = self_distilled
        self._alone: dict[int, Any] = {}

    @cached_property
    def self_distillation(self) -> Items:
        """Self-distillation examples on 24 texts drawn from the base; none if not used."""
        if not self.self_distilled:
            return []
        return continue_texts(self.model, draw_texts(self.model, 6, self.seed, 8))[:24]

    def prompts(self, number: int, count: int | None = None) -> list[str]:
        """Return the prompts of the first `count` questions of a task."""
        return [prompt for prompt, _ in self.questions(number)[:count]]

    def score(self, number: int, logs: Any) -> Any:
        """Return the mask of scoring questions whose right token is the most likely token."""
        wanted = first_tokens(self.model, [answer for _, answer in self.questions(number)])
        return (logs.argmax(1) == wanted)[CHOOSING:]

    def logs(self, numbers: Sequence[int], count: int | None = None) -> list[Any]:
        """Return the log-probabilities after the first `count` questions of each task.

        The model is evaluated with its active adapters.
        """
        import torch

        each = [self.prompts(number, count) for number in numbers]
        prompts = np.concatenate(each).tolist()
        # Prompts of similar length are passed together, so that little is padded.
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        logits = next_token_logits(self.model, [prompts[i] for i in order], size=48)
        logs = torch.empty_like(logits)
        logs[order] = logits.log_softmax(1)
        return list(logs.split([*map(len, each)]))

    def alone(self, number: int) -> Any:
        """Return the log-probabilities after all questions of a task, with its adapter alone."""
        if number not in self._alone:
            with attach(self.model, [self.adapter(number)]):
                [self._alone[number]] = self.logs([number])
        return self._alone[number]

    def measure_alone(self, number: int) -> dict[str, float]:
        """Return the accuracy of an adapter alone, ``right``, and its ``drift``."""
        accuracy = self.score(number, self.alone(number)).float().mean()
        return {
            "right": float(accuracy),
            "drift": measure_drift(self.model, [self.adapter(number)])[0],
        }

    def measure_group(self, group: Sequence[int], method: Method) -> list[dict[str, float]]:
        """Combine a group by a method, and return measures of each adapter.

        ``right`` is the accuracy on the adapter's scoring questions, and ``retention`` the accuracy
        on the questions that it answers right alone. ``kl_few`` is the mean divergence from the
        adapter alone on the first `FEW` prompts, without labels. Free coefficients minimise the
        largest divergence on the first `CHOOSING` prompts.
        """
        alone, found = list(map(self.alone, group)), []
        before = [logs[:CHOOSING] for logs in alone]
        active = attach_method(self.model, list(map(self.adapter, group)), method)

        def _score(numbers: Any) -> Any:
            active.set(numbers)
            now = self.logs(group, CHOOSING)
            return np.array([_kl(*pair) for pair in zip(before, now, strict=True)])

        with active:
            if method.free:
                # A merge has one coefficient, added adapters have one coefficient each.
                numbers = active.coefficients[0].tolist()
                search = []
                for number, logs in zip(group, before, strict=True):
                    prompts = self.prompts(number, CHOOSING)
                    search.append(Divergence(self.model, prompts, [[0]] * CHOOSING, [logs]))
                slopes = partial(join_slopes, search, active)
                active.set(optimise_coefficients(_score, slopes, method.free, numbers)[0])
            now = self.logs(group)
        for number, own, merged in zip(group, alone, now, strict=True):
            knew, knows = self.score(number, own), self.score(number, merged)
            measures = {
                "right": knows.float().mean(),
                "retention": (knows & knew).sum() / knew.sum(),
                "kl_few": _kl(own[:FEW], merged[:FEW]),
            }
            found.append({name: float(one) for name, one in measures.items()})
        return found
