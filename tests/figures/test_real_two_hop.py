"""The language model's figure: curves by coefficient, cuts by layer, one mark a rule."""

import pytest
from panels import shown, without

from loratheory.figures import TableError
from loratheory.figures.real_two_hop import CUTS, RULES, chosen, draw


def row(taught, way, first=1.0, second=1.0, layer=-1, seed=0, chains=0.5, confidence=0.5):
    told = {"trained": taught, "rule": way, "first": first, "second": second, "layer": layer}
    marks = {"hop_1": first, "hop_2": second / 2, "two_hop": chains + 0.02 * seed}
    ends = {"predicted": first * second if first != 0.3 else float("nan"), "confidence": confidence}
    return {"seed": seed} | told | marks | ends


def table():
    rows = []
    for seed in (0, 1):
        equal = ((c, row("all layers", "sum", c, c, seed=seed)) for c in (0.3, 0.5, 1.0))
        rows += [{**one, "two_hop": c / 4 + 0.02 * seed} for c, one in equal]
        rows.append(row("all layers", "sum", 0.5, 1.0, seed=seed, chains=0.9))
        for way, chains in zip(CUTS, (0.6, 0.1), strict=True):
            for layer in (12, 15):
                sure = chains if seed == 0 else 1 - chains
                rows.append(
                    row("all layers", way, 1.0, 1.0, layer, seed, chains, sure + layer / 99)
                )
        rows += [row("all layers", way, seed=seed, chains=0.3) for way in ("ties", "arrow")]
        rows += [row("by layers", "sum", c, c, seed=seed, chains=c / 2) for c in (0.5, 1.0)]
        rows += [row(t, "gates, z = 2", seed=seed) for t in ("all layers", "by layers")]
    return rows


def points(axes, label):
    [bar] = [bar for bar in axes.containers if bar.get_label() == label]
    return dict(zip(*(part.tolist() for part in bar[0].get_data()), strict=True))


def test_curves_have_one_coefficient_for_both():
    left, *_ = draw(table()).axes
    assert points(left, "person to animal") == pytest.approx({0.3: 0.085, 0.5: 0.135, 1: 0.26})
    assert points(left, "person to country") == pytest.approx({0.3: 0.3, 0.5: 0.5, 1: 1})
    assert points(left, "country to animal") == pytest.approx({0.3: 0.15, 0.5: 0.25, 1: 0.5})
    [said] = [line for line in left.lines if line.get_label().endswith("predicted")]
    assert list(zip(*said.get_data(), strict=True)) == [(0.5, 0.25), (1, 1)]


def test_cuts_stand_beside_the_sum():
    _, middle, _ = draw(table()).axes
    assert points(middle, "hop 1 below, hop 2 above") == pytest.approx({12: 0.61, 15: 0.61})
    assert points(middle, "the wrong order") == pytest.approx({12: 0.11, 15: 0.11})
    [whole] = [line for line in middle.lines if line.get_label() == "no cut"]
    assert whole.get_ydata()[0] == pytest.approx(0.26)


def test_a_mark_for_each_rule_that_was_tried():
    right = draw(table()).axes[2]
    whole, layered = (shown(right, f"taught {name}") for name in ("in all layers", "by layers"))
    assert whole["mean"] == pytest.approx(0.135)
    assert whole["sum"] == pytest.approx(0.26)
    assert whole["cut, most confident"] == pytest.approx((0.6 + 0.12) / 2)
    assert layered == pytest.approx({"mean": 0.26, "sum": 0.51, "gates, maps": 0.51})


def test_of_cuts_the_most_confident_counts_whatever_its_order():
    found = chosen([one for one in table() if one["trained"] == "all layers"], "best cut")
    assert [(one["rule"], one["layer"]) for one in found] == [
        ("layer split", 15),
        ("reversed layer split", 15),
    ]
    assert [*RULES][-1] == "best cut"


def test_lacking_columns_and_ways_are_told():
    for column in ("predicted", "confidence", "layer"):
        with pytest.raises(TableError, match=column):
            draw(without(table(), column))
    with pytest.raises(TableError, match="arrow"):
        draw([one for one in table() if one["rule"] != "arrow"])
