"""Pooled adapters learn the facts of all pairs and rehearse what the first pair does."""

from reused import cache, taught

from loratheory.experiments.bench.answers import answer_margins
from loratheory.experiments.bench.training import pooled

__all__ = ["cache"]


def test_one_adapter_can_hold_two_pairs():
    here = taught(steps=25, rate=0.05, rank=4, scale=4.0, sets=1)
    for hop, adapter in enumerate(pooled(here, 4)):
        assert adapter.up["layers.0.mlp.in"].shape[-1] == 4
        for trials in here.trials:
            facts = [one.hops[hop] for one in trials]
            gain = answer_margins(here.bases, facts, adapter) - answer_margins(here.bases, facts)
            assert gain.mean() > 0.5


def test_lessons_are_those_of_pair_and_replica():
    here = taught()
    for pair, edits in zip(here.lessons, here.edits, strict=True):
        for lesson, one in zip(pair, edits, strict=True):
            first = lesson.hops[0].taught.tokens[:, 0].tolist()
            assert first == one.before.entity(0, one.taught[0].subjects).tolist()
