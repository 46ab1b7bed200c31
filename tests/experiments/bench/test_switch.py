"""Switching adapters on: every column a second time, from logits asked one rule at a time."""

import numpy as np
import pytest
from reused import enlarged, taught

from loratheory.bench.answers import scores
from paper.studies._shared.coefficient import by_coefficient, switched
from loratheory.bench.library import added
from paper.studies._shared.theory import margins, own_loop, probe
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


def summed(adapters):
    return added(adapters, [C] * len(adapters))


def questions(adapted):
    return [one.questions for one in adapted.trials[0]]


def test_questions_with_each_adapter_in_its_own_loop(adapted, found):
    def _chosen(site, x):
        out = adapted.adapters[site.loop](site, x)
        return None if out is None else C * out

    prompts = questions(adapted)
    assert (found[C]["oracle_placement"] == right(adapted, prompts, _chosen)).all()
    both = found[C]["hop_1"] + found[C]["hop_2"]
    assert (found[C]["facts"].mean(axis=1) * 2).tolist() == pytest.approx(both.tolist())
    alone = [right(adapted, prompts, summed([x])).mean(axis=1) for x in adapted.adapters]
    assert (found[C]["alone"] == np.maximum(*alone)).all()


@pytest.mark.parametrize("own", [False, True])
def test_predictions_are_the_region_at_measured_strengths(adapted, found, own):
    """Question by question, straight or at this coefficient, bridges granted as the base reads."""
    placed = own_loop if own else (lambda adapter, _: adapter)
    straight = margins(adapted, inside=True, placed=placed)
    line, curve = ("oracle_inside", "oracle_curved") if own else ("inside", "curved")
    logits = []
    for hop, adapter in enumerate(adapted.adapters):
        prompts = [probe(one, hop, inside=True)[0] for one in adapted.edits[0]]
        logits.append(scores(adapted.bases, prompts, summed([placed(adapter, hop)])))
    new, old = (
        np.take_along_axis(np.array(logits), tokens[..., None], axis=-1)[..., 0]
        for tokens in (straight.new, straight.old)
    )
    bent = (new - old + straight.deficit) / (2 * straight.deficit)
    for name, strengths in ((line, straight.effective(C)), (curve, bent)):
        for place in np.ndindex(strengths.shape[1:]):
            inside = margin([float(hop[place]) for hop in strengths]) > 0
            assert found[C][name][place] == (inside and straight.held[1][place])


def test_rightness_compares_with_what_was_measured(adapted, found):
    answered = right(adapted, questions(adapted), summed(adapted.adapters))
    measured = {"": answered, "oracle_": found[C]["oracle_placement"]}
    for name in ("predicted", "inside", "curved", "decided"):
        for start, fact in measured.items():
            if f"{start}{name}" != "oracle_predicted":
                guess, share = (found[C][f"{start}{name}{end}"] for end in ("", "_right"))
                assert (share == (guess == fact)).all()


def test_hop_by_hop_each_fact_must_survive_by_itself(adapted, found):
    """Both facts at once: the first one's answer, whatever it is, is asked for the second."""
    facts = ([one.hops[hop] for one in adapted.trials[0]] for hop in (0, 1))
    passed = np.all([right(adapted, one, summed(adapted.adapters)) for one in facts], axis=0)
    assert (found[C]["hop_by_hop"] >= passed).all()
    assert (found[C]["each_hop"] == margins(adapted).decided(C)).all()
    assert (found[C]["each_hop_right"] == (found[C]["each_hop"] == found[C]["hop_by_hop"])).all()


def test_curvature_and_interference_add_up_to_what_the_line_misses(adapted, found):
    line = margins(adapted)
    for hop, adapter in enumerate(adapted.adapters):
        prompts = [one.hops[hop] for one in adapted.trials[0]]
        each = [(1 - C) * line.base[hop] + C * line.alone[hop]]
        each += [scores(adapted.bases, prompts, summed(a)) for a in ([adapter], adapted.adapters)]
        for e, question in np.ndindex(line.new[hop].shape):
            new, deficit = line.new[hop, e, question], max(line.deficit[hop, e, question], 1)
            ahead = [x[e, question, new] - np.delete(x[e, question], new).max() for x in each]
            place = hop * line.new.shape[2] + question
            bent, disturbed = np.diff(ahead) / deficit
            assert found[C]["curvature"][e, place] == pytest.approx(bent, rel=1e-5)
            assert found[C]["interference"][e, place] == pytest.approx(disturbed, rel=1e-5)


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
