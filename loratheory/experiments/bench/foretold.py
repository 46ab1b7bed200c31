"""What the base's activations say of facts that an adapter will be taught, before it is trained.

Gradient descent from zero on reads of fixed keys holds every fact at all reads, and answers another
prompt by the resemblance of its keys to those of the lessons (``thm:least-norm-placement``, for
several facts). Taken as they are, keys are the inputs of attention and MLPs at the last token, in
the layers that are trained; in a real training keys change, and other tokens are read.
"""

from collections.abc import Sequence

import numpy as np

from loratheory.experiments.bench.language import Items
from loratheory.pretrained import Model, batch, inputs, maps
from loratheory.shapes import Float

READS = ("q_proj", "gate_proj")
"""Maps whose inputs are those of attention and of the MLP."""
SIZE = 40  # prompts passed at once
CLEAR = 1e-3  # what is added to the resemblances of lessons, relative to their mean energy


def keys(model: Model, prompts: Sequence[str]) -> list[Float[np.ndarray, "p n"]]:
    """Return the inputs of attention and MLP at the last token of prompts, layer by layer."""
    names = [name for name in maps(model) if name.endswith(READS)]
    batches = [batch(model, prompts[i : i + SIZE]) for i in range(0, len(prompts), SIZE)]
    lengths = np.concatenate([part["attention_mask"].sum(1).cpu() for part in batches])
    found = inputs(model, batches, names)
    return [found[name][np.cumsum(lengths) - 1].double().cpu().numpy() for name in names]


def margins(
    lessons: Sequence[Float[np.ndarray, "p n"]],
    taught: Items,
    asked: Sequence[Float[np.ndarray, "q n"]],
    questions: Items,
) -> Float[np.ndarray, " q"]:
    """Return by how much the right answer is foretold to lead the others of the lessons.

    The least-norm update from answers, centred, to lessons: a kernel regression on the sum over
    reads of keys' scalar products, with a ridge of `CLEAR`. Keys are those of the layers in which
    an adapter is trained. Costs ``O(p^3)`` for ``p`` lessons.
    """
    words = list(dict.fromkeys(word for _, word in taught))
    answers = np.array([[word == one for one in words] for _, word in taught]) - 1 / len(words)
    alike = np.sum([one @ one.T for one in lessons], axis=0)
    ridge = CLEAR * np.trace(alike) / len(alike) * np.eye(len(alike))
    near = np.sum([one @ other.T for one, other in zip(asked, lessons, strict=True)], axis=0)
    said = near @ np.linalg.solve(alike + ridge, answers)
    right = np.array([[word == one for one in words] for _, word in questions])
    return np.asarray(said[right] - np.where(right, -np.inf, said).max(axis=1))
