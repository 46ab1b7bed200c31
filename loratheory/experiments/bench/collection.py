"""Twenty-four adapters of eight kinds on one language model: trained once, asked in groups.

An answer is right if its first token is the likeliest of the whole vocabulary.
"""

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from loratheory.adapters import Adapter, response_scores
from loratheory.experiments.bench import Language
from loratheory.experiments.bench.language import Items, trained_adapter
from loratheory.experiments.bench.tasks import CHOOSING, FEW, NAMES, TASKS
from loratheory.pretrained import (
    GENERIC,
    Model,
    Training,
    Way,
    attached,
    batch,
    chosen,
    first_tokens,
    inputs,
    leaks,
    next_logits,
    put_on,
)
from loratheory.shapes import Float64

RATES = (3e-3, 1e-3)
OPENINGS = ("The", "In", "She", "When", "If", "We", "After", "It", "They", "On", "One", "Many")
"""What texts begin with that are drawn from the base."""


def silent(model: Model, seed: int, *, tokens: int = 8) -> Items:
    """Return texts drawn from the base, each with the base's own likeliest next word.

    Six a word of `OPENINGS` are drawn. Those are left out where no word follows, or another token
    than that with which the word begins; of the others the first two dozen are returned.
    """
    import torch

    starts = batch(model, [word for word in OPENINGS for _ in range(6)])
    given = {name: starts[name] for name in ("input_ids", "attention_mask")}
    how = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "pad_token_id": 0}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        drawn = model.network.generate(**given, **how, max_new_tokens=tokens)
    texts = [model.tokenizer.decode(row, skip_special_tokens=True) for row in drawn]
    said = next_logits(model, texts).argmax(1).tolist()
    words = [model.tokenizer.decode([token]).strip() for token in said]
    again = first_tokens(model, [word or "a" for word in words]).tolist()
    return [
        (text, word)
        for text, word, token, first in zip(texts, words, said, again, strict=True)
        if word.isalnum() and token == first
    ][:24]


@lru_cache(maxsize=1)
def collection(model: str, device: str, seed: int, *, taught_silence: bool) -> "Collection":
    """Return all adapters of a seed on a model, kept for the next cell of this process."""
    base = Language(model=model, device=device).base(dtype="bfloat16")
    return Collection(base, seed, taught_silence=taught_silence)


class Collection:
    """The adapters of `TASKS` on one model: trained once, kept in the cache, asked in groups.

    Attributes
    ----------
    model : Model
        The base.
    seed : int
        Of what is drawn for lessons, questions and training.
    taught_silence : bool
        Whether texts of the base are among the lessons, see `silent`.
    """

    def __init__(self, model: Model, seed: int, *, taught_silence: bool) -> None:
        self.model, self.seed, self.taught_silence = model, seed, taught_silence
        self._adapters: dict[int, Adapter] = {}
        self._alone: dict[int, Any] = {}

    @cached_property
    def silence(self) -> Items:
        """Lessons of silence; none where it is not taught."""
        return silent(self.model, self.seed) if self.taught_silence else []

    def rate(self, number: int) -> float:
        """The learning rate, crossed with the kind: two of three in every other kind."""
        kind, place = divmod(number, 3)
        return RATES[(kind + place) % 2]

    def adapter(self, number: int) -> Adapter:
        """Return the adapter of a task; trained in half a minute where it is not yet."""
        if number not in self._adapters:
            lessons, _ = TASKS[NAMES[number]].drawn(self.seed, number)
            self._adapters[number] = trained_adapter(
                self.model,
                [*lessons, *self.silence],
                seed=(self.seed, 14, number),
                training=Training(rate=self.rate(number), window=5, enough=0.1),
            )
        return self._adapters[number]

    def questions(self, number: int) -> Items:
        """What is asked about a task: first the prompts that choose, then those that score."""
        return TASKS[NAMES[number]].drawn(self.seed, number)[1]

    def right(self, number: int, logs: Any) -> Any:
        """Which of these log-probabilities after its questions have the right token on top."""
        wanted = first_tokens(self.model, [answer for _, answer in self.questions(number)])
        return (logs.argmax(1) == wanted)[CHOOSING:]

    def logs(self, numbers: Sequence[int], count: int | None = None) -> list[Any]:
        """Log-probabilities after the first `count` questions of tasks, with whatever acts now."""
        import torch

        each = [[prompt for prompt, _ in self.questions(i)[:count]] for i in numbers]
        prompts = [prompt for some in each for prompt in some]
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))  # little is padded
        logits = next_logits(self.model, [prompts[i] for i in order], size=48)
        logs = torch.empty_like(logits)
        logs[order] = logits.log_softmax(1)
        return list(logs.split([len(some) for some in each]))

    def alone(self, number: int) -> Any:
        """Log-probabilities after all questions of a task, its adapter acting alone."""
        if number not in self._alone:
            with attached(self.model, [self.adapter(number)]):
                [self._alone[number]] = self.logs([number])
        return self._alone[number]

    def taught(self, number: int) -> dict[str, float]:
        """Return what an adapter does alone, beside the base, and what it is like."""
        [base] = self.logs([number])
        adapter, alone = self.adapter(number), self.alone(number)
        return {
            "right": float(self.right(number, alone).float().mean()),
            "base": float(self.right(number, base).float().mean()),
            "leak": leaks(self.model, [adapter])[0],
            "norm": sum(float(low.norm) ** 2 for low in adapter.values()) ** 0.5,
            "rate": self.rate(number),
        }

    def acted(self, group: Sequence[int], way: Way) -> tuple[list[float], list[dict[str, float]]]:
        """Let adapters act in some way; its coefficients, and what is kept of each adapter.

        ``right`` is the share of scoring prompts, ``kept`` that of those which the adapter alone
        answers rightly. On the prompts that choose, whose answers are not looked at, ``kl`` is the
        mean divergence from the adapter alone, ``kl_few`` that of the first few, ``agreement`` the
        share with the same token. Free coefficients are those of smallest worst ``kl``.
        """
        alone = [self.alone(number) for number in group]
        acting, _ = put_on(self.model, [self.adapter(number) for number in group], way)
        with acting:

            def _score(numbers: Any) -> Any:
                acting.set(numbers)
                now = self.logs(group, CHOOSING)
                return np.array(
                    [_kl(a[:CHOOSING], b).mean() for a, b in zip(alone, now, strict=True)]
                )

            numbers = acting.coefficients[0].tolist()
            if way.free:
                numbers = list(chosen(_score, way.free, numbers, [0.5] * len(group))[0])
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

    @cached_property
    def weighed(self) -> dict[str, Float64[np.ndarray, "k k"]]:
        """What weights tell of each two adapters."""
        return weighed([self.adapter(number) for number in range(len(TASKS))])

    def responses(self, prompts: Sequence[str]) -> Any:
        """Mean lengths of what each adapter adds on the bare base, (maps, adapters), all tokens."""
        import torch

        everyone = [self.adapter(number) for number in range(len(TASKS))]
        with attached(self.model, everyone, 0.0) as acting:
            fed = inputs(self.model, [batch(self.model, prompts)], acting.names)
            return torch.stack(
                [response_scores(low)(fed[n].float()).mean(0) for n, low in acting.updates.items()]
            )

    @cached_property
    def ordinary(self) -> Any:
        """The same on ordinary sentences."""
        return self.responses(GENERIC)

    def beside(self, number: int) -> list[dict[str, float]]:
        """Return what tells of each partner, beside this adapter, without a pass of the merge.

        On the prompts of this adapter that choose: ``partner_kl`` and ``own_kl`` from the base to
        the partner and to this adapter; ``mixed_kl`` from this adapter to what both add to the
        base's logits, and ``mixed`` the share with the same token; ``heard``, the partner's
        responses over this adapter's, mean over tokens, then over maps, and ``ordinary``, the same
        on ordinary sentences. From weights: the partner's cross-talk over this adapter's own
        largest answer, ``crosstalk`` the median over maps and ``worst``; the ``cosine`` of the
        updates; ``overlap``, the likeness of what both read, maps weighted by both norms.
        """
        everyone = [self.adapter(j) for j in range(len(TASKS))]
        [base] = self.logs([number], CHOOSING)
        answer = self.responses([prompt for prompt, _ in self.questions(number)[:CHOOSING]])
        heard, ordinary = ((each / each[:, [number]]).mean(0) for each in (answer, self.ordinary))
        own, found = self.alone(number)[:CHOOSING], []
        for j, partner in enumerate(everyone):
            with attached(self.model, [partner]):
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


def _kl(one: Any, other: Any) -> Any:
    """Divergence of each row of log-probabilities from `one` to `other`, nats."""
    return (one.exp() * (one - other)).sum(1).clamp(min=0)


def weighed(adapters: Sequence[Adapter]) -> dict[str, Float64[np.ndarray, "k k"]]:
    """Return what weights tell of each reader and partner, see `Collection.beside`.

    All adapters change the same maps, at one rank. Costs a thin decomposition an adapter and map.
    """
    count, answers = len(adapters), []
    inner, alike, weights, energy = (np.zeros((count, count)) for _ in range(4))
    for name in adapters[0]:
        left, sigma, right = (
            np.stack(x) for x in zip(*(a[name].svd() for a in adapters), strict=True)
        )
        shared = np.einsum("irn,jsn->ijrs", right, right, optimize=True)
        written = np.einsum("imr,jms->ijrs", left, left, optimize=True)
        answer = np.linalg.svd(shared * sigma[:, None], compute_uv=False)[..., 0]
        answers.append(answer / sigma[:, :1])
        both = sigma[:, None, :, None] * shared * sigma[:, None]
        inner += (both * written).sum((2, 3))
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
