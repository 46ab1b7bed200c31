"""The same problems otherwise: what changes, what stays, and what was kept of what was solved."""

import numpy as np
import pytest
from found import mean, says, table_rows
from tiny_words import TINY

from loratheory.experiments.shallow_matching import ASKED, OTHERWISE, Config, cell, otherwise
from loratheory.experiments.words._cases import MEASURED
from loratheory.experiments.words._problems import WORDINGS, drawn, linked


@pytest.fixture(autouse=True, scope="module")
def _kept(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATHEORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("how", OTHERWISE)
def test_one_thing_changes(how):
    rng = np.random.default_rng(0)
    here = drawn([linked(("multiply", "divide"))], 20, rng)
    there = otherwise(here, how, rng=rng)
    same = {
        "wording": (there.wordings == here.wordings).any() if how == "wording" else None,
        "names": (there.names == here.names).all() if how != "distractor" else True,
        "numbers": (there.answers == here.answers).all(),
        "order": (there.order[:, :3] == here.order).all() if how != "distractor" else True,
        "distractor": (there.distractors == 0).all(),
    }
    assert {name for name, kept in same.items() if kept is not None and not kept} == (
        {how} - {OTHERWISE[0]}
    )
    assert {*np.unique(there.wordings[there.told])} <= {*WORDINGS}
    assert there.templates == here.templates


def test_what_was_kept_is_counted_among_what_was_solved(monkeypatch):
    from loratheory.experiments.words import _reuse

    found = iter([np.arange(8) < 4, *([np.arange(8) % 2 == 0] * 5)] * len(ASKED))
    monkeypatch.setattr(_reuse, "said", lambda *_: np.tile(next(found), (8, 1)).astype(float))
    rows = cell(Config(seed=101, pairs=MEASURED[:1], size=TINY))
    assert len(rows) == len(ASKED) * len(OTHERWISE) * 8
    for row in rows:
        assert row["kept"] == (1 if row["put"] == OTHERWISE[0] else 0.5)
        assert row["stepwise"] == 0.5


def test_what_was_found_is_what_the_table_holds():
    name, same = "shallow_matching", ("wording", "names", "numbers")

    def told(rule, put, column):
        return mean(table_rows(name, rule=rule, put=put, bridge="own"), column)

    says(
        name,
        *(told(rule, "as it was", "stepwise") for rule in ("mean", "sum", "composed")),
        *(told("sum", put, "stepwise") for put in same),
        *(told(rule, put, "kept") for rule in ("sum", "mean", "composed") for put in same),
        *(
            told(rule, put, "kept")
            for put in ("order", "distractor")
            for rule in ("sum", "mean", "composed")
        ),
    )
