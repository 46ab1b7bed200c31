"""Stored witnesses in exact arithmetic: each statement once more, by hand, in fractions.

Nothing is shared with the package but ``witnesses.toml``. A function is named after its theorem. It
takes case and witness, in arrays of fractions, and returns the bound and the value; it asserts the
hypotheses that a changed entry may break.
"""

from fractions import Fraction
from functools import reduce
from itertools import combinations, permutations, product
from math import ceil, isqrt, prod
from types import SimpleNamespace

import numpy as np


def exact(given):
    """Tables as namespaces, lists as arrays, and all numbers as fractions."""
    if isinstance(given, dict):
        return SimpleNamespace(**{key: exact(value) for key, value in given.items()})
    if isinstance(given, list):
        items = [exact(one) for one in given]
        # matrices of unequal shapes stay in a list
        alike = len({np.shape(one) for one in items}) == 1
        return np.array(items, dtype=object) if alike else items
    try:
        return Fraction(given)
    except ValueError:
        return given  # a word


# Linear algebra


def one(n):
    return np.array([[Fraction(i == j) for j in range(n)] for i in range(n)])


def eliminate(a):
    """The nonzero rows of the reduced echelon form, and the determinant."""
    rows, done, det = a + Fraction(0), 0, Fraction(1)
    for j in range(rows.shape[1]):
        pivots = [i for i in range(done, len(rows)) if rows[i, j] != 0]
        if pivots:
            det *= rows[pivots[0], j] * (1 if pivots[0] == done else -1)
            rows[[done, pivots[0]]] = rows[[pivots[0], done]]
            rows[done] /= rows[done, j]
            for i in {*range(len(rows))} - {done}:
                rows[i] -= rows[i, j] * rows[done]
            done += 1
    return rows[:done], det * (done == len(rows))


def rank(a):
    return len(eliminate(a)[0])


def inverse(a):
    return eliminate(np.hstack([a, one(len(a))]))[0][:, len(a) :]


def projector(rows):
    """The orthogonal projector on what these rows span."""
    basis, _ = eliminate(rows)
    return basis.T @ inverse(basis @ basis.T) @ basis if len(basis) else 0 * one(rows.shape[1])


def outside(rows):
    return one(rows.shape[1]) - projector(rows)


def energies(a):
    """Squared singular values, the largest first: guessed, and proved by their polynomial."""
    gram = a @ a.T
    found = np.linalg.eigvalsh(gram.astype(float)).tolist()
    guesses = [Fraction(x).limit_denominator(10**4) for x in found]
    for x in range(len(gram) + 1):
        assert eliminate(gram - x * one(len(gram)))[1] == prod(guess - x for guess in guesses)
    return sorted(guesses, reverse=True)


def energy(a):
    return np.sum(a * a)


def root(x):
    found = Fraction(isqrt(x.numerator), isqrt(x.denominator))
    assert found * found == x
    return found


def length(vector):
    return root(energy(vector))


def sigma(a, place=0):
    """The singular value at this place, 0 beyond the last."""
    found = energies(a)
    return root(found[int(place)]) if place < len(found) else Fraction(0)


def lead(scores):
    return scores[0] - max(scores[1:])


# Expressiveness


def reduced_rank(inputs, wanted, r):
    seen = wanted @ projector(inputs)
    return energy(wanted - seen) + sum(energies(seen)[int(r) :])


def rank_floor(case, w):
    assert rank(w) <= case.rank
    return reduced_rank(case.keys, case.values, case.rank), energy(w @ case.keys - case.values)


edit_budget = rank_floor


def fisher_floor(case, w):
    assert rank(w) <= case.rank
    triples = list(zip(case.outputs, case.updates, case.inputs, strict=True))
    wanted = np.hstack([o @ low @ x for o, low, x in triples])
    value = sum(energy(o @ (w - low) @ x) for o, low, x in triples)
    return reduced_rank(np.hstack(list(case.inputs)), wanted, case.rank), value


def covariance_floor(case, w):
    k = len(case.updates)
    case.outputs = [one(len(w))] * k
    bound, value = fisher_floor(case, w)
    return bound / k, value / k


def merge_floor(case, w):
    case.inputs = [one(len(w.T))] * len(case.updates)
    return covariance_floor(case, w)


def chained(layers):
    return reduce(lambda done, layer: layer @ done, layers)


def unpaid(case):
    return sigma(case.target - chained(case.weights), case.rank * len(case.weights))


def adapted(case, updates):
    assert all(rank(low) <= case.rank for low in updates)
    return case.weights + updates


def depth_budget(case, w):
    return unpaid(case), sigma(chained(adapted(case, w)) - case.target)


def relu_budget(case, w):
    state = w.input
    for layer, bias in zip(adapted(case.network, w.updates), w.biases, strict=True):
        state = np.maximum(layer @ state + bias, 0)
    target = np.maximum(case.network.target @ w.input + w.offset, 0)
    assert length(w.input) <= case.radius
    return case.radius * unpaid(case.network), length(state - target)


def relu_necessity(case, w):
    state, slopes = w.input, one(len(w.input))
    for layer, bias in zip(adapted(case, w.updates), w.biases, strict=True):
        before = layer @ state + bias
        state, slopes = np.maximum(before, 0), (before > 0)[:, None] * (layer @ slopes)
    floor = min(sigma(case.target, len(case.target) - 1), unpaid(case))
    return floor, sigma(slopes - case.target)


def forms(case, w):
    """The form before and after the updates, and projectors off what queries and keys read."""
    after = (case.queries + w[0]).T @ (case.keys + w[1])
    return case.queries.T @ case.keys, after, outside(case.queries), outside(case.keys)


def attained_budget(case, w):
    assert max(map(rank, w)) <= case.rank
    (before, after, no_query, no_key), t, r = forms(case, w), case.target, case.rank
    floors = sigma(t - before, 2 * r), sigma(t, len(case.keys))
    return max(*floors, sigma(t @ no_key, r), sigma(no_query @ t, r)), sigma(after - t)


def score_change_rank(case, w):
    assert all(rank(low) <= r for low, r in zip(w, case.ranks, strict=True))
    before, after, *_ = forms(case, w)
    return min(sum(case.ranks), len(before)), rank(after - before)


def attention_reach(case, w):
    before, after, no_query, no_key = forms(case, w)
    assert np.all(after == case.wanted)
    half = ceil(Fraction(rank(case.wanted - before), 2))
    return max(half, rank(case.wanted @ no_key), rank(no_query @ case.wanted)), max(map(rank, w))


def argmax_margin(case, w):
    """Four tokens in the plane: 1 − cos(2π/4)."""
    assert (case.tokens, case.rank, len(w.down)) == (4, 2, 2)
    assert max(energy(vector) for vector in (*w.up, *w.down.T)) <= 1
    scores = w.up @ w.down
    return 1, min(scores[t, t] - scores[s, t] for t, s in permutations(range(4), 2))


def argmax_rank(case, w):
    assert rank(w) <= case.rank == 1
    pairs = zip(case.wanted, w.T, strict=True)
    right = {t for t, scores in pairs if np.sum(scores >= scores[int(t)]) == 1}
    return min(2, len({*case.wanted})), len(right)


# Editing


def superposition_floor(case, w):
    (n, r), x = (len(case.keys.T), case.rank), case.outputs.T @ w @ case.keys
    assert rank(w) <= r
    assert np.all(np.diagonal(x) == 1)
    return max(0, n - r) / (r * (n - 1)), (energy(x) - n) / (n * (n - 1))


def hebbian_memory(case, w):
    """In one dimension; four moments of the nodes are those of a standard normal."""
    y, (x,), r = (case.read @ case.memory)[0], case.query, case.rank
    moments = [sum(w.weights * w.nodes[:, 0] ** k) for k in range(5)]
    assert (moments, w.drawn) == ([1, 0, 1, 0, 3], r)
    mean, square = y * x * moments[2], (y * x) ** 2 * moments[4]
    return (1 + 1 / r) * (y * x) ** 2 + (y * x) ** 2 / r, mean**2 + (square - mean**2) / w.drawn


def merged_memory(case, w):
    """The keys are the axes."""
    y, x, r, mean, variance = case.read @ case.memory.up, case.query, case.rank, 0, 0
    for k, (width, c) in enumerate(zip(w.ranks, w.strengths, strict=True)):
        part = c * y * (w.owner == k)
        mean += part @ x
        variance += ((part @ x) ** 2 + energy(part) * energy(x)) / width
    return (1 + 1 / r) * (y @ x) ** 2 + energy(y) * energy(x) / r, mean**2 + variance


# Merging


def factor_mean_residual(case, w):
    pairs = list(zip(case.weights, case.adapters, strict=True))
    up, down = sum(c * low.up for c, low in pairs), sum(c * low.down for c, low in pairs)
    covariance = sum(c * (low.up - up) @ (low.down - down) for c, low in pairs)
    missed = up @ down + w - sum(c * low.up @ low.down for c, low in pairs)
    assert (sum(case.weights), rank(w)) == (1, case.rank)
    return sum(energies(covariance)[int(case.rank) :]), energy(missed)


def rank_subadditivity(case, w):
    assert [*map(rank, w)] == [*case.ranks]
    assert (rank(np.vstack(list(w))), rank(np.hstack(list(w)))) == (case.rows, case.columns)
    return max(0, case.rows + case.columns - sum(case.ranks)), rank(sum(w))


def remembered(w, key):
    pairs = zip(w.coefficients, w.adapters, strict=True)
    return (w.weight + sum(c * low for c, low in pairs)) @ key


def averaging_survival(case, w):
    c, base, edited = case.coefficient, case.base, case.edited
    assert np.all((w.weight + w.adapters[0]) @ case.key == edited)
    leads = c * (edited[0] - edited) - (1 - c) * (base - base[0]) + case.others[0] - case.others
    return min(leads[1:]), lead(remembered(w, case.key))


def corner_law(case, w):
    """Two adapters; along each the lead is a parabola."""
    (a, b), strengths = case.coefficients, [table[0, 0] for table in w.strengths]

    def at(x, y):
        corners = np.array([1 - x, x]) @ w.corners @ np.array([1 - y, y])
        return corners + (strengths[0] * (x * x - x) + strengths[1] * (y * y - y)) / 2

    assert max(strengths - case.curvatures) <= energy(w.waves) == 0
    predicted = (1 - a) * (1 - b) * at(0, 0) + a * (1 - b) * at(1, 0)
    predicted += (1 - a) * b * at(0, 1) + a * b * at(1, 1)
    bound = sum(case.curvatures * case.coefficients * (1 - case.coefficients)) / 2
    return bound, abs(at(a, b) - predicted)


def interpolated(updates):
    bases = [eliminate(low)[0] for low in updates]
    wanted = np.hstack([low @ basis.T for low, basis in zip(updates, bases, strict=True)])
    rows = np.vstack(bases)
    return wanted @ inverse(rows @ rows.T) @ rows


def interpolating_merge(case, w):
    assert all(np.all(w @ projector(low) == low) for low in case.updates)
    return length(interpolated(case.updates)), length(w)


def interpolation_price(case, key):
    own, merge = case.updates[int(case.index)], interpolated(case.updates)
    assert length(outside(own) @ key) <= case.distance
    return sigma(merge @ outside(own)) * case.distance, length((merge - own) @ key)


def data_free_floor(case, w):
    (a, b), spaces = case.updates, [projector(frame.T) for frame in case.inputs]
    assert np.all(w[0] == w[1])
    # what is orthogonal to both complements is shared
    shared = outside(np.vstack([one(len(p)) - p for p in spaces]))
    value = max(sigma((w[0] - low) @ p) for low, p in zip((a, b), spaces, strict=True))
    return sigma((a - b) @ shared) / 2, value


def minimax_merge(case, w):
    """Any weights give a floor; where one is as high as an error that is reached, both are best."""
    assert np.all(w == w[0])
    assert np.all(case.inputs == one(2))
    floors = []
    for quarters in product(range(5), repeat=len(w)):
        if sum(quarters) == 4:
            weights, norms = np.array(quarters) * Fraction(1, 4), map(energy, case.updates)
            mean = np.tensordot(weights, case.updates, 1)
            floors.append(weights @ [*norms] - energy(mean))
    return max(floors), max(energy(w[0] - low) for low in case.updates)


# Routing


def arrow_blind_spot(case, w):
    """Orthogonal rows are right singular vectors."""
    assert all(np.all((low @ low.T) * (1 - one(len(low))) == 0) for low in w)
    tops, right = [max(low, key=energy) for low in w], []
    for own, keys in enumerate(case.keys):
        for key in keys.T:
            scores = [(top @ key) ** 2 / energy(top) for top in tops]
            right.append(Fraction(scores[own] == max(scores), scores.count(max(scores))))
    share = Fraction(1, len(case.strengths[0]))
    return share + (1 - share) / len(w), sum(right) / len(right)


def arrow_margin(case, query):
    lines = case.prototypes.T
    assert case.angle == 0
    assert np.all(query == lines[0])
    assert {*map(length, lines)} == {1}
    return 1 - max(abs(lines[1:] @ lines[0])), lead(abs(lines @ query))


def single_read_no_go(case, _):
    """A rule that cannot see the first hop gives the same answers for all its bijections."""
    n, right = len(case.shown), []
    for first in permutations(range(n)):
        right += [case.shown[first[x]] < case.patterns for x in range(n)]
    return case.patterns / n, Fraction(sum(right), len(right))


def unselective_success(case, w):
    keys = zip((case.first, case.second), w.adapters, strict=True)
    assert all(sum(low @ key) == 1 for key, low in keys)
    return 0, lead(remembered(w, case.prompts[:, 0])[int(case.entities) :])


def soft_routing(case, w):
    sure, missed = 0, 0
    for p, answers, given in zip(case.joint, case.answers, w, strict=True):
        sure += energy(p) / sum(p)
        missed += sum(c * energy(given - answer) for c, answer in zip(p, answers.T, strict=True))
    return 1 - sure, missed


# Libraries


def interference_angle(case, w):
    reads, writes = projector(case.first), projector(case.second)
    assert np.all(reads @ w.key == w.key)
    assert np.all(w.update @ writes == w.update)
    assert sigma(w.update) <= sigma(case.second)
    return sigma(case.second) * sigma(reads @ writes), length(w.update @ w.key) / length(w.key)


def packing_floor(case, w):
    k, r, n = case.adapters, case.rank, case.width
    assert all(np.all(frame.T @ frame == one(int(r))) for frame in w)
    overlaps = [energy(a.T @ b) / r for a, b in combinations(w, 2)]
    return max(0, (k * r - n) / (n * (k - 1))), sum(overlaps) / len(overlaps)


# Composition


def read_all(w, prompt, coefficients, added=(0, 0)):
    """The logits of a chain of two reads, with interference added to the output of each."""
    state = (w.memories[0] + coefficients[0] * w.edits[0]) @ prompt.keys[0][:, 0] + added[0]
    return (w.memories[1] + coefficients[1] * w.edits[1]) @ w.bridges[0] @ state + added[1]


def overwritten(a, b):
    return a * b - max(0, 1 - a, a * (1 - b))


def two_read_region(case, w):
    return overwritten(*case.coefficients), lead(read_all(w, case, case.coefficients))


def perturbed_region(case, w):
    (c, same), (e, level), prompt = case.prompt.coefficients, case.interference, case.prompt
    assert (c, e) == (same, level)
    assert max(max(abs(weights)) for weights in w.weights) <= e
    return c * c + c - 1 - (c + 3) * e, lead(read_all(w.model, prompt, (c, c), w.weights))


def composition_order(case, w):
    a, b = case.prompt.coefficients
    f = {on: read_all(w, case.prompt, on)[0] for on in product((0, 1), repeat=2)}
    assert case.order == 2
    alone = f[0, 0] + a * (f[1, 0] - f[0, 0]) + b * (f[0, 1] - f[0, 0])
    return a * b, alone + a * b * (f[1, 1] - f[1, 0] - f[0, 1] + f[0, 0])


def spread_region(case, w):
    """One hop: entities are the key, its new and its old answer, and a free token."""
    (c,), state = case.coefficients, case.entities[:, 0]
    for memory, edit in zip(w.memories, w.edits[0], strict=True):
        state = state + (memory + c * edit) @ state
    new, old = c * case.edits.sum(), case.facts.sum()
    return new - max(0, old - new), lead(inverse(case.entities)[1:] @ state)


def clean_up_bridge(case, w):
    """With c₁ = 1/2 the softmax sees two entities alike, so that it gives each a half."""
    (a, b), even = case.prompt.coefficients, np.full(2, Fraction(1, 2))
    state = (w.memories[0] + a * w.edits[0]) @ case.prompt.keys[0][:, 0]
    assert np.all(w.bridges[0].down @ state == even)
    said = (w.memories[1] + b * w.edits[1]) @ w.bridges[0].up @ even
    return (b - max(1 - b, 1)) / 2, lead(said)


def template_vote(case, w):
    pairs = zip(case.coefficients, case.shares, strict=True)
    votes = (1 - sum(case.coefficients)) * case.habits + sum(c * part for c, part in pairs)
    return lead(votes[:, 0]), lead(remembered(w, case.keys[:, 0]))


def stacked(model):
    """Named and latent keys of all reads, one below another; only late reads see the latter."""
    assert {*model.rates} == {1}
    latent = [(read >= model.early) * h for read, h in enumerate(model.latent)]
    return np.vstack(list(model.named)), np.concatenate(latent)


def fit(keys, vector):
    """The least-squares coefficients of independent keys, with 0 for a token of no fact."""
    return np.append(inverse(keys.T @ keys) @ keys.T @ vector, Fraction(0))


def side_by_side(w, keys):
    edit = np.hstack(list(w))
    assert np.all(edit @ keys == one(len(edit))[:, :-1])
    return edit


def least_norm_placement(case, w):
    keys, latent = stacked(case)
    edit = side_by_side(w, keys)
    assert np.all(edit @ projector(keys.T) == edit)
    return lead(fit(keys, latent)), lead(edit @ latent)


def free_placement(case, w):
    keys, latent = stacked(case.model)
    edit, least = side_by_side(w, keys), fit(keys, latent)
    assert np.all(edit @ latent == case.answer)
    more = energy(case.answer - least) / energy(latent - keys @ least[:-1])
    return np.trace(inverse(keys.T @ keys)) + more, energy(edit)


def partner_examples(case, w):
    keys, latent = np.vstack(list(case.partner)), stacked(case.model)[1]
    assert np.all(keys @ fit(keys, latent)[:-1] == latent)
    return lead(fit(keys, latent)), lead(side_by_side(w, keys) @ latent)


def invisible_placement(case, _):
    a, b = case.prompt.coefficients
    assert {*case.shares.sum(axis=1)} == {1}
    wins = [overwritten(a, b * late) > 0 for late in case.shares[:, int(case.early) :].sum(axis=1)]
    share = Fraction(sum(wins), len(wins))
    return min(share, 1 - share), 1 - share


def stand_in_ceiling(case, w):
    bound, value = 0, 0
    for e, weight in enumerate(case.entities):
        found = {}
        for often, answer in zip(case.stand_ins[:, e], case.answers[:, e], strict=True):
            found[answer] = found.get(answer, 0) + often
        bound += weight * sum(sorted(found.values(), reverse=True)[: int(case.signals)])
        for j, often in enumerate(case.stand_ins[:, e]):
            value += weight * often * (w.heard[:, j, e] @ w.replies[:, int(case.answers[j, e]), e])
    assert len(w.heard) <= case.signals
    assert np.all(w.heard.sum(axis=0) == 1)
    assert np.all(w.replies.sum(axis=1) == 1)
    return bound, value


disagreeing_stand_ins = stand_in_ceiling


def bridge_transfer(case, _):
    """The least-norm fit errs by what T does outside the span, along the partner's own state."""
    states = np.hstack([case.prompts + first @ case.prompts for first in case.stand_ins])
    lost = outside(states.T) @ (case.subjects + case.partner @ case.subjects)
    hop = case.slope * lost.T / length(lost)
    return case.slope * sigma(lost), length(hop @ lost)


def cones(case, w):
    scores = {case.answer: 0, None: 0}
    for centre, answer, radius in zip(w.centres, w.answers, w.radii, strict=True):
        score = w.steepness * max(0, radius - length(centre - case.state))
        scores[answer] = max(score, scores.get(answer, 0))
    return scores.pop(case.answer) - max(scores.values())


def distances(case, same):
    pairs = zip(case.states, case.answers, strict=True)
    return [length(state - case.state) for state, a in pairs if (a == case.answer) == same]


def cut_law(case, w):
    return case.lead - case.slope * min(distances(case, True)), cones(case, w)


def any_answer(case, w):
    return case.slope * min(distances(case, False)) - case.lead, cones(case, w)


def promise_law(case, w):
    below = [row[-1] < sorted(row[:-1])[int(case.place) - 1] for row in w]
    return case.place / (case.held_out + 1), Fraction(sum(below), len(w))


def routing_reach(case, w):
    """A new subject: its answer leads by g₁(2g₂ − 1), which is at most g − 2g² with g = g₁."""
    assert (case.router, case.prompt.pattern) == ("shared a pass", "new subject")
    assert np.all(w[0] == w[1])
    assert sum(w[0]) <= 1
    assert min(w[0]) >= 0
    g, h = w[0]
    return Fraction(1, 8), g * h - max(0, g * (1 - h))
