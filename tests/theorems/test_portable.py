"""Portable adapters: hand examples, symmetries, other roads of what a second hop learns alone."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from theorems.owed import attack, example, road, symmetry

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems import AssumptionError
from loratheory.theorems.composition import (
    bridge_transfer,
    cut_law,
    placement,
    promise_law,
    stand_in_ceiling,
)

# least-norm placement


def reads(case, change):
    """The same keys at each read after a change of that read, named and latent alike."""
    both = zip(case.named, case.latent, strict=True)
    named, latent = zip(*(change(a, b) for a, b in both), strict=True)
    return replace(case, named=named, latent=latent)


def rotated(case, rng):
    """The same reads, each in a frame of its own."""
    turns = iter([orthonormal(rng, len(keys), len(keys)) for keys in case.named])

    def turned_read(named, latent):
        turn = next(turns)
        return turn @ named, turn @ latent

    return reads(case, turned_read)


@example("least-norm-placement")
def one_fact_four_fifths_of_it_late_and_half_alike_gives_two_fifths():
    case = placement.SMALL
    assert placement.shares(case) == [1 / 5, 4 / 5]
    yield case, 2 / 5
    yield replace(case, early=0, latent=(np.array([1.0, 0.0]), np.array([2.0, 0.0]))), 1.0
    even = replace(case, rates=(4.0, 1.0))
    assert placement.shares(even) == [1 / 2, 1 / 2]
    yield even, 1 / 4
    # two facts in three reads: the lessons' Gram matrix is ((7, 2), (2, 7)), the question's
    # products with them are 5 and 3, and it is answered by 29 and 11 of 45 parts
    named = ([[1.0, 1], [0, 2]], [[1.0, 0], [1, 1]], [[2.0, 0], [0, 1]])
    latent = ([9.0, 9], [1.0, 2], [1.0, 1])
    keys = (tuple(map(np.array, part)) for part in (named, latent))
    yield placement.Case(*keys, (1.0, 1.0, 1.0), 1), (29 - 11) / 45


@symmetry("least-norm-placement", conditioned=True)
def frames_of_reads_and_key_lengths_against_rates(case, rng):
    yield rotated(case, rng), 1.0
    yield reads(case, lambda named, latent: (2 * named, 2 * latent)), 1.0
    rates = (case.rates[0] / 9, *case.rates[1:])
    longer = [(3 * keys[0], *keys[1:]) for keys in (case.named, case.latent)]
    yield placement.Case(*longer, rates, case.early), 1.0
    unseen = tuple(keys + (read < case.early) for read, keys in enumerate(case.latent))
    yield replace(case, latent=unseen), 1.0


# free placement


@example("free-placement")
def the_right_answer_costs_a_half_where_single_hops_alone_cost_a_fifth():
    """Three tenths more: the square of the missing 3/5 over 6/5."""
    case = placement.Wanted(placement.SMALL, np.array([1.0, 0.0]))
    yield case, 1 / 2
    yield replace(case, answer=np.array([2 / 5, 0.0])), 1 / 5
    yield replace(case, answer=np.array([-2.0, 0.0])), 1 / 5 + 2.4**2 / 1.2


@symmetry("free-placement", conditioned=True)
def frames_of_reads_and_all_rates(case, rng):
    yield replace(case, model=rotated(case.model, rng)), 1.0
    faster = replace(case.model, rates=tuple(7 * rate for rate in case.model.rates))
    yield replace(case, model=faster), 1 / 7


# partner examples


@example("partner-examples")
def between_two_lessons_the_answers_are_mixed_alike():
    keys = np.array([[1.0, 1.0], [0.0, 2.0], [1.0, 0.0]])
    latent = 0.75 * keys[:, 0] + 0.25 * keys[:, 1]
    model = placement.Case((keys, keys), (0 * latent, latent), (1.0, 1.0), 1)
    yield placement.Taught(model, (keys, keys)), 1 / 2
    yield placement.Taught(replace(model, latent=(latent, keys[:, 0])), (keys, keys)), 1.0


@symmetry("partner-examples", conditioned=True)
def lengths_of_all_latent_keys_and_what_single_hops_say(case, rng):
    longer = tuple(3 * keys for keys in case.partner)
    model = replace(case.model, latent=tuple(3 * keys for keys in case.model.latent))
    yield replace(case, model=model, partner=longer), 1.0
    named = tuple(rng.standard_normal(keys.shape) for keys in case.model.named)
    yield replace(case, model=replace(case.model, named=named)), 1.0


# stand-in ceiling, and its clauses


def lessons(*answers, signals=1, entities=None, stand_ins=None):
    """Lessons in which row by row a stand-in gives these answers, all equally often."""
    s, n = len(answers), len(answers[0])
    entities = np.full(n, 1 / n) if entities is None else np.array(entities)
    stand_ins = np.full((s, n), 1 / s) if stand_ins is None else np.array(stand_ins)
    return stand_in_ceiling.Case(entities, stand_ins, answers, signals)


@example(stand_in_ceiling)
def two_that_agree_about_one_of_four_entities_allow_five_eighths():
    agreeing = (0, 0, 0, 0), (0, 1, 1, 1)
    yield lessons(*agreeing), 5 / 8
    yield lessons(*agreeing, signals=2), 1.0
    yield lessons(*agreeing, entities=[0.7, 0.1, 0.1, 0.1]), 0.85
    yield lessons((0, 1, 2)), 1.0
    three = [[0.5], [0.3], [0.2]]
    yield lessons((0,), (1,), (2,), stand_ins=three), 0.5
    yield lessons((0,), (1,), (2,), stand_ins=three, signals=2), 0.8
    yield lessons((0,), (1,), (1,), stand_ins=three), 0.5


@example("disagreeing-stand-ins")
def two_that_disagree_allow_a_half_and_three_a_third():
    yield lessons((0, 0), (1, 1)), 1 / 2
    yield lessons((0, 0), (1, 1), (2, 3)), 1 / 3
    yield lessons((0, 0), (1, 1), (2, 3), signals=2), 2 / 3


@attack(stand_in_ceiling, starts=3)
def alternating_replies_and_signals_arrive():
    yield lessons((0, 0, 0, 0), (0, 1, 1, 1)), 5 / 8
    yield lessons((0,), (1,), (2,), stand_ins=[[0.5], [0.3], [0.2]], signals=2), 0.8


@symmetry(stand_in_ceiling)
@symmetry("disagreeing-stand-ins")
def order_of_stand_ins_and_entities_and_names_of_answers(case, rng):
    yield shuffled(case, rng), 1.0


def shuffled(case, rng):
    acting, asked, named = (rng.permutation(n) for n in (*case.stand_ins.shape, case.tokens))
    answers = named[np.array(case.answers)][acting][:, asked]
    stand_ins = case.stand_ins[acting][:, asked]
    rows = tuple(map(tuple, answers.tolist()))
    return stand_in_ceiling.Case(case.entities[asked], stand_ins, rows, case.signals)


# bridge transfer, and its clause


def met(*partner, stand_ins=((0, 1, 0), (0, 0, 1)), hop=((1, 1, 1),), slope=1.0):
    """One context, along the first axis; what stand-ins and the partner add to it."""
    context = np.array([[1.0], [0.0], [0.0]])
    firsts = [LowRank(np.array([bridge], float).T, context.T) for bridge in (*stand_ins, partner)]
    hop = np.array(hop, float)
    return bridge_transfer.Case(context, tuple(firsts[:-1]), context, firsts[-1], hop, slope)


@example(bridge_transfer)
def halves_of_two_bridges_are_answered_and_their_sum_only_with_the_context_alone():
    """States (1, 1, 0) and (1, 0, 1): at right angles to both is (1, -1, -1)."""
    yield met(0, 0.5, 0.5), 0.0
    yield met(0, 1, 1), 3**-0.5
    yield met(0, 1, 1, slope=6.0), 6 * 3**-0.5
    yield met(0, 1, 1, stand_ins=((0, 1, 0), (0, 0, 1), (0, 0, 0))), 0.0
    yield met(0, 0, 1, stand_ins=((0, 1, 0),)), 1.5**0.5


def in_other_axes(case, turn, stretch=1.0):
    """The same stream in other axes; its contexts stretched."""
    firsts = [LowRank(turn @ f.up, f.down @ turn.T) for f in (*case.stand_ins, case.partner)]
    prompts, subjects = (stretch * turn @ part for part in (case.prompts, case.subjects))
    parts = prompts, tuple(firsts[:-1]), subjects, firsts[-1], case.hop @ turn.T, case.slope
    return bridge_transfer.Case(*parts)


@symmetry(bridge_transfer, conditioned=True)
def axes_lengths_slopes_and_a_stand_in_twice(case, rng):
    turn = orthonormal(rng, len(case.prompts), len(case.prompts))
    yield in_other_axes(case, turn, 3.0), 3.0
    yield replace(case, slope=2 * case.slope), 2.0
    yield replace(case, stand_ins=(*case.stand_ins, case.stand_ins[0])), 1.0
    yield replace(case, hop=case.hop + rng.standard_normal(case.hop.shape)), 1.0


# cut law

TWO_STATES = cut_law.Case(np.array([[0.0], [6.0]]), (0, 1), 2.0, 1.0, np.array([0.5]), 0)


@example(cut_law)
def a_half_away_from_a_training_state_costs_a_half_of_the_lead():
    yield TWO_STATES, 1.5
    yield replace(TWO_STATES, state=np.array([4.25]), answer=1), 0.25


@example("any-answer")
def a_new_answer_leads_by_what_the_next_states_leave_it():
    yield replace(TWO_STATES, state=np.array([3.0]), answer=2), 1.0
    yield replace(TWO_STATES, state=np.array([-1.0]), answer=0), 5.0
    # inside another answer's reach it trails
    yield replace(TWO_STATES, state=np.array([5.5]), answer=0), -1.5


@symmetry(cut_law)
def size_of_leads_and_place_of_states(case, rng):
    yield replace(case, lead=3 * case.lead, slope=3 * case.slope), 3.0
    shift = rng.normal(size=len(case.state))
    yield replace(case, states=case.states + shift, state=case.state + shift), 1.0


@symmetry("any-answer")
def size_of_leads_and_new_names_of_answers(case, _):
    yield replace(case, lead=3 * case.lead, slope=3 * case.slope), 3.0
    renamed = tuple(3 - answer for answer in case.answers)
    yield replace(case, answers=renamed, answer=3 - case.answer), 1.0


@symmetry("bits-through-a-cut")
def twice_the_bits_and_one_more_for_each_fact_double_it(case, _):
    yield cut_law.Cut(case.facts, 2 * case.bits + case.facts), 2.0


@road("any-answer")
def the_largest_lipschitz_function_through_the_training_states(case, _):
    """McShane: at each state the lead is at most each other state's lead plus the slope."""
    highest = np.inf
    for state, answer in zip(case.states, case.answers, strict=True):
        if answer != case.answer:
            highest = min(highest, case.slope * np.linalg.norm(state - case.state) - case.lead)
    yield case, highest


@example("bits-through-a-cut")
def a_thousand_facts_of_ten_bits_and_half_of_the_bits():
    yield cut_law.Cut(1024, 5120.0), 0.6
    yield cut_law.Cut(2, 0.0), 1.0


def test_of_all_messages_of_one_bit_about_two_facts_none_beats_the_bound():
    """Each fact has two possible answers; a message is a function of both."""
    facts, best = [*product(range(2), repeat=2)], 0.0
    for message in range(16):
        right = 0.0
        for fact, bit in product(range(2), repeat=2):
            said = [one for i, one in enumerate(facts) if (message >> i & 1) == bit]
            right += max(sum(one[fact] == answer for one in said) for answer in range(2)) / 8
        best = max(best, right)
    assert 0.75 == best <= cut_law.bound_bits(cut_law.Cut(2, 1.0))
    assert cut_law.bits_needed(2**20, 0.5) == 2**20 * 9
    for accuracy in (-1, 2):
        with pytest.raises(ValueError, match="a share from 0 to 1"):
            cut_law.bits_needed(100, accuracy)


def test_in_a_network_the_interaction_is_what_the_second_adapter_adds_at_the_partners_state():
    """And a sum over pairs of blocks, where both adapters act in all blocks."""
    rng = np.random.default_rng(0)
    base, first, second = rng.normal(size=(3, 3, 4, 4)) / 2
    start, read = rng.normal(size=(2, 4))

    def lead(one, two):
        """The lead with these blocks of each adapter switched on."""
        state = start
        for block in range(3):
            weight = base[block] + one[block] * first[block] + two[block] * second[block]
            state = state + np.tanh(weight @ state)
        return read @ state

    def interaction(one, two):
        none = np.zeros(3)
        return lead(one, two) - lead(one, none) - lead(none, two) + lead(none, none)

    whole, total = interaction(np.ones(3), np.ones(3)), 0.0
    for i in range(3):
        for k in range(3):
            before = [np.arange(3) < i, np.arange(3) < k]
            after = [np.arange(3) <= i, np.arange(3) <= k]
            mixed = lead(after[0], after[1]) - lead(after[0], before[1])
            total += mixed - lead(before[0], after[1]) + lead(before[0], before[1])
    assert total == pytest.approx(whole)
    # the first adapter in block 0 only, the second in the others: the state after block 0 decides
    below, above = np.array([1, 0, 0]), np.array([0, 1, 1])

    def change(on):
        return lead(below * on, above) - lead(below * on, 0 * above)

    assert interaction(below, above) == pytest.approx(change(1) - change(0))


# promise law


@example(promise_law)
def the_worst_of_nineteen_and_the_median_of_three():
    yield promise_law.Case(19, 1, 100, 0), 0.05
    yield promise_law.Case(3, 2, 100, 0), 0.5


def test_a_partner_as_good_in_the_mean_but_more_variable_is_refused():
    case = promise_law.Case(4, 1, 20_000, 0)
    wide = np.random.default_rng(0).normal(size=(case.trials, 5)) * [1, 1, 1, 1, 5]
    with pytest.raises(AssumptionError, match="exchangeable"):
        promise_law.THEOREM.check(case, wide)


@symmetry(promise_law)
def the_number_of_trials_does_not_matter(case, _):
    yield replace(case, trials=4 * case.trials), 1.0
