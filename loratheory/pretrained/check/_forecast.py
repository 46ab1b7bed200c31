"""Forecast from the base alone whether two-hop questions will reach facts taught as single hops.

This applies ``thm:least-norm-placement`` to a language model: keys are the modules' inputs at the
last token of a prompt, and gradient descent is assumed to see only these.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.pretrained._ask import batch, inputs
from loratheory.pretrained._model import Model, failure, maps
from loratheory.shapes import Float64

AT_ONCE = 16  # prompts whose inputs to all modules are in memory at a time
LAST_OF_MLP = ("mlp.down_proj", "mlp.c_proj", "mlp.fc2", "mlp.dense_4h_to_h")
CLEAR = 1e-10  # eigenvalues of a Gram matrix below this share of the largest count as none


@dataclass(frozen=True, eq=False)
class Forecast:
    """The forecast answers of an adapter, taught on named entities, where an entity is described.

    Attributes
    ----------
    entities, modules : tuple of str
        The names along the axes of the arrays below.
    shares : (modules,) array
        Each module's share of the energy of the named keys, and so of a fact; they sum to 1.
    weights : (questions, entities) array
        How much of each entity's answer a question gets; 1 and 0 if it named the entity.
    margins : (questions,) array
        The right entity's weight less the largest other or 0; a right answer is forecast if this is
        positive.
    alone : (modules, questions) array
        The margins of an adapter that changes one module only.
    """

    entities: tuple[str, ...]
    modules: tuple[str, ...]
    shares: Float64[np.ndarray, " modules"]
    weights: Float64[np.ndarray, "questions entities"]
    margins: Float64[np.ndarray, " questions"]
    alone: Float64[np.ndarray, "modules questions"]


def forecast(
    model: Model,
    named: Mapping[str, Sequence[str]],
    latent: Sequence[tuple[str, str]],
    modules: Sequence[str] | None = None,
) -> Forecast:
    """Forecast how facts taught by prompts that name an entity answer prompts that describe it.

    Parameters
    ----------
    model : Model
        The base; adapters that act on it at the time, such as that of a first hop, have their
        effect on the latent prompts and on the named ones.
    named : mapping of str to sequence of str
        For each entity, prompts that name it, like those of its lessons.
    latent : sequence of (str, str)
        Prompts that only describe an entity, each with the entity.
    modules : sequence of str, optional
        Linear maps that adapters may change; by default the last of each MLP.

    Returns
    -------
    Forecast
        Costs a forward pass for each prompt, and ``O(t² n)`` for each module with `t` prompts.

    Raises
    ------
    ModelError
        If a latent prompt is about none of the entities, or no module is found.
    """
    entities, lessons = tuple(named), [prompt for texts in named.values() for prompt in texts]
    stranger = next((entity for _, entity in latent if entity not in named), None)
    if stranger is not None:
        raise failure(repr(stranger), "no prompt names it", "add it to the named entities")
    chosen = tuple(modules or [name for name in maps(model) if name.endswith(LAST_OF_MLP)])
    if not chosen:
        fact = "no last map of an MLP is known by its name"
        raise model.failure(fact, "name the modules that adapters may change")
    prompts = [*lessons, *(prompt for prompt, _ in latent)]
    grams, matches = [], []
    for keys in zip(*_keys(model, prompts, chosen), strict=True):
        rows = np.concatenate(keys)
        grams.append(rows[: len(lessons)] @ rows[: len(lessons)].T)
        matches.append(rows[: len(lessons)] @ rows[len(lessons) :].T)
    owner = np.repeat(np.eye(len(entities)), [len(texts) for texts in named.values()], axis=0)
    right = [entities.index(entity) for _, entity in latent]

    def _weights(gram: np.ndarray, match: np.ndarray) -> np.ndarray:
        found: np.ndarray = (np.linalg.pinv(gram, CLEAR, hermitian=True) @ match).T @ owner
        return found

    weights = _weights(np.sum(grams, axis=0), np.sum(matches, axis=0))
    energies = np.array([np.trace(gram) for gram in grams])
    alone = [_margins(_weights(*pair), right) for pair in zip(grams, matches, strict=True)]
    shares = energies / energies.sum()
    return Forecast(entities, chosen, shares, weights, _margins(weights, right), np.stack(alone))


def _keys(
    model: Model, prompts: Sequence[str], modules: Sequence[str]
) -> Iterator[list[np.ndarray]]:
    """What each module is fed at the last tokens of some prompts at a time."""
    for start in range(0, len(prompts), AT_ONCE):
        ready = batch(model, prompts[start : start + AT_ONCE])
        ends = ready["attention_mask"].sum(1).cumsum(0) - 1
        fed = inputs(model, [ready], modules)
        yield [fed[name][ends].double().cpu().numpy() for name in modules]


def _margins(weights: np.ndarray, right: Sequence[int]) -> np.ndarray:
    """By how much the right entity leads, question by question."""
    others = weights.copy()
    others[np.arange(len(right)), right] = -np.inf
    rest = np.maximum(others.max(axis=1), 0.0)  # an answer that no entity has stays at 0
    margins: np.ndarray = weights[np.arange(len(right)), right] - rest
    return margins
