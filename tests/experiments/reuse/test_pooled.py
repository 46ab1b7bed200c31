"""Pooled adapters learn the facts of all pairs and rehearse what the first pair does."""

from reused import TAUGHT, cache, taught

from loratheory.experiments.reuse import _pooled, _shelves
from loratheory.experiments.reuse._marks import leads
from loratheory.experiments.reuse._pooled import pooled

__all__ = ["cache"]


def test_rows_are_the_facts_of_all_pairs_and_the_first_ones_rehearsal(monkeypatch):
    here, seen = taught(), []

    def _learned(_, teaching, data, kind, pair):
        assert pair == 0
        seen.append((teaching, data, kind))
        return here.adapters[0]

    monkeypatch.setattr(_pooled, "learned", _learned)
    assert len(pooled(here, 5)) == 2
    for hop, (teaching, data, kind) in enumerate(seen):
        assert (teaching.rank, teaching.steps) == (5, TAUGHT.steps)
        assert kind not in [(0, 0), (0, 1), (1, 0)]
        for e, rows in enumerate(data):
            told = [tuple(row) for pair in here.lessons for row in pair[e].hops[hop].told.tokens]
            kept = [tuple(row) for row in here.lessons[0][e].hops[hop].kept.tokens]
            assert [tuple(row) for row in rows.tokens] == told + kept
    assert seen[0][2] != seen[1][2]


def test_one_adapter_can_hold_two_pairs():
    here = taught(steps=25, rate=0.05, rank=4, scale=4.0, sets=1)
    for hop, adapter in enumerate(pooled(here, 4)):
        assert adapter.up["layers.0.mlp.in"].shape[-1] == 4
        for trials in here.trials:
            facts = [one.hops[hop] for one in trials]
            gain = leads(here.bases, facts, adapter) - leads(here.bases, facts)
            assert gain.mean() > 0.5


def test_lessons_are_those_of_pair_and_replica():
    here = taught()
    for pair, edits in zip(here.lessons, here.edits, strict=True):
        for lesson, one in zip(pair, edits, strict=True):
            first = lesson.hops[0].told.tokens[:, 0].tolist()
            assert first == one.before.entity(0, one.taught[0].subjects).tolist()
    assert _shelves.Shelf.__dataclass_fields__["lessons"].default == ()
