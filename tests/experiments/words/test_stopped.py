"""_stopped: the training that is nearest to what is to be matched, case by case."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_words import TINY

from loratheory.experiments.words import _stopped
from loratheory.experiments.words._bases import adapters, base
from loratheory.experiments.words._cases import apart
from loratheory.experiments.words._stopped import STEPS, stopped
from loratheory.experiments.words._taught import taught

MUTANTS = [
    ("replace(size, taught=steps)", "size"),
    ("wider=2", "wider=1"),
    ("- aim for one in each", "for one in each"),
    ("k * len(lessons) + e", "k * len(lessons)"),
    ("draw=21", "draw=16"),
    ("tuple(STEPS[k] for k in best)", "tuple(STEPS[0] for k in best)"),
    ("different.index(lesson)", "0 * different.index(lesson)"),
]


@pytest.fixture(autouse=True, scope="module")
def _kept(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATHEORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_each_case_has_the_training_that_comes_nearest(monkeypatch):
    here = taught(base("problems", 101, TINY), apart(), TINY)
    shares = np.linspace(0, 0.8, len(STEPS))
    aim = np.array([0.0, 0.09, 0.31, 0.5, 0.72, 1.0])
    found = iter([aim, *(np.full(6, share) for share in shares)])
    matched = []

    def _solved(_known, _prompts, adapt):
        matched.append(adapt)
        return next(found)

    monkeypatch.setattr(_stopped, "solved", _solved)
    adapter, steps = stopped(here, here.first, TINY)
    best = [int(np.abs(shares - x).argmin()) for x in aim]
    assert steps == tuple(STEPS[k] for k in best)
    assert len(set(best)) == 6
    assert matched[0] is here.first
    lessons = list(dict.fromkeys(case.composed for case in here.cases))
    for e, k in enumerate(best):
        own = adapters(here.known, lessons, replace(TINY, taught=STEPS[k]), wider=2)
        place = lessons.index(here.cases[e].composed)
        for name, x in own.tensors().items():
            assert torch.equal(adapter.tensors()[name][e], x[place])


def test_it_is_chosen_on_problems_that_are_not_asked_later(monkeypatch):
    here = taught(base("problems", 101, TINY), apart(), TINY)
    draws = []
    plain = type(here).asked
    monkeypatch.setattr(
        type(here),
        "asked",
        lambda self, n, *, draw=16: draws.append(draw) or plain(self, n, draw=draw),
    )
    stopped(here, None, TINY)
    assert draws
    assert 16 not in draws
