"""_error: requests are refused just outside their bounds, in words that say what is possible."""

import pytest

from loratheory.tasks import ImpossibleError, LeakError, impossible, one_of, within


def test_the_bounds_themselves_are_allowed():
    within("n", 2, 2, 3)
    within("n", 3, 2, 3)
    within("n", 100, 2)
    one_of("form", "a", ("a", "b"))


@pytest.mark.parametrize(
    ("value", "most", "message"),
    [
        (1, 3, "n is 1; ask for a number from 2 to 3"),
        (4, 3, "n is 4; ask for a number from 2 to 3"),
        (1, None, "n is 1; ask for a number of at least 2"),
    ],
)
def test_beyond_the_bounds_the_message_says_what_is_allowed(value, most, message):
    with pytest.raises(ImpossibleError) as caught:
        within("n", value, 2, most)
    assert str(caught.value) == message


def test_an_unknown_word_is_answered_with_the_known_ones():
    with pytest.raises(ImpossibleError, match="form is 'c'; choose one of a, b"):
        one_of("form", "c", ("a", "b"))


def test_errors_are_value_errors():
    assert isinstance(impossible("fact", "remedy"), ValueError)
    assert issubclass(LeakError, ValueError)
    assert str(impossible("fact", "remedy")) == "fact; remedy"
