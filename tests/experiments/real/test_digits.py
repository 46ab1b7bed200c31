"""real._digits: numbers are told apart by their first digit, all else is as it was."""

from worded import Words, small_model

from loratheory.experiments.real._digits import reading_digits
from loratheory.pretrained import batch, first_tokens


class Spaced(Words):
    """The space before a word is a token."""

    def __call__(self, text, **how):
        """A number for each piece."""
        return super().__call__(text.replace(" ", " _ "), **how)


def test_a_number_is_its_digit_and_a_word_still_has_its_space():
    model = small_model()
    model = type(model)(model.network, Spaced(), "small")
    [same] = {model.tokenizer(f" {word}")["input_ids"][0] for word in ("7", "8", "keys")}
    reading = reading_digits(model)
    seven, eight, keys = first_tokens(reading, ["7", "8", "keys"]).tolist()
    assert len({seven, eight, keys}) == 3
    assert keys == same
    assert seven == Words()("7")["input_ids"][0]
    prompt = "Ben has 3 keys"
    assert (batch(reading, [prompt])["input_ids"] == batch(model, [prompt])["input_ids"]).all()
    assert reading.tokenizer.decode([seven]) == model.tokenizer.decode([seven])
