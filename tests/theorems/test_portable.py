"""Portable adapters: hand examples, symmetries, other roads of what a second hop learns alone."""

from dataclasses import replace

import numpy as np
from theorems.owed import example, symmetry

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems.composition import bridge_transfer, placement, stand_in_ceiling

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
