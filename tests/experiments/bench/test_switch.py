"""Switching adapters on: every column a second time, from logits asked one rule at a time."""

import numpy as np
import pytest
from reused import cache as cache
from reused import enlarged, taught

from loratheory.experiments.bench import library as rules
from loratheory.experiments.bench.answers import scores
from loratheory.experiments.bench.coefficient import by_coefficient, switched
from loratheory.experiments.bench.theory import margins, own_loop, probe
from loratheory.theorems.composition.two_read_region import margin

C = 0.7


@pytest.fixture(scope="module")
def adapted():
    return enlarged(taught(pairs=1))


@pytest.fixture(scope="module")
def found(adapted):
    return switched(adapted, [0.0, C])


def right(adapted, prompts, adapt):
    answer = np.stack([one.answer for one in prompts])
    return scores(adapted.bases, prompts, adapt).argmax(axis=-1) == answer


def scaled(adapter, c):
    return rules.added([adapter], [c])


def test_chains_with_each_adapter_in_its_own_loop(adapted, found):
    prompts = [one.questions for one in adapted.trials[0]]
    first, second = adapted.adapters

    def _chosen(site, x):
        out = (first, second)[site.loop](site, x)
        return None if out is None else C * out

    assert (found[C]["oracle_placement"] == right(adapted, prompts, _chosen)).all()
    assert (found[C]["facts"].mean(axis=1) * 2).tolist() == pytest.approx(
        (found[C]["hop_1"] + found[C]["hop_2"]).tolist()
    )
    alone = [right(adapted, prompts, scaled(x, C)).mean(axis=1) for x in adapted.adapters]
    assert (found[C]["alone"] == np.maximum(*alone)).all()


@pytest.mark.parametrize("own", [False, True])
def test_predictions_are_the_region_at_measured_strengths(adapted, found, own):
    """Chain by chain, straight or at this very coefficient, bridges granted as the base reads."""
    placed = own_loop if own else (lambda adapter, _: adapter)
    straight = margins(adapted, inside=True, placed=placed)
    names = ("oracle_inside", "oracle_curved") if own else ("inside", "curved")
    for e in range(len(adapted.edits[0])):
        edit = adapted.edits[0][e]
        for chain in range(len(edit.questions)):
            bent = []
            for hop in range(2):
                prompts = [probe(one, hop, inside=True)[0] for one in adapted.edits[0]]
                act = scaled(placed(adapted.adapters[hop], hop), C)
                logits = scores(adapted.bases, prompts, act)[e, chain]
                new, old = straight.new[hop, e, chain], straight.old[hop, e, chain]
                deficit = straight.deficit[hop, e, chain]
                bent.append(float(logits[new] - logits[old] + deficit) / float(2 * deficit))
            line = straight.effective(C)[:, e, chain].tolist()
            known = straight.held[1, e, chain]
            assert found[C][names[0]][e, chain] == (margin(line) > 0 and known)
            assert found[C][names[1]][e, chain] == (margin(bent) > 0 and known)


def test_rightness_compares_with_what_was_measured(adapted, found):
    prompts = [one.questions for one in adapted.trials[0]]
    chains = right(adapted, prompts, rules.added(adapted.adapters, [C, C]))
    for name in ("predicted", "inside", "curved", "decided"):
        assert (found[C][f"{name}_right"] == (found[C][name] == chains)).all()
    for name in ("oracle_inside", "oracle_curved", "oracle_decided"):
        assert (found[C][f"{name}_right"] == (found[C][name] == found[C]["oracle_placement"])).all()


def test_hop_by_hop_each_fact_must_survive_by_itself(adapted, found):
    """Both facts at once: the first one's answer, whatever it is, is asked for the second."""
    merged = rules.added(adapted.adapters, [C, C])
    first, second = ([one.hops[hop] for one in adapted.trials[0]] for hop in (0, 1))
    passed = right(adapted, first, merged) & right(adapted, second, merged)
    answered = found[C]["hop_by_hop"]
    assert (answered >= passed).all()
    assert (found[C]["each_hop"] == margins(adapted).decided(C)).all()
    assert (found[C]["each_hop_right"] == (found[C]["each_hop"] == answered)).all()


def test_curvature_and_interference_add_up_to_what_the_line_misses(adapted, found):
    line, facts = margins(adapted), [[one.hops[hop] for one in adapted.trials[0]] for hop in (0, 1)]
    for e in range(len(adapted.edits[0])):
        bent, disturbed = [], []
        for hop, prompts in enumerate(facts):
            lone = scores(adapted.bases, prompts, scaled(adapted.adapters[hop], C))[e]
            both = scores(adapted.bases, prompts, rules.added(adapted.adapters, [C, C]))[e]
            mixed = (1 - C) * line.base[hop, e] + C * line.alone[hop, e]
            for chain, new in enumerate(line.new[hop, e]):
                found_leads = []
                for logits in (mixed, lone, both):
                    rest = np.delete(logits[chain], new)
                    found_leads.append(logits[chain, new] - rest.max())
                deficit = max(line.deficit[hop, e, chain], 1)
                bent.append((found_leads[1] - found_leads[0]) / deficit)
                disturbed.append((found_leads[2] - found_leads[1]) / deficit)
        assert found[C]["curvature"][e] == pytest.approx(bent, rel=1e-5)
        assert found[C]["interference"][e] == pytest.approx(disturbed, rel=1e-5)


def test_rows_are_means_over_all_that_belongs_to_a_base(adapted, found):
    rows = by_coefficient(adapted, [0.0, C], {"case": "x"}, {"two_hop": "k_hop", "hop_1": ""})
    assert [(row["case"], row["seed"], row["coefficient"]) for row in rows] == [
        ("x", seed, c) for c in (0.0, C) for seed in (101, 102)
    ]
    for g, row in enumerate(rows[2:]):
        assert "hop_1" not in row
        for name, old in (("k_hop", "two_hop"), ("curvature",) * 2, ("each_hop_right",) * 2):
            mine = np.ravel(found[C][old][2 * g : 2 * g + 2])  # two edit sets a base
            assert row[name] == pytest.approx(mine.mean(), abs=6e-4)
