"""Activate adapters at some layers and tokens of a prompt, and decode hidden states (logit lens).

Every prompt names a subject. Batches are padded on the left, so that all prompts end together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from loratheory.evaluate.fact_sets import FEW, FactSet
from loratheory.pretrained import Attached, Model, first_tokens
from loratheory.pretrained.metrics import batch, last_logits

SIZE = 40  # prompts per batch


@dataclass(frozen=True)
class QuestionSet:
    """Prompts, their subjects, the right answers and, for two-hop questions, the bridges."""

    prompts: tuple[str, ...]
    subjects: tuple[str, ...]
    answers: tuple[str, ...]
    bridges: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        facts: Mapping[str, str],
        templates: Sequence[str],
        via: Mapping[str, str] | None = None,
    ) -> "QuestionSet":
        """Fill every fact into every template; `via` maps the subjects to bridges."""
        subjects = tuple(facts) * len(templates)
        prompts = tuple(template.format(who) for template, who in product(templates, facts))
        bridges = tuple(map(via.__getitem__, subjects)) if via else ()
        return cls(prompts, subjects, tuple(map(facts.__getitem__, subjects)), bridges)


def questions(facts: FactSet) -> dict[str, QuestionSet]:
    """Return ``two_hop`` questions about a fact set, and its single facts in one template."""
    return {
        "two_hop": QuestionSet.of(facts.two_hop, FEW["two_hop"], facts.first),
        "hop_1": QuestionSet.of(facts.first, FEW["hop_1"][:1]),
        "hop_2": QuestionSet.of(facts.second, FEW["hop_2"][:1]),
    }


@dataclass(frozen=True)
class Condition:
    """The layers and tokens where each of two adapters is active.

    Attributes
    ----------
    layers : tuple of str
        For each adapter: ``all`` layers, or the layers ``below`` or ``above`` the split.
    tokens : tuple of str
        For each adapter: ``all`` tokens, the tokens of the ``subject``, or the ``last`` token.
    banned : bool
        Whether bridges (countries) are excluded as answers of two-hop questions.
    """

    layers: tuple[str, ...] = ("all", "all")
    tokens: tuple[str, ...] = ("all", "all")
    banned: bool = False

    def coefficients(self, active: Attached, split: int) -> np.ndarray:
        """Return the coefficients (modules, adapters) for a split at this layer."""
        low = active.layers < split
        kinds = {"all": np.ones(len(low)), "below": low, "above": ~low}
        return np.stack([kinds[each] for each in self.layers], 1).astype(float)


def batches(model: Model, items: QuestionSet) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return batches, each with masks (prompts, tokens), by the names in `Condition.tokens`."""
    import torch

    found = []
    for start in range(0, len(items.prompts), SIZE):
        prompts = items.prompts[start : start + SIZE]
        part = batch(model, prompts)
        subject = torch.zeros_like(part["input_ids"], dtype=torch.bool)
        padding = (part["attention_mask"] == 0).sum(1).tolist()
        for row, (prompt, name) in enumerate(zip(prompts, items.subjects[start:], strict=False)):
            at = prompt.index(name)
            # Count the tokens before the subject, and the tokens up to its end.
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


def compute_logits(
    model: Model, active: Attached, items: QuestionSet, condition: Condition, split: int
) -> Any:
    """Return the logits (prompts, vocabulary), with adapters active as in `condition`."""
    import torch

    active.set(condition.coefficients(active, split))
    parts = []
    for part, masks in batches(model, items):
        weights = torch.stack([masks[each] for each in condition.tokens], -1).flatten(0, 1)
        if {*condition.tokens} != {"all"}:
            active.follow(partial(_weigh, weights))
        with torch.no_grad():
            parts.append(last_logits(model, part).float())
        # The next batch has other masks.
        active.follow(None)
    return torch.cat(parts)


def _weigh(weights: Any, _: str, x: Any) -> Any:
    return weights.to(x)


def right(
    model: Model, logits: Any, items: QuestionSet, banned: Sequence[str] = ()
) -> dict[str, float]:
    """Return the accuracies of logits, as columns.

    ``two_hop_vocabulary`` is top-1 accuracy; ``two_hop`` is accuracy among all answers. Words in
    `banned` are excluded.
    """
    # The caller's logits must not change.
    logits = logits.clone()
    if banned:
        logits[:, first_tokens(model, banned)] = -np.inf
    every = slice(len(items.prompts))
    shares = {
        "two_hop_vocabulary": logits.argmax(1) == first_tokens(model, items.answers),
        "two_hop": _leads(model, logits, items.answers, every),
    }
    return {name: float(share.float().mean()) for name, share in shares.items()}


def _leads(model: Model, logits: Any, words: Sequence[str], chosen: slice) -> Any:
    """Return the mask of chosen prompts whose right word has the largest logit of all words."""
    tokens = first_tokens(model, sorted({*words}))
    return tokens[logits[:, tokens].argmax(1)] == first_tokens(model, words)[chosen]


def shares(
    model: Model, active: Attached, sets: dict[str, QuestionSet], condition: Condition, split: int
) -> dict[str, float]:
    """Return the accuracies with adapters active as in `condition`.

    Two-hop questions have the columns of `right`; ``hop_1`` and ``hop_2`` are the top-1 accuracies
    of single facts.
    """
    hops = dict[str, float]()
    for name, items in sets.items():
        logits = compute_logits(model, active, items, condition, split)
        if name == "two_hop":
            banned = sorted({*items.bridges}) if condition.banned else ()
            found = right(model, logits, items, banned)
        else:
            hops[name] = right(model, logits, items)["two_hop_vocabulary"]
    return found | hops


def lens(model: Model, items: QuestionSet) -> list[dict[str, float]]:
    """Return the accuracies of the state after each layer (logit lens), with the active adapters.

    Each state is put into the last norm and the output head. The columns are the accuracies of the
    country among all countries at the subject's last token and at the prompt's last token, and of
    the answer among all answers at the prompt's last token. The cost is a pass, plus the head
    twice per layer.
    """
    import torch

    norm, head = model.network.get_decoder().norm, model.network.get_output_embeddings()
    right: list[Any] = []
    start = 0
    for part, masks in batches(model, items):
        where = _last_of(masks["subject"])
        chosen = slice(start, start := start + len(part["input_ids"]))
        with torch.no_grad():
            states = model.network(**part, output_hidden_states=True, use_cache=False).hidden_states
            each = []
            for number, state in enumerate(states[1:], 1):
                at = torch.stack([state[where], state[:, -1]])
                # The last state already includes the last norm.
                subject, last = head(at if number == len(states) - 1 else norm(at)).float()
                leads = [_leads(model, subject, items.bridges, chosen)]
                leads.append(_leads(model, last, items.bridges, chosen))
                leads.append(_leads(model, last, items.answers, chosen))
                each.append(torch.stack(leads))
        right.append(torch.stack(each))
    table = torch.cat(right, dim=2).double().mean(2).tolist()
    names = ("bridge_at_subject", "bridge_at_last", "answer_at_last")
    return [dict(zip(names, row, strict=True)) for row in table]


def _last_of(mask: Any) -> tuple[Any, Any]:
    """Return the index of the last true place in each row of a mask."""
    import torch

    places = torch.arange(mask.shape[1])
    return torch.arange(len(mask)), (mask.int() * places).argmax(1)
