"""Where adapters act, by layers and tokens of a prompt, and what hidden states predict there.

Every prompt names a subject. Batches are padded on the left, so that all prompts end together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from loratheory.evaluate.fact_sets import ASKED, World
from loratheory.pretrained import Attached, Model, first_tokens
from loratheory.pretrained.metrics import batch, last_logits

SIZE = 40  # prompts passed at once


@dataclass(frozen=True)
class Asked:
    """Prompts, the subject that each names, the right answers and, for two hops, the bridges."""

    prompts: tuple[str, ...]
    subjects: tuple[str, ...]
    answers: tuple[str, ...]
    bridges: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        facts: Mapping[str, str],
        sentences: Sequence[str],
        via: Mapping[str, str] | None = None,
    ) -> "Asked":
        """Return every fact in every sentence; `via` maps subjects to bridges, if there are any."""
        subjects = tuple(facts) * len(sentences)
        prompts = tuple(sentence.format(who) for sentence, who in product(sentences, facts))
        bridges = tuple(map(via.__getitem__, subjects)) if via else ()
        return cls(prompts, subjects, tuple(map(facts.__getitem__, subjects)), bridges)


def questions(world: World) -> dict[str, Asked]:
    """Return ``two_hop`` questions about a world, and those of its single facts in one sentence."""
    return {
        "two_hop": Asked.of(world.two_hop, ASKED["two_hop"], world.first),
        "hop_1": Asked.of(world.first, ASKED["hop_1"][:1]),
        "hop_2": Asked.of(world.second, ASKED["hop_2"][:1]),
    }


@dataclass(frozen=True)
class Condition:
    """Where each of two adapters acts.

    Attributes
    ----------
    layers : tuple of str
        For each adapter: ``all`` layers, those ``below`` or those ``above`` the split.
    tokens : tuple of str
        For each: ``all`` tokens, those of the ``subject``, or the ``last``.
    banned : bool
        Whether bridges (countries) are excluded as answers of two-hop questions.
    """

    layers: tuple[str, ...] = ("all", "all")
    tokens: tuple[str, ...] = ("all", "all")
    banned: bool = False

    def coefficients(self, acts: Attached, split: int) -> np.ndarray:
        """Return the coefficients, an array of modules by adapters, for a split at this layer."""
        low = acts.layers < split
        kinds = {"all": np.ones(len(low)), "below": low, "above": ~low}
        return np.stack([kinds[each] for each in self.layers], 1).astype(float)


def batches(model: Model, asked: Asked) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return batches, each with masks (prompts, tokens), by the names in `Condition.tokens`."""
    import torch

    found = []
    for start in range(0, len(asked.prompts), SIZE):
        prompts = asked.prompts[start : start + SIZE]
        part = batch(model, prompts)
        subject = torch.zeros_like(part["input_ids"], dtype=torch.bool)
        padding = (part["attention_mask"] == 0).sum(1).tolist()
        for row, (prompt, name) in enumerate(zip(prompts, asked.subjects[start:], strict=False)):
            at = prompt.index(name)
            # Tokens are counted in what precedes the subject, and in what ends with it.
            before = _count_tokens(model, prompt[:at].rstrip())
            through = _count_tokens(model, prompt[: at + len(name)])
            subject[row, padding[row] + before : padding[row] + through] = True
        last = torch.zeros_like(subject)
        last[:, -1] = True
        masks = {"all": last | ~last, "subject": subject, "last": last}
        found.append((part, masks))
    return found


def _count_tokens(model: Model, text: str) -> int:
    return len(model.tokenizer(text)["input_ids"]) if text else 0


def says(model: Model, acts: Attached, asked: Asked, condition: Condition, split: int) -> Any:
    """Return the logits (prompts, vocabulary), with adapters acting as in `condition`."""
    import torch

    acts.set(condition.coefficients(acts, split))
    parts = []
    for part, masks in batches(model, asked):
        weights = torch.stack([masks[each] for each in condition.tokens], -1).flatten(0, 1)
        if {*condition.tokens} != {"all"}:
            acts.follow(partial(_weigh, weights))
        with torch.no_grad():
            parts.append(last_logits(model, part).float())
        # The next batch has masks of its own.
        acts.follow(None)
    return torch.cat(parts)


def _weigh(weights: Any, _: str, x: Any) -> Any:
    return weights.to(x)


def right(model: Model, logits: Any, asked: Asked, banned: Sequence[str] = ()) -> dict[str, float]:
    """Return the shares of prompts that are answered right, from their logits, as columns.

    ``two_hop_vocabulary``: the answer leads all tokens. ``two_hop``: it leads all answers. Words in
    `banned` cannot lead.
    """
    # The caller's logits stay as they are.
    logits = logits.clone()
    if banned:
        logits[:, first_tokens(model, banned)] = -np.inf
    every = slice(len(asked.prompts))
    shares = {
        "two_hop_vocabulary": logits.argmax(1) == first_tokens(model, asked.answers),
        "two_hop": _leads(model, logits, asked.answers, every),
    }
    return {name: float(share.float().mean()) for name, share in shares.items()}


def _leads(model: Model, logits: Any, words: Sequence[str], chosen: slice) -> Any:
    """Whether the right one of some words leads all of them, for the chosen prompts."""
    tokens = first_tokens(model, sorted({*words}))
    return tokens[logits[:, tokens].argmax(1)] == first_tokens(model, words)[chosen]


def shares(
    model: Model, acts: Attached, asked: Mapping[str, Asked], condition: Condition, split: int
) -> dict[str, float]:
    """Return the shares of right answers, with adapters active as in `condition`.

    Two-hop questions have the columns of `right`; ``hop_1`` and ``hop_2`` are the shares of
    single facts right in the whole vocabulary.
    """
    hops = dict[str, float]()
    for name, questions in asked.items():
        logits = says(model, acts, questions, condition, split)
        if name == "two_hop":
            banned = sorted({*questions.bridges}) if condition.banned else ()
            found = right(model, logits, questions, banned)
        else:
            hops[name] = right(model, logits, questions)["two_hop_vocabulary"]
    return found | hops


def lens(model: Model, asked: Asked) -> list[dict[str, float]]:
    """Return what the state after each layer predicts (logit lens), with the adapters acting now.

    Each state is put into the last norm and the output head. The shares are of prompts whose right
    country leads all countries at the subject's last token, the same at the prompt's last token,
    and whose right answer leads all answers there. Costs a pass, plus the head twice per layer.
    """
    import torch

    norm, head = model.network.get_decoder().norm, model.network.get_output_embeddings()
    right: list[Any] = []
    start = 0
    for part, masks in batches(model, asked):
        where = _last_of(masks["subject"])
        chosen = slice(start, start := start + len(part["input_ids"]))
        with torch.no_grad():
            states = model.network(**part, output_hidden_states=True, use_cache=False).hidden_states
            each = []
            for number, state in enumerate(states[1:], 1):
                at = torch.stack([state[where], state[:, -1]])
                # The last state has passed the last norm already.
                subject, last = head(at if number == len(states) - 1 else norm(at)).float()
                leads = [_leads(model, subject, asked.bridges, chosen)]
                leads.append(_leads(model, last, asked.bridges, chosen))
                leads.append(_leads(model, last, asked.answers, chosen))
                each.append(torch.stack(leads))
        right.append(torch.stack(each))
    table = torch.cat(right, dim=2).double().mean(2).tolist()
    names = ("bridge_at_subject", "bridge_at_last", "answer_at_last")
    return [dict(zip(names, row, strict=True)) for row in table]


def _last_of(mask: Any) -> tuple[Any, Any]:
    """The last place in each row where a mask is true, as an index."""
    import torch

    places = torch.arange(mask.shape[1])
    return torch.arange(len(mask)), (mask.int() * places).argmax(1)
