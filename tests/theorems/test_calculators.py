"""Calculators give the theorems' numbers, to full precision, and refuse nonsense in words."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import f as f_law
from scipy.stats import norm

from loratheory.theorems import ALL, CALCULATORS, CalculatorError


def test_every_calculator_belongs_to_a_theorem():
    assert set(CALCULATORS) <= {theorem.label for theorem in ALL}


def test_gates_by_another_road():
    found = CALCULATORS["thm:gate-detection"](facts=8, width=128, threshold=0.6, hops=2)
    tail = f_law.sf(0.6 * 121 / 8, 8, 121)
    assert found["false alarm"] == pytest.approx(tail, rel=1e-9)
    assert found["largest library"] == 1 + math.floor(0.05 / (2 * found["false alarm"]))


def _share(sharpness, things=65536):
    """The two heads as they are computed, the first on one pair, the second on what it reads."""
    look = np.exp(sharpness * (np.arange(2 * things) == 0))
    a, b = look[0] / look.sum(), look[1] / look.sum()
    second = np.exp(sharpness * np.array([a, (things - 1) * b]))
    return second[0] / (second.sum() + 2 * things - 2)


GOLDEN, CUBIC = (math.sqrt(5) - 1) / 2, 0.6823278038280193  # roots of c² + c = 1 and c³ + c = 1
SHARP = brentq(lambda sharpness: _share(sharpness) - 0.5, 1, 60)


@pytest.mark.parametrize(
    ("label", "given", "expected"),
    [
        ("two-read-region", {"hops": 1, "adapters": 3}, [0.5, 1.5, 2, 2]),
        ("two-read-region", {"adapters": 3}, [GOLDEN, 3 * GOLDEN, 2, 6 * GOLDEN - 1]),
        ("two-read-region", {"hops": 3}, [CUBIC, 2 * CUBIC, 1, 4 * CUBIC - 1]),
        ("two-read-region", {"hops": 4, "case": "overwrite both"}, [0.5, 1, 1, 1]),
        ("two-read-region", {"case": "new subject"}, [0.5, 1]),
        ("two-read-region", {"hops": 3, "case": "new subject"}, [GOLDEN, 2 * GOLDEN]),
        ("two-read-region", {"hops": 9, "case": "new facts"}, [0, 0]),
        ("edit-budget", {"facts": 200, "rank": 16}, [16, 0.92]),
        ("edit-budget", {"facts": 3, "rank": 16}, [3, 0]),
        ("averaging-survival", {"adapters": 4, "deficit": 2.0}, [0, 6, 30]),
        ("perturbed-region", {"hops": 2, "interference": 0.0}, [GOLDEN]),
        ("perturbed-region", {"interference": 0.1}, [(-0.9 + math.sqrt(6.01)) / 2]),
        ("coefficient-ladder", {"hops": 2}, [1 / 3, 2 / math.sqrt(3), 7 / 6]),
        ("template-vote", {"adapters": 3, "coefficient": 1 / 3}, [0.5, 0.25, -1 / 3]),
        ("template-vote", {"adapters": 2, "coefficient": 0.25}, [1.0, 1.0, -0.5]),
        ("superposition-floor", {"facts": 24, "rank": 6}, [18 / (6 * 23), 24**2 / 6]),
        ("superposition-floor", {"facts": 3, "rank": 8}, [0, 3]),
        (
            "context-composition",  # 65,536 is two to the sixteen: one layer cannot, at size 2
            {"things": 65536, "width": 1, "precision": 2},
            [SHARP, (16 * 65536 - 4) / (3 * 16 * 65536), 1],
        ),
        ("attention-reach", {"change": 5, "beyond_keys": 2}, [3]),
        ("attention-reach", {"change": 2, "beyond_keys": 1, "beyond_queries": 4}, [4]),
        ("relu-necessity", {"directions": 7, "layers": 3}, [3]),
        ("packing-floor", {"adapters": 3, "rank": 1, "width": 2}, [1 / 4, 1 / 2, 2, 2 / 3]),
        ("packing-floor", {"adapters": 2, "rank": 2, "width": 5}, [0, 2 / 5, 2, 1]),
        (
            "sum-capacity",  # Q(2) in the last digit, and the union bound from below
            {"width": 400, "margin": 1.0, "size": 2.0, "failure": norm.sf(2.0)},
            [25, norm.sf(2.0), math.floor(50 / -math.log(norm.sf(2.0)))],
        ),
        (
            "sequential-forgetting",
            {"width": 4, "rank": 2, "later": 2},
            [1 / 4, 3 / 4, 1, 229 / 162],
        ),
        ("sequential-forgetting", {"width": 4, "rank": 2, "later": 0}, [1, 0, 0, 0]),
        ("carried-edit", {"margin": 3.0, "distance": 2.0, "change": 4.0}, [1.5, 7]),
        (
            "library-capacity",  # alarm where x^2 > |k|^2 / 2, which is exponential of mean 1
            {"adapters": 3, "facts": 1, "width": 2, "threshold": 0.5, "hops": 1},
            [1 / 3, math.inf, math.inf],
        ),
        (
            "library-capacity",  # alarm (2/3)^3; energy x^2 (3 - 2x) at x = 2/3
            {"adapters": 3, "facts": 2, "width": 7, "threshold": 0.5, "hops": 1},
            [(19 / 27) ** 2, 20 / 27, 1],
        ),
        (
            "router-limit",
            {"adapters": 2, "strength": 3.0, "cosine": -1.0},
            [norm.cdf(3.0), 0.5, math.log(10) / 2],
        ),
        ("router-limit", {"adapters": 5, "strength": 0.0}, [0.2, 0.2, 0]),
        ("threshold-samples", {"samples": 22, "rate": 0.1}, [0.9**22, 29]),
        ("threshold-samples", {"samples": 3, "rate": 0.5, "order": 2, "doubt": 0.5}, [0.5, 3]),
        ("arrow-blind-spot", {"adapters": 4, "facts": 4}, [7 / 16, 1 / 4]),
        ("arrow-law", {"adapters": 2, "strength": 0.0}, [1 / 2, 1 / 2]),
        ("arrow-law", {"adapters": 3, "strength": 1.0}, [1, 1 / 3]),
        ("intruder-threshold", {"strength": 4.0, "coefficient": 0.5}, [3 / 4, 5 / 2]),
        ("even-edits", {"reads": 2}, [2 * GOLDEN, GOLDEN]),
        ("even-edits", {}, [1, GOLDEN]),
        ("least-norm-placement", {"early": 3.0, "late": 1.0, "resemblance": 0.5}, [1 / 4, 1 / 8]),
        ("disagreeing-stand-ins", {"stand_ins": 4, "heard": 3}, [3 / 4, math.log(4)]),
        ("disagreeing-stand-ins", {"stand_ins": 2, "nats": 1.0}, [1 / 2, 0]),
    ],
)
def test_others_by_hand(label, given, expected):
    assert list(CALCULATORS[f"thm:{label}"](**given).values()) == pytest.approx(expected)


def test_capacity_by_hand():
    noise = CALCULATORS["thm:merged-memory"](facts=128, adapters=4, width=128, rank=32)
    one = CALCULATORS["thm:merged-memory"](facts=128, adapters=1, width=128, rank=32)
    assert noise["noise of the sum"] == pytest.approx(one["noise of the sum"])
    assert noise["noise when routed"] < noise["noise of the sum"]
    most = CALCULATORS["thm:counting-ceiling"](tokens=2048, outputs=128, inputs=128, rank=32)
    assert most["largest memory"] == 17413
    sharp = [CALCULATORS["thm:clean-up-bridge"](sharpness=s)["threshold"] for s in (3.0, 9.0, 99.0)]
    assert sharp == sorted(sharp, reverse=True)
    assert sharp[-1] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("label", "given", "says"),
    [
        ("two-read-region", {"hops": 0}, "hops is 0: give at least 1"),
        ("two-read-region", {"case": "Q"}, "no case 'Q'"),
        ("averaging-survival", {"adapters": 0}, "at least 1"),
        ("edit-budget", {"facts": 0, "rank": 1}, "facts is 0"),
        ("superposition-floor", {"facts": 1, "rank": 0}, "rank is 0"),
        (
            "counting-ceiling",
            dict.fromkeys(("tokens", "outputs", "inputs"), 2) | {"rank": 0},
            "rank is 0",
        ),
        ("gate-detection", {"facts": 9, "width": 8}, "facts is 9: give at least 1 and at most 8"),
        ("gate-detection", {"facts": 1, "width": 8, "hops": 0}, "hops is 0"),
        ("gate-detection", {"facts": 1, "width": 8, "failure": 2}, "failure is 2"),
        ("template-vote", {"coefficient": 0.0}, "in \\(0, inf\\)"),
        ("averaging-survival", {"deficit": -1.0}, "deficit is -1"),
        ("gate-detection", {"facts": 1, "width": 8, "threshold": 1.5}, "in \\(0, 1\\)"),
        ("attention-reach", {"change": -1}, "change is -1"),
        ("relu-necessity", {"directions": 2, "layers": 0}, "layers is 0"),
        ("packing-floor", {"adapters": 1, "rank": 1, "width": 2}, "adapters is 1"),
        ("packing-floor", {"adapters": 2, "rank": 3, "width": 2}, "rank is 3: .* 1 and at most 2"),
        ("sum-capacity", {"width": 9, "failure": 0.5}, "in \\(0, 0.5\\)"),
        ("sum-capacity", {"width": 9, "margin": 0.0}, "margin is 0.0"),
        ("sequential-forgetting", {"width": 2, "rank": 3}, "rank is 3: .* 1 and at most 2"),
        ("carried-edit", {"margin": math.nan, "distance": 1.0, "change": 1.0}, "margin is nan"),
        ("library-capacity", {"adapters": 0, "facts": 1, "width": 2}, "adapters is 0"),
        (
            "router-limit",
            {"adapters": 3, "strength": 1.0, "cosine": -0.6},
            "at least -0.5 and at most 1",
        ),
        ("threshold-samples", {"samples": 1, "rate": 0.1, "order": 2}, "samples is 1"),
        ("router-limit", {"adapters": 3, "strength": math.inf}, "strength is inf"),
        ("threshold-samples", {"samples": 1, "rate": 1.1}, "rate is 1.1"),
        ("arrow-law", {"adapters": 2, "strength": 1.5}, "strength is 1.5"),
        ("arrow-blind-spot", {"adapters": 0}, "adapters is 0"),
        ("intruder-threshold", {"strength": -1.0}, "strength is -1"),
        ("even-edits", {"reads": 1}, "reads is 1"),
        ("least-norm-placement", {"early": 0.0, "late": 1.0}, "early is 0"),
        ("disagreeing-stand-ins", {"stand_ins": 2, "nats": -1.0}, "nats is -1"),
    ],
)
def test_nonsense_is_refused_in_words(label, given, says):
    with pytest.raises(CalculatorError, match=says):
        CALCULATORS[f"thm:{label}"](**given)
