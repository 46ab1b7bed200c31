"""_written: a model that knows the solution writes it; one that errs goes on from its error."""

import numpy as np
import pytest
import torch
from tiny_words import TINY

from loratheory.experiments.words import _written
from loratheory.experiments.words._bases import base
from loratheory.experiments.words._problems import CODE, chains, drawn, linked
from loratheory.experiments.words._written import solutions
from loratheory.tasks.word_problems import stepwise, together


@pytest.fixture(autouse=True, scope="module")
def _kept(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATHEORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_each_token_is_the_likeliest_after_those_written(monkeypatch):
    rng = np.random.default_rng(0)
    asked = together(
        [drawn([linked(("divide", "percent"))], 2, rng), drawn(chains(["divide"], 1), 2, rng)]
    )
    rows, seen = stepwise(CODE, asked), []
    right = np.where(rows.targets >= 0, rows.targets, 1)
    right[1, rows.asked[1]] = CODE.number(3)

    def _said(config, _, tokens, adapt):
        assert (config, adapt) == (known.config, None)
        seen.append(tokens[0].numpy())
        return torch.nn.functional.one_hot(torch.tensor(right), CODE.vocabulary)[None].float()

    known = base("problems", 101, TINY)
    monkeypatch.setattr(_written, "logits", _said)
    found = solutions(known, asked)
    for row, (question, solution, written) in enumerate(found):
        assert question == CODE.written(rows.tokens[row, : rows.asked[row] + 1])
        assert solution == CODE.written(rows.targets[row])
        assert written.split()[1:] == solution.split()[1:]
        assert (written == solution) == (row != 1)
    assert found[1][2].split()[0] == "3"
    assert not (seen[0] * (np.arange(rows.tokens.shape[1]) > rows.asked[:, None])).any()
    last = seen[-1]
    for row in range(4):
        start, end = rows.asked[row] + 1, rows.position[row] + 1
        if row != 1:
            assert (last[row, start:end] == rows.tokens[row, start:end]).all()
    assert last[1, rows.asked[1] + 1] == CODE.number(3)
