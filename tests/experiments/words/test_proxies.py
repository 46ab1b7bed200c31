"""_proxies: weighted means over modules, and agreement of behaviour, each by a second road."""

import numpy as np
import pytest
import torch
from tiny_words import TINY

from loratheory.experiments.words._bases import base
from loratheory.experiments.words._cases import MEASURED, overlapping
from loratheory.experiments.words._problems import CODE
from loratheory.experiments.words._proxies import PROXIES, proxies
from loratheory.experiments.words._taught import taught
from loratheory.tasks.word_problems import stepwise
from loratheory.toy.transformer import logits


@pytest.fixture(autouse=True, scope="module")
def _kept(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATHEORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def cosine(a, b):
    return float((a * b).sum() / (a.norm() * b.norm()))


def test_likeness_and_agreement_by_dense_matrices():
    here = taught(base("problems", 101, TINY), overlapping(MEASURED[:1]), TINY)
    asked = here.asked(6)
    found = proxies(here, asked)
    assert [*found] == [*PROXIES]
    e = 4
    one, two = (
        {n: (x.scale * x.up[n][e] @ x.down[n][e]).double() for n in x.up}
        for x in (here.first, here.second)
    )
    rows = stepwise(CODE, asked[e])
    tokens = torch.tensor(np.array(rows.tokens))[None]
    kept = {}
    logits(here.known.config, here.known.weights, tokens, lambda s, x: kept.update({s.name: x}))
    ends = torch.tensor(rows.asked + np.arange(6) * rows.tokens.shape[1])
    weight = {n: float(one[n].norm() * two[n].norm()) for n in one}
    for proxy, each in (
        ("read", lambda n: cosine(one[n].T @ one[n], two[n].T @ two[n])),
        ("write", lambda n: cosine(one[n] @ one[n].T, two[n] @ two[n].T)),
        (
            "response",
            lambda n: cosine(*(kept[n][0, ends].double() @ x[n].T for x in (one, two))),
        ),
    ):
        mean = sum(weight[n] * each(n) for n in weight) / sum(weight.values())
        assert found[proxy][e] == pytest.approx(mean, rel=1e-4, abs=1e-6)
    both = [
        logits(here.known.config, here.known.weights, tokens, x.of(slice(e, e + 1)))[0]
        .argmax(-1)
        .flatten()[ends]
        for x in (here.first, here.second)
    ]
    assert found["agreement"][e] == pytest.approx(float((both[0] == both[1]).float().mean()))
    shares = [case.share for case in here.cases]
    common = [
        share * (case.bridge != "own") for share, case in zip(shares, here.cases, strict=True)
    ]
    assert found["overlap"] == pytest.approx(common, abs=0.07)
    assert found["shape"] == pytest.approx(shares)
