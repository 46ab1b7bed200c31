"""Stand-ins of small transformers: what they say, what is shown beside them, what is by heart."""

import numpy as np
import pytest

from loratheory.tasks.two_hop import all_questions, encode
from paper.studies._shared.bases import UntiedSetting, train_in_stages
from paper.studies._shared.training import AdapterTraining, library
from paper.studies.number_of_stand_ins.stand_ins import (
    OWN,
    TWO_HOP,
    UNEDITED,
    Author,
    StandIns,
    train_with_stand_ins,
)

WAYS = [StandIns(count) for count in (1, 2, 3)]
WAYS += [StandIns(3, agree=True), StandIns(2, two_hop=False)]


@pytest.fixture(scope="module")
def trained_library():
    setting = UntiedSetting(entities=40, relations=4, width=16, rows=32, steps=10)
    training = AdapterTraining(3, 1, 2, steps=5, retained=12)
    return library(train_in_stages(setting, 101, (10,))[10], training)


@pytest.fixture(params=[0, 1], ids=["first hop", "second hop"])
def author(request, trained_library):
    return Author(trained_library.edits[0][0], request.param, np.random.default_rng(0))


def test_stand_ins_disagree_on_all_answers_and_tell_nothing_of_the_partner(author):
    edit, hop = author.edit, author.hop
    fact_sets = [author.partner(j) for j in range(3)]
    answers = np.array([author.two_hop_prompts(facts).answer for facts in fact_sets])
    assert all(len({*column}) == 3 for column in answers.T)
    for facts in fact_sets:
        changed = np.argwhere(facts.maps != edit.before.maps)
        own = changed[changed[:, 0] == hop]
        assert (facts.maps[hop] == edit.after.maps[hop]).all()
        assert {*own[:, 2]} == {*edit.trained[hop].subjects}
        theirs = changed[changed[:, 0] != hop]
        assert not theirs[:, 1].any()
        if hop == 0:
            assert {*theirs[:, 2]} == {*edit.routes[:, 1]}
            assert not {*facts.maps[1, 0, edit.routes[:, 1]]} & {*edit.routes[:, 2]}
        else:
            assert {*theirs[:, 2]} <= {*author.subjects}
            assert not {*author.subjects} & {*edit.questions.subjects}
            assert {*facts.maps[0, 0, author.subjects]} == {*edit.routes[:, 1]}


@pytest.mark.parametrize("how", WAYS, ids=str)
def test_rows_are_shared_out_and_right_beside_their_stand_in(trained_library, author, how):
    kept = trained_library.training_sets[0][0].hops[0].replayed
    parts = []
    for j in range(how.count):
        facts = author.partner(0 if how.agree else j)
        rows = author.rows(facts, kept, how, j)
        own, asked = OWN // how.count, TWO_HOP // how.count if how.two_hop else 0
        left = len(kept) // how.count
        quiet = rows[np.arange(own + left, own + left + UNEDITED // how.count)]
        assert len(rows) == own + left + UNEDITED // how.count + asked
        single, two = author.singles(author.hop, facts), author.two_hop_prompts(facts)
        assert _answered(rows[np.arange(own)]) == _answered(single.padded(3))
        assert _answered(rows[np.arange(len(rows) - asked, len(rows))]) == (
            _answered(two) if asked else set()
        )
        old, now = (encode(one, all_questions(one)).final() for one in (author.edit.before, facts))
        shown = _answered(quiet)
        assert shown <= _answered(old) & _answered(now)
        parts.append(shown)
    assert sum(map(len, parts)) == len(set().union(*parts)) == UNEDITED


def _answered(rows):
    return {(*tokens, answer) for tokens, answer in zip(rows.tokens, rows.answer, strict=True)}


def test_an_adapter_memorises_at_most_one_in_n_of_its_two_hop_examples(trained_library):
    made = train_with_stand_ins(trained_library, StandIns(3))
    for hop in range(2):
        alone = made.memorised(hop)
        assert alone.shape == (2,)
        assert (alone <= 1 / 3).all()
        assert len(made.two_hop_prompts[hop]) == 3
        plainly = trained_library.pairs[0][hop]
        assert any((x != made.adapters[hop].up[name]).any() for name, x in plainly.up.items())
