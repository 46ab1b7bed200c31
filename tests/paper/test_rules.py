"""Rules of reuse by grids: each against the base with dense weights that were changed by hand."""

from functools import cache as once

import numpy as np
import pytest
import torch
from synthetic import dense_logits, enlarged, trained_library, update

from loratheory.adapters import Adapter, calibrate, calibrate_z, forward, merge
from loratheory.lowrank import LowRank
from loratheory.tasks.prompts import stacked
from loratheory.toy.transformer import Lora, Site, logits
from paper.studies._shared.answers import accuracies, scores
from paper.studies._shared.library import (
    METHODS,
    activate,
    activations,
    coefficients,
    layer_split,
    only_adapters,
    rule,
)
from paper.studies._shared.rules import DECIDERS, MERGES

SITES = [Site(m, loop, 0) for loop in (0, 1) for m in ("mlp.in", "mlp.out")]


@once
def library():
    return enlarged(trained_library())


def low(adapter, name, e):
    return LowRank((adapter.scale * adapter.up[name][e]).numpy(), adapter.down[name][e].numpy())


@once
def merged(e, method, **options):
    adapters = [Adapter.of({s.name: low(a, s.name, e) for s in SITES}) for a in library().adapters]
    one = merge(adapters, method, rng=np.random.default_rng(0), **options)
    return {s.name: torch.as_tensor(np.asarray(one[s.name].dense())) for s in SITES}


def every(c):
    """All four adapters times one number, or one each."""
    each = [c] * 4 if np.isscalar(c) else c
    loras = library().adapters
    return lambda _, e: (
        lambda name, __: sum(x * update(a, name, e) for x, a in zip(each, loras, strict=True))
    )


def own(test):
    """The asked pair's adapters of the hops and loops that pass."""

    def _change(pair, e):
        def _of(name, loop):
            adapters = library().pairs[pair]
            active = [update(a, name, e) * test(hop, loop) for hop, a in enumerate(adapters)]
            return sum(active)

        return _of

    return _change


def one(method, **options):
    return lambda _, e: lambda name, __: merged(e, method, **options)[name]


TIES = {"density": 0.3, "rank": 64}
LAWS = {
    "base": (rule("base"), every(0.0)),
    "sum": (rule("sum"), every(1.0)),
    "half the sum": (rule("half the sum"), every(0.5)),
    "a negative coefficient": (coefficients(-0.3), every(-0.3)),
    "a coefficient a hop": (coefficients(0.5, -1.0), every([0.5, -1.0, 0.5, -1.0])),
    "mean": (rule("mean"), every(0.25)),
    "hop 1 alone": (rule("hop 1 alone"), own(lambda hop, _: hop == 0)),
    "hop 2 alone": (rule("hop 2 alone"), own(lambda hop, _: hop == 1)),
    "oracle placement": (rule("oracle placement"), own(lambda hop, loop: hop == loop)),
    "reversed placement": (rule("reversed placement"), own(lambda hop, loop: hop != loop)),
    "all layers below": (layer_split(1, "below", "below"), every(1.0)),
    "hop 2 in no layer": (layer_split(0, "above", "below"), every([1.0, 0.0, 1.0, 0.0])),
    "merged by the mean": (rule("ties", density=1.0, rank=64), one("ties", density=1.0, rank=64)),
    "ties": (rule("ties", **TIES), one("ties", **TIES)),
    "knots": (rule("knots", density=0.3), one("ties", space="knots", density=0.3)),
    "interpolating": (rule("interpolating", ridge=0.1), one("interpolate", ridge=0.1)),
    "given adapters": (
        lambda it: only_adapters(*it.pairs[1], times=0.7)(it),
        lambda _, e: lambda name, __: 0.7 * sum(update(a, name, e) for a in library().pairs[1]),
    ),
}


@pytest.mark.parametrize("law", LAWS)
def test_a_rule_is_the_base_with_weights_changed_by_hand(law):
    act, change = LAWS[law]
    active = activate(library(), act)
    assert len(active) == 2
    for pair, (asked, adapt) in enumerate(zip(library().trials, active, strict=True)):
        prompts, bases = [x.questions for x in asked], library().bases
        with torch.inference_mode():
            tokens = torch.tensor(stacked(prompts).tokens)
            found = logits(bases.config, bases.weights, tokens, adapt)
        wanted = torch.stack([dense_logits(bases, prompts, e, change(pair, e)) for e in range(4)])
        torch.testing.assert_close(
            found.double(), wanted, rtol=0, atol=2e-5 * float(wanted.abs().max())
        )


@pytest.mark.parametrize("name", DECIDERS)
def test_routed_outputs_are_mixtures_token_by_token(name):
    act = activate(library(), rule(name))[0]
    base = activations(library().bases)
    generator = torch.Generator().manual_seed(0)
    for site in SITES:
        x = torch.randn(4, 50, library().bases.config.shapes[site.name][1], generator=generator)
        x[:, :25] = base[site][:, :25].repeat_interleave(2, 0)
        for _ in range(2):  # prepared, then met again
            out = act(site, x)
        weights = act.on[site]
        total = weights.sum(-1)
        if "gating" in name:
            decide = calibrate if name == "per-matrix gating" else calibrate_z
            options = {"budget": 0.3} if name == "per-matrix gating" else {"z": 2}
            for e in range(4):
                updates = [low(a, site.name, e).map(torch.tensor) for a in library().adapters]
                gates = decide(updates, base[site][e // 2], **options)
                torch.testing.assert_close(weights[e], gates.weights(x[e]).to(weights.dtype))
        else:  # one unit is shared out among one, three or all
            torch.testing.assert_close(total, torch.ones_like(total))
            most = {"norm, soft": 4, "arrow, peft": 3}.get(name, 1)
            assert int(weights.count_nonzero(dim=-1).max()) == most
        for e in range(4):
            updates = [low(a, site.name, e).map(torch.tensor) for a in library().adapters]
            wanted = forward(updates, x[e], weights[e])
            assert torch.allclose(out[e], wanted, rtol=1e-3, atol=1e-4 * float(out.abs().max()))
    assert act(Site("head", 1, 1), torch.zeros(4, 1, 16)) is None


@pytest.mark.parametrize("name", [*DECIDERS, "per-block gating, z = 0"])
def test_with_one_adapter_a_choice_is_that_adapter_or_nothing(name):
    first = library().adapters[0]
    alone = library().having([first])
    act = rule(name)(alone)
    x = activations(library().bases)[SITES[0]].repeat_interleave(2, 0)
    out, wanted = act(SITES[0], x), first(SITES[0], x)
    weights = act.on[SITES[0]]
    assert set(weights.unique().tolist()) <= ({0.0, 1.0} if "gating" in name else {1.0})
    torch.testing.assert_close(out, weights * wanted)


@pytest.mark.parametrize("name", ["mean, two-step prompting", "sum, second pass"])
def test_passes_are_the_rules(name):
    plain_name, _, passes = name.partition(", ")
    active, plain = (activate(library(), rule(n)) for n in (name, plain_name))
    prompts = [x.questions for x in library().trials[0]]
    wanted = scores(library().bases, prompts, plain[0], passes)
    np.testing.assert_array_equal(scores(library().bases, prompts, active[0]), wanted)
    right = accuracies(library(), active)
    assert set(right) >= {"two_hop", "hop_1", "hop_2", "other_hops", "other_two_hop", "chance"}


def test_a_map_that_only_some_adapt_is_left_alone_or_summed():
    first = library().adapters[0]
    name = "layers.0.mlp.in"
    partial = Lora({name: first.up[name]}, {name: first.down[name]}, first.scale)
    both = coefficients(2.0, 0.5)(library().having([partial, first]))
    x, y = torch.ones(4, 1, 16), torch.ones(4, 1, 64)
    assert torch.allclose(both(SITES[0], x), 2.5 * first(SITES[0], x))
    assert torch.allclose(both(SITES[1], y), 0.5 * first(SITES[1], y))
    assert rule("sum")(library().having([partial]))(SITES[1], y) is None


@pytest.mark.parametrize("name", [*METHODS, *MERGES, *DECIDERS])
def test_every_method_acts_and_takes_only_its_own_options(name):
    made = rule(name)(library())
    assert len(made.shares(SITES[0], 0)) == made.library.size
    assert (name in DECIDERS or "gating" in name) == (made.route is not None)
    if name in MERGES or name in DECIDERS:
        with pytest.raises(TypeError):
            rule(name, colour="red")(library())(SITES[0], torch.zeros(4, 1, 16))
