"""Going on from a question: models whose every word is known."""

import numpy as np
from reused import always, taught
from reused import cache as cache

from loratheory.experiments.reuse import _written


def test_the_models_own_first_word_is_what_it_goes_on_from(cache):  # noqa: ARG001
    shelf = taught(pairs=1, facts=3)
    asked = [one.thought for one in shelf.trials[0]]
    bridges = [int(one.tokens[0, -1]) for one in asked]
    spelt, answer = _written.written(shelf, always(shelf.bases, bridges))
    np.testing.assert_allclose(spelt, 1 / 3)
    assert (answer == 0).all()
    ends = [int(one.answer[0]) for one in asked]
    spelt, answer = _written.written(shelf, always(shelf.bases, ends))
    assert (spelt == 0).all()
    np.testing.assert_allclose(answer, 1 / 3)


def test_the_answer_is_read_after_the_word_that_was_written(cache, monkeypatch):  # noqa: ARG001
    seen = []

    def _scores(known, prompts, _=None):
        seen.append(np.stack([one.tokens for one in prompts]))
        found = np.zeros((*seen[-1].shape[:2], known.config.vocabulary))
        found[..., 7] = 1
        return found

    shelf = taught(pairs=1)
    monkeypatch.setattr(_written, "scores", _scores)
    _written.written(shelf, None)
    question, full = seen
    np.testing.assert_array_equal(full[..., :-1], question)
    assert (full[..., -1] == 7).all()
