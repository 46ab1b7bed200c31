"""Predict the answers of merges at all coefficients from the corners, and compare them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from paper.studies._shared import Language
from paper.studies._shared.run import Row
from paper.studies.lm_strangers.draw import FactSet, draw

if TYPE_CHECKING:
    from loratheory.adapters import Adapter
    from loratheory.pretrained import Attached, Model
    from loratheory.pretrained.corners import Corners

COEFFICIENTS = tuple((np.arange(1, 10) / 10).tolist())  # at 1 the merge is a corner
TEMPLATES = 4


@dataclass(frozen=True)
class Config(Language):
    """Both adapters' relations and training, as in `lm_strangers`; nothing is left unshared."""

    pair: str = "birth, mascot"
    method: str = "fresh stand-ins"
    rate: float = 1.0


def train_both(config: Config) -> tuple["Model", FactSet, list["Adapter"], Row]:
    """Return the model, the fact set, both adapters, and the columns that name the condition."""
    from paper.studies.lm_strangers import pairs

    model = config.base(dtype="bfloat16")
    facts = draw(config.pair, "S0", config.seed)
    how = pairs.Config(
        seed=config.seed, model=config.model, pair=config.pair, method=config.method,
        rate=config.rate,
    )  # fmt: skip
    adapters = [pairs.train(model, facts, how, hop)[0] for hop in range(2)]
    about: Row = {
        "seed": config.seed, "base": model.name.split()[0], "pair": config.pair,
        "method": config.method,
    }  # fmt: skip
    return model, facts, adapters, about


def cell(config: Config) -> list[Row]:
    """Return a row for each kind of question, template and coefficient.

    Returns
    -------
    list of dict
        ``right``, the share of questions that the merge answers; the shares of verdicts that each
        predictor has right (``corners``, ``bent``, ``no_interaction``, ``line``), and that the best
        constant for the coefficient has (``constant``); ``error``, by how much the coefficient from
        which on a question is answered was predicted wrongly with corners and curvature: a median
        over questions that the sum answers.
    """
    from loratheory.pretrained import attach, first_tokens
    from loratheory.pretrained.corners import measure_corners

    model, facts, adapters, about = train_both(config)
    rows = list[Row]()
    with attach(model, adapters) as active:
        for kind, questions in facts.questions.items():
            prompts, answers = zip(*questions, strict=True)
            tokens = first_tokens(model, answers)
            corners = measure_corners(model, active, prompts)
            merged = _merge_at_all(model, active, prompts, tokens)
            count = 1 if kind == "known" else TEMPLATES
            for row in compare(corners, tokens, merged, count):
                rows.append({**about, "kind": kind, **row})
    return rows


def _merge_at_all(model: "Model", active: "Attached", prompts: Any, tokens: Any) -> np.ndarray:
    """Return whether the merge answers (coefficients, prompts), at 1 last."""
    from loratheory.pretrained import next_token_logits
    from loratheory.pretrained.metrics import top1

    right = list[np.ndarray]()
    for c in (*COEFFICIENTS, 1.0):
        active.set(c)
        right.append(top1(next_token_logits(model, prompts), tokens))
    return np.array(right)


def predict(corners: "Corners", tokens: Any) -> dict[str, np.ndarray]:
    """Return each predictor's verdicts (coefficients, prompts), at 1 last."""
    alone = corners.first + corners.second - 2 * corners.base
    found: dict[str, list[np.ndarray]] = {
        "corners": [], "bent": [], "no_interaction": [], "line": []
    }  # fmt: skip
    for c in (*COEFFICIENTS, 1.0):
        found["corners"].append(corners.answered(tokens, c, bent=False))
        found["bent"].append(corners.answered(tokens, c))
        logits = {
            "no_interaction": corners.base + c * alone,
            "line": (1 - c) * corners.base + c * corners.both,
        }
        for name, each in logits.items():
            found[name].append((each.argmax(1) == tokens).numpy())
    return {name: np.array(each) for name, each in found.items()}


def compare(corners: "Corners", tokens: Any, merged: np.ndarray, templates: int) -> list[Row]:
    """Return a row for each template and coefficient; `merged` as `_merge_at_all` returns it."""
    predicted, rows = predict(corners, tokens), list[Row]()
    # The constant looks at all questions of a coefficient.
    usual = merged.mean(1) >= 0.5
    errors = abs(opens(predicted["bent"]) - opens(merged))
    size = merged.shape[1] // templates
    for template in range(templates):
        some = slice(template * size, (template + 1) * size)
        answered = merged[-1, some]
        error = float(np.median(errors[some][answered])) if answered.any() else np.nan
        for i, c in enumerate(COEFFICIENTS):
            right = merged[i, some]
            row: Row = {"template": template, "coefficient": c, "right": float(right.mean())}
            for name, verdicts in predicted.items():
                row[name] = float((verdicts[i, some] == right).mean())
            row["constant"] = float((right == usual[i]).mean())
            rows.append({**row, "error": error})
    return rows


def opens(verdicts: np.ndarray) -> np.ndarray:
    """Return the coefficient from which on, up to 1, each question is answered, or 1.

    The verdicts are (coefficients, prompts), at 1 last.
    """
    steps = np.array([*COEFFICIENTS, 1.0])
    # How many verdicts in a row, from 1 downwards, are right.
    run = np.cumprod(verdicts[::-1], axis=0).sum(0)
    first: np.ndarray = steps[np.minimum(len(steps) - run, len(steps) - 1)]
    return first
