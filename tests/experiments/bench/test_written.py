"""Going on from a question: models whose every word is known."""

import numpy as np
from reused import always, taught
from reused import cache as cache

from loratheory.experiments.bench.answers import written_out


def test_the_models_own_first_word_is_what_it_goes_on_from(cache):  # noqa: ARG001
    shelf = taught(pairs=1, facts=3)
    asked = [one.thought for one in shelf.trials[0]]
    bridges = [int(one.tokens[0, -1]) for one in asked]
    spelt, answer = written_out(shelf, always(shelf.bases, bridges))
    np.testing.assert_allclose(spelt, 1 / 3)
    assert (answer == 0).all()
    ends = [int(one.answer[0]) for one in asked]
    spelt, answer = written_out(shelf, always(shelf.bases, ends))
    assert (spelt == 0).all()
    np.testing.assert_allclose(answer, 1 / 3)
