"""Corners of two adapters, what they predict of merges, and states at a cut."""

import re
from itertools import product

import numpy as np
import pytest
import torch
from language import small_model
from scipy.stats import mannwhitneyu

from loratheory.adapters import Adapter
from loratheory.lowrank import gaussian
from loratheory.pretrained import attach, next_token_logits
from loratheory.pretrained.corners import Corners, measure_corners
from paper.studies._shared.language import layer_split
from paper.studies.lm_corners import cut, predict
from paper.tables import STUDIES, parse_query, percent, read_table, select

PROMPTS = ["one two", "three", "the country of"]


@pytest.fixture(scope="module")
def pair():
    """A small model of two layers, and two random adapters on all its layers."""
    rng, parts = np.random.default_rng(0), product((0, 1), ("up", "gate"))
    names = [f"model.layers.{layer}.mlp.{part}_proj" for layer, part in parts]
    adapters = [Adapter.of({name: gaussian(rng, 16, 16, 3) for name in names}) for _ in range(2)]
    return small_model(2), adapters


def test_of_a_quadratic_the_corners_and_two_halves_predict_everything():
    """And without its squares the corners alone."""
    rng = np.random.default_rng(0)
    terms = torch.tensor(rng.normal(size=(6, 5, 7)))

    def logits(a, b, bent=True):
        x = terms[0] + a * terms[1] + b * terms[2] + a * b * terms[3]
        return x + bent * (a * a * terms[4] + b * b * terms[5])

    for bent in (True, False):
        places = [logits(*where, bent) for where in ((0, 0), (1, 0), (0, 1), (1, 1))]
        halves = logits(0.5, 0, bent) + logits(0, 0.5, bent)
        made = Corners(*places, halves - places[0] - (places[1] + places[2]) / 2)
        for c in (0, 0.3, 0.5, 0.8, 1):
            torch.testing.assert_close(made.at(c, bent=bent), logits(c, c, bent))
            tokens = logits(c, c, bent).argmax(1)
            assert made.answered(tokens, c, bent=bent).all()
            assert not made.answered((tokens + 1) % 7, c, bent=bent).any()


def test_measured_corners_are_the_model_with_adapters_on_or_off(pair):
    model, adapters = pair
    with attach(model, adapters, [0.2, 0.7]) as active:
        found = measure_corners(model, active, PROMPTS)
        np.testing.assert_array_equal(active.coefficients, [[0.2, 0.7]] * 4)
        active.set([0.5, 0])
        half = next_token_logits(model, PROMPTS)
    torch.testing.assert_close(found.at(0), next_token_logits(model, PROMPTS))
    with attach(model, adapters):
        torch.testing.assert_close(found.at(1), next_token_logits(model, PROMPTS))
    with attach(model, adapters[:1]):
        torch.testing.assert_close(found.first, next_token_logits(model, PROMPTS))
    with attach(model, adapters[1:], 0.5):
        bends = half + next_token_logits(model, PROMPTS) - found.base
        bends -= (found.first + found.second) / 2
    torch.testing.assert_close(found.bends, bends)


def test_a_question_opens_where_its_last_run_of_right_answers_begins():
    verdicts = np.zeros((10, 4), bool)
    verdicts[6:, 0] = True  # from 0.7 on
    verdicts[[2, 9], 1] = True  # at 0.3 by chance, and at 1
    verdicts[:, 2] = True
    np.testing.assert_allclose(predict.opens(verdicts), [0.7, 1, 0.1, 1])


def test_rows_compare_each_template_with_what_the_merge_did():
    """Two templates of one question; the merge answers the first from 0.5 on, the second never."""
    none = torch.zeros((2, 3))
    both = none.clone()
    both[:, 0], both[:, 1] = 1.0, torch.tensor([0.4, 1.4])
    base = none.clone()
    base[:, 1] = 0.4
    made = Corners(base, base, base, both, 0 * none)
    merged = np.array([[c >= 0.5, False] for c in (*predict.COEFFICIENTS, 1.0)])
    rows = predict.compare(made, torch.tensor([0, 0]), merged, 2)
    assert len(rows) == 18
    first, second = rows[:9], rows[9:]
    # With equal corners but the last, c² decides, and c where nothing interacts but the line.
    assert [row["right"] for row in first] == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert [row["corners"] for row in first] == [1, 1, 1, 1, 0, 0, 1, 1, 1]
    assert [row["line"] for row in first] == [1, 1, 1, 1, 1, 1, 1, 1, 1]
    assert [row["no_interaction"] for row in first] == [1, 1, 1, 1, 0, 0, 0, 0, 0]
    assert {row["corners"] for row in second} == {1}
    assert first[0]["error"] == pytest.approx(0.2)
    assert np.isnan(second[0]["error"])
    # One of two is right, so that the constant says so, and has the other one wrong.
    assert [row["constant"] for row in second] == [1, 1, 1, 1, 0, 0, 0, 0, 0]


def test_the_interaction_is_the_sum_of_its_parts_and_each_switches_on_more_layers(pair):
    model, adapters = pair
    tokens, rows = torch.tensor([3, 4, 5]), range(3)
    with attach(model, adapters) as active:
        found = cut.split_interaction(model, active, PROMPTS, tokens, 1)
    parts = [found[f"{one}_{two}"] for one in ("lower", "upper") for two in ("lower", "upper")]
    np.testing.assert_allclose(sum(parts), found["interaction"], atol=1e-4)
    base, leads = next_token_logits(model, PROMPTS).argmax(1), []
    # Hop 1 in the lower layer, or not; hop 2 in both layers, or in the lower one.
    for where in (("below", "all"), ("none", "all"), ("below", "below"), ("none", "below")):
        with layer_split(1, *where)(model, adapters):
            logits = next_token_logits(model, PROMPTS)
        leads.append((logits[rows, tokens] - logits[rows, base]).numpy())
    expected = leads[0] - leads[1] - leads[2] + leads[3]
    np.testing.assert_allclose(found["lower_upper"], expected, atol=1e-4)


def test_a_state_at_the_cut_decides_what_is_above_it(pair):
    """The upper adapter changes no state below; the lower one does."""
    model, adapters = pair
    with layer_split(1, "none")(model, adapters):
        silent = cut.read_states(model, PROMPTS, 1)
    np.testing.assert_allclose(silent, cut.read_states(model, PROMPTS, 1))
    with layer_split(1)(model, adapters):
        assert np.abs(cut.read_states(model, PROMPTS, 1) - silent).max() > 1e-3
    # One by one: padding changes nothing.
    alone = [cut.read_states(model, [prompt], 1)[0] for prompt in PROMPTS]
    np.testing.assert_allclose(silent, alone, atol=1e-5)


def test_slopes_are_changes_of_a_lead_over_distance_between_different_answers():
    states = np.array([[0.0, 0], [3, 4], [0, 1]])
    # Leads of the answers 7, 7 and 8 at each state.
    leads = np.array([[2.0, 2, -3], [2, 2, -3], [-4, -6, 1]])
    changes = [5 / 1, 5 / 18**0.5, 5 / 1, 7 / 18**0.5]
    found = cut.measure_slope(states, leads, np.array([7, 7, 8]))
    assert found == pytest.approx(np.median(changes))


def area(measure, right):
    """Return the area under the ROC curve of a measure that should be larger where not right."""
    wrong = ~right.astype(bool)
    larger = mannwhitneyu(measure[wrong], measure[~wrong])
    return larger.statistic / (wrong.sum() * (~wrong).sum())


def test_the_page_and_the_paper_have_the_areas_of_the_tables():
    page = (STUDIES / "lm_corners/results.md").read_text(encoding="utf-8")
    rows, near, areas = read_table("lm_corners/cut").copy(), [], []
    # Where a training state is answered wrongly, no state counts as near.
    rows["far"] = (rows["distance"] * rows["slope"] / rows["lead"]).where(rows["lead"] > 0, np.inf)
    rows["lost"] = -rows["lead"]
    for (method, base), some in rows.groupby(["method", "base"]):
        [line] = re.findall(rf"^\| {method}, {base.split('-')[0]} \| .*", page, flags=re.M)
        found = [area(some[measure], some["right"]) for measure in ("far", "distance")]
        assert [float(cell) for cell in line.split("|")[4:6]] == [round(x, 2) for x in found]
        assert float(line.split("|")[3]) == round(some["far"].median(), 1)
        near.append((some["far"] < 1).mean())
    for _, some in rows.groupby("base"):
        areas += [area(some[measure], some["right"]) for measure in ("lost", "far")]
    pairs = select(parse_query("lm_library: kl_few; training=standard; stage=pairs; method=sum"))
    found = area(pairs["kl_few"], pairs["retention"] >= 0.9)
    assert f"(AUC {found:.2f})" in (STUDIES / "lm_library/results.md").read_text(encoding="utf-8")
    text = (STUDIES.parent / "main.tex").read_text(encoding="utf-8")
    expected = [rf"{percent(max(near))}\%", *(f"{x:.2f}" for x in areas)]
    # The first four are those of tests/test_readme.py.
    assert re.findall(r"\\computed\{([^}]*)\}", text)[4:] == expected
