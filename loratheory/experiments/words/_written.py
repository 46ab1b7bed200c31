"""What a model writes by itself, as signs that can be read."""

import numpy as np
import torch

from loratheory.experiments.reuse._bases import Bases, tensor
from loratheory.experiments.words._problems import CODE
from loratheory.tasks.word_problems import Problems, stepwise
from loratheory.toy.transformer import Adapt, logits


def solutions(known: Bases, problems: Problems, adapt: Adapt | None = None) -> list[list[str]]:
    """Return each question, its solution, and what the model writes by itself.

    Parameters
    ----------
    known : Bases
        One model.
    problems : Problems
        Modulo the prime of its tokens.
    adapt : callable, optional
        What is added to it; of one replica.

    Returns
    -------
    list of list of str
        Three texts a problem; the last is as long as the solution, the likeliest token each time.
        Costs a pass for each token of the longest solution.
    """
    rows = stepwise(CODE, problems)
    tokens, due = rows.tokens.copy(), (rows.targets >= 0).sum(axis=1)
    tokens[np.arange(tokens.shape[1]) > rows.asked[:, None]] = 0
    here = np.arange(len(tokens))
    said = np.full((len(tokens), int(due.max())), -1)
    for step in range(said.shape[1]):
        with torch.inference_mode():
            found = logits(known.config, known.weights, tensor(tokens[None]), adapt)[0].argmax(-1)
        place = np.minimum(rows.asked + step, tokens.shape[1] - 1)
        said[:, step] = np.where(step < due, found.numpy()[here, place], -1)
        after = place + 1 < tokens.shape[1]
        tokens[here[after], place[after] + 1] = np.maximum(said[after, step], 0)
    return [
        [CODE.written(row[: end + 1]), CODE.written(target), CODE.written(words)]
        for row, end, target, words in zip(
            rows.tokens, rows.asked.tolist(), rows.targets, said, strict=True
        )
    ]
