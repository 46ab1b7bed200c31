"""_recipe: the rate rises on a line, falls to its floor, and nonsense is refused."""

import pytest

from loratheory.toy.transformer import BASE, LORA, ConfigError, Recipe


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 0}, "0 steps"),
        ({"warmup": -1}, "-1 to warm up"),
        ({"rate": 0.0}, "rate is 0.0"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"floor": 2}, "floor is 2"),
        ({"decay": -0.1}, "decay is -0.1"),
        ({"schedule": "step"}, "choose cosine or linear"),
    ],
)
def test_what_describes_no_training_is_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        Recipe(**{"steps": 10, "rate": 1e-3} | change)


def test_the_rate_rises_and_falls_as_said():
    recipe = Recipe(steps=14, rate=1, warmup=4, schedule="linear", floor=0.2)
    rising = [recipe.share(step) for step in range(4)]
    assert rising == [0.25, 0.5, 0.75, 1.0]
    assert [recipe.share(step) for step in (4, 9, 14)] == pytest.approx([1, 0.6, 0.2])
    cosine = Recipe(steps=14, rate=1, warmup=4, floor=0.2)
    assert [cosine.share(step) for step in (4, 9, 14)] == pytest.approx([1, 0.6, 0.2])
    assert cosine.share(6) == pytest.approx(0.2 + 0.8 * (1 + 0.80901699) / 2)


def test_a_floor_of_one_is_a_constant_rate():
    assert {Recipe(steps=9, rate=1, floor=1).share(step) for step in range(9)} == {1.0}


def test_the_recipes_end_at_a_tenth():
    for recipe in (BASE, LORA):
        assert max(map(recipe.share, range(recipe.steps))) == 1
        assert recipe.share(recipe.steps) == pytest.approx(0.1)
    assert (BASE.steps, BASE.decay, LORA.rate) == (700, 1.0, 5e-3)
