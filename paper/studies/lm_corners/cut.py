"""Compare a second adapter's training states with the states that its partner writes."""

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from loratheory.pretrained.stand_ins import fill
from paper.studies._shared.language import depth, layer_split
from paper.studies._shared.run import Row
from paper.studies.lm_corners.predict import Config, train_both

if TYPE_CHECKING:
    from loratheory.pretrained import Attached, Model


def cell(config: Config) -> list[Row]:
    """Return a row for each two-hop question.

    Returns
    -------
    list of dict
        ``right``, whether the layer split answers; ``distance`` from the state at the cut to the
        nearest training state with the right answer, and ``other`` to the nearest with another;
        ``lead``, γ, at the former and ``slope``, τ; ``interaction``, in the lead over the base's
        answer, and its parts by where hop 1 and hop 2 act (``lower_lower`` to ``upper_upper``).
    """
    from loratheory.pretrained import attach, first_tokens, next_token_logits

    model, facts, adapters, about = train_both(config)
    half, plan = depth(model) // 2, facts.plans[1]
    prompts, answers = zip(*facts.questions["two_hop"], strict=True)
    trained, theirs = zip(*fill(plan.facts, plan.templates), strict=True)
    tokens, names = first_tokens(model, answers), first_tokens(model, theirs)
    with layer_split(half)(model, adapters):
        right = (next_token_logits(model, prompts).argmax(1) == tokens).numpy()
        written = read_states(model, prompts, half)
    with layer_split(half, first="none")(model, adapters):
        states, logits = read_states(model, trained, half), next_token_logits(model, trained)
    # The lead of each training state's answer at every training state.
    leads = np.array([lead(logits, name) for name in names.tolist()])
    slope = measure_slope(states, leads, names.numpy())
    with attach(model, adapters) as active:
        parts = split_interaction(model, active, prompts, tokens, half)
    away = np.linalg.norm(written[:, None] - states[None], axis=2)
    rows = list[Row]()
    for i, token in enumerate(tokens.tolist()):
        same = np.flatnonzero(names.numpy() == token)
        nearest = int(same[away[i, same].argmin()])
        row: Row = {**about, "question": i, "right": float(right[i]), "slope": slope}
        row["distance"], row["lead"] = float(away[i, nearest]), float(leads[nearest, nearest])
        row["other"] = float(np.delete(away[i], same).min())
        rows.append({**row, **{name: float(part[i]) for name, part in parts.items()}})
    return rows


def read_states(model: "Model", prompts: Sequence[str], layer: int) -> np.ndarray:
    """Return the residual stream before a layer at each prompt's last token, (prompts, width)."""
    import torch

    from loratheory.pretrained.metrics import in_batches

    found = list[Any]()
    with torch.no_grad():
        for some in in_batches(model, prompts):
            out = model.network.base_model(**some, output_hidden_states=True, use_cache=False)
            found.append(out.hidden_states[layer][:, -1].double().cpu())
    states: np.ndarray = torch.cat(found).numpy()
    return states


def lead(logits: Any, token: int) -> np.ndarray:
    """Return by how much a token leads all others, in each row."""
    rest = logits.clone()
    rest[:, token] = -np.inf
    leads: np.ndarray = (logits[:, token] - rest.amax(1)).double().numpy()
    return leads


def measure_slope(states: np.ndarray, leads: np.ndarray, answers: np.ndarray) -> float:
    """Return the median change of an answer's lead over the distance, to states of others."""
    changes = list[np.ndarray]()
    for i, answer in enumerate(answers):
        others = np.flatnonzero(answers != answer)
        apart = np.linalg.norm(states[others] - states[i], axis=1)
        changes.append(abs(leads[i, others] - leads[i, i]) / apart)
    return float(np.median(np.concatenate(changes)))


def split_interaction(
    model: "Model", active: "Attached", prompts: Sequence[str], tokens: Any, half: int
) -> dict[str, np.ndarray]:
    """Return the interaction of each question, whole and by where hop 1 and hop 2 act."""
    from loratheory.pretrained import next_token_logits

    # None, the lower half, or all layers of each adapter; upper is all less lower.
    low = (active.layers < half).astype(float)
    places, logits = (0 * low, low, 0 * low + 1), dict[tuple[int, int], Any]()
    for i, k in product(range(3), repeat=2):
        active.set(np.stack([places[i], places[k]], axis=1))
        logits[i, k] = next_token_logits(model, prompts)
    # The competitor is what the base says, or its second choice where it is right.
    rows, best = np.arange(len(tokens)), logits[0, 0].topk(2).indices
    competitor = np.where(best[:, 0] == tokens, best[:, 1], best[:, 0])
    f = {where: (x[rows, tokens] - x[rows, competitor]).numpy() for where, x in logits.items()}

    def _mixed(i: int, k: int) -> np.ndarray:
        difference: np.ndarray = f[i, k] - f[i - 1, k] - f[i, k - 1] + f[i - 1, k - 1]
        return difference

    found = {"interaction": f[2, 2] - f[2, 0] - f[0, 2] + f[0, 0]}
    for i, k in product((1, 2), repeat=2):
        names = ("lower", "upper")
        found[f"{names[i - 1]}_{names[k - 1]}"] = _mixed(i, k)
    return found
