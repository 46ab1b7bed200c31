"""Groups of 24 adapters of eight kinds of tasks, and what each adapter keeps in a group."""

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
from loratheory.pretrained.coefficients import divergence_slopes, optimise_coefficients
from loratheory.pretrained.methods import METHODS, Method, attach_method
from loratheory.pretrained.metrics import batch, kl_by_row, measure_drift
from paper.studies._shared import Language

OPENINGS = ("The", "In", "She", "When", "If", "We", "After", "It", "They", "On", "One", "Many")
"""What texts begin with that are drawn from the base."""


@dataclass(frozen=True)
class Stage:
    """A stage of a study: groups of adapters, each measured under several combination methods.

    There are `groups` groups of `size` adapters, drawn at random; a cell measures `each` of them.
    `ways` are names in `loratheory.pretrained.methods.METHODS`, or a number, the coefficient with
    which all adapters of a group are added.
    """

    size: int
    groups: int
    each: int
    ways: tuple[str | float, ...]

    def group(self, number: int, seed: int) -> tuple[int, ...]:
        """Return the numbers of the adapters in a group, in order."""
        # All groups in order, of which a permutation picks: no group comes twice.
        every = [*combinations(range(len(NAMES)), self.size)]
        rng = np.random.default_rng([seed, 15, self.size])
        return every[int(rng.permutation(len(every))[number])]

    def acts(self) -> Iterator[tuple[str, Method]]:
        """Yield the names of the combination methods, and the methods."""
        for way in self.ways:
            if isinstance(way, str):
                yield way, METHODS[way]
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
    """Return the mean divergence from `one` to `other` over rows of log-probabilities, in nats."""
    return kl_by_row(one, other).clamp(min=0).mean()


class StudiedCollection(Collection):
    """The same adapters, with what the study measures of groups of them."""

    def __init__(self, model: Model, seed: int, *, taught_silence: bool) -> None:
        super().__init__(model, seed)
        self.taught_silence = taught_silence
        self._alone: dict[int, Any] = {}

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
        """Return the accuracy of an adapter alone, and its drift as ``drift``."""
        right = self.right(number, self.alone(number)).float().mean()
        return {
            "right": float(right),
            "drift": measure_drift(self.model, [self.adapter(number)])[0],
        }

    def acted(self, group: Sequence[int], way: Method) -> list[dict[str, float]]:
        """Let a group act in some way, and return measures of each adapter.

        ``right`` is the accuracy on the adapter's scoring prompts, ``kept`` that on those which it
        answers correctly alone. ``kl_few`` is the mean divergence from the adapter alone on the
        first few of the prompts that choose, which are used without their answers. Where
        coefficients are free, those with the smallest worst divergence on all of these are chosen.
        """
        alone, found = list(map(self.alone, group)), []
        before = [logs[:CHOOSING] for logs in alone]
        acting = attach_method(self.model, list(map(self.adapter, group)), way)

        def _score(numbers: Any) -> Any:
            acting.set(numbers)
            now = self.logs(group, CHOOSING)
            return np.array([_kl(*pair) for pair in zip(before, now, strict=True)])

        with acting:
            if way.free:
                # A merged adapter has one number, added ones have one each.
                numbers = acting.coefficients[0].tolist()
                asked = [self.asked(number, CHOOSING) for number in group]
                slopes = partial(divergence_slopes, self.model, acting, asked, before)
                acting.set(optimise_coefficients(_score, slopes, way.free, numbers)[0])
            now = self.logs(group)
        for number, own, merged in zip(group, alone, now, strict=True):
            knew, knows = self.right(number, own), self.right(number, merged)
            measures = {
                "right": knows.float().mean(),
                "retention": (knows & knew).sum() / knew.sum(),
                "kl_few": _kl(own[:FEW], merged[:FEW]),
            }
            found.append({name: float(one) for name, one in measures.items()})
        return found
