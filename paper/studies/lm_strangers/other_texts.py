"""How far adapters change texts that are not about the facts, and texts they were trained on."""

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from paper.studies._shared import measures
from paper.studies._shared.language import depth
from paper.studies._shared.run import Row
from paper.studies.lm_strangers.draw import draw
from paper.studies.lm_strangers.pairs import describe, train, uses

if TYPE_CHECKING:
    from loratheory.pretrained import Model
    from paper.studies.lm_strangers.pairs import Config

COUNT = 64  # texts of each kind that are measured: those of the first batch
RULES = ("hop 1 alone", "hop 2 alone", "sum", "mean")


def measure_other_texts(config: "Config") -> list[Row]:
    """Return a row for each adapter alone, the sum and the mean.

    Returns
    -------
    list of dict
        The config and the ``rule``; ``drift`` on the sentences of the other parts, and
        ``drift_check`` on those of the commands `train` and `check`; ``new`` and ``own``, by how
        many nats per token the adapters make less likely what the base has written: 64 new texts,
        and the first 64 of the hop-1 author's, on which that adapter is trained, if on any.
    """
    from loratheory.pretrained import kl_to_base
    from loratheory.pretrained.generate import write_texts
    from loratheory.pretrained.metrics import token_log_probs
    from loratheory.pretrained.models import GENERIC

    model = config.base(dtype="bfloat16")
    facts, rows = draw(config.pair, config.level, config.seed), list[Row]()
    adapters = [train(model, facts, config, hop)[0] for hop in range(2)]
    # As `train` draws it: of the hop-1 author's seed, for the adapter itself.
    drawn = int(np.random.default_rng([2 * config.seed, 0]).integers(2**63))
    texts = {"new": write_texts(model, COUNT, 0), "own": write_texts(model, COUNT, drawn)}
    ways = uses(depth(model))
    before = dict[str, Any]()
    for rule in ("base", *RULES):
        with ways[rule](model, adapters):
            found: dict[str, Any] = {}
            for name, each in texts.items():
                found[name] = measure_loss(model, each)
            found["drift"] = measures.generic_log_probs(model)
            found["drift_check"] = token_log_probs(model, GENERIC)[0]
        before = before or found
        row: Row = {**describe(config, model), "rule": rule}
        for name, value in found.items():
            row[name] = value - before[name] if name in texts else kl_to_base(before[name], value)
        rows.append(row)
    return rows[1:]


def measure_loss(model: "Model", texts: list[tuple[str, list[int]]]) -> float:
    """Return the mean loss, in nats per token, of what follows the first words of some texts."""
    import torch

    from loratheory.pretrained.generate import force_logits

    prompts, tokens = zip(*texts, strict=True)
    wanted = torch.tensor([*chain.from_iterable(tokens)])
    total, start = 0.0, 0
    for logits in force_logits(model, prompts, tokens):
        some = wanted[start : start + len(logits)]
        total += float(torch.nn.functional.cross_entropy(logits, some, reduction="sum"))
        start += len(logits)
    return total / len(wanted)
