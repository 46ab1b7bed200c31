# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Why can no merge in one layer answer the two-hop question?
#
# ## Question
# Adapter 1 teaches that Ada works at Lab 2, adapter 2 that Lab 2 is in Oslo. Both edit *one* weight
# matrix, which the model reads once. You merge or route them with the best method there will ever
# be, and ask for Ada's city. How often can the answer be right?
#
# **Claim** (`thm:single-read-no-go`). Among $n$ cities, on average over the labs to which Ada might
# have moved, at most
#
# $$\frac mn$$
#
# of the answers are right. Here $m$ is the number of *gate patterns*: the ways in which the router
# can switch the adapters on and off, as far as the cities' scores depend on them. The bound holds
# even if an oracle chooses the pattern. A merge has $m=1$, so it can only guess. Even a merge that
# sees all weights stays at $1/n$ on average, provided the weights do not reveal which key belongs
# to which lab, in short: provided the *bridge* is missing. The reason is that composition is a
# product of two adapters, and a sum has no such term (`thm:composition-order`).
#
# A warning: if each adapter holds one fact only, a sum seems to compose (`thm:unselective-success`
# refutes the claim that it never does).
#
# After this notebook you can prove that one read cannot compose two hops, find the hypothesis that
# an apparent counterexample breaks, and design a test that a lucky merge does not pass.
#
# Runs in about 10 s on two cores. You need matrices and permutations.

# %%
from itertools import permutations

import numpy as np
import sympy as sp
from ipywidgets import IntSlider

import loratheory as lt
from loratheory import toy
from loratheory.exercises import explore, judge
from loratheory.theorems import theorem
from loratheory.theorems.routing import single_read_no_go as no_go

# %% [markdown]
# ## Derive
# **Step 1: what one read adds up.** The matrix writes two labs and two cities, a row each. Adapter
# 1 says something about labs, adapter 2 about cities. Merge with any coefficients and look at the
# scores of the *cities* on Ada's prompt $q$.

# %%
c1, c2 = sp.symbols("c_1 c_2")
lab, city = sp.Matrix(sp.symbols("a:6")).reshape(2, 3), sp.Matrix(sp.symbols("b:6")).reshape(2, 3)
base, q = sp.Matrix(sp.symbols("w:12")).reshape(4, 3), sp.Matrix(sp.symbols("q:3"))
first = lab.col_join(sp.zeros(2, 3))  # adapter 1 writes labs
second = sp.zeros(2, 3).col_join(city)  # adapter 2 writes cities
cities = ((base + c1 * first + c2 * second) * q)[2:, :]
display(cities)
assert all(logit.diff(told) == 0 for logit in cities for told in lab)

# %% [markdown]
# No entry $a_i$ of adapter 1 appears. Whatever it teaches about Ada, the cities' scores do not
# depend on it. So in all worlds that differ in adapter 1 alone, the prediction is the same.
#
# **Step 2: so count worlds.** Let $n$ persons work at $n$ labs, one each, in any order. Each order
# is one world, and each lab is in a city of its own. A prediction for a person that is the same in
# all worlds is right in exactly one $n$-th of them. For three persons:

# %%
guess, n = (2, 0, 1), 3  # any fixed prediction
right = [world[person] == guess[person] for world in permutations(range(n)) for person in range(n)]
display(f"{sum(right)} of {len(right)} predictions are right")
assert sp.Rational(sum(right), len(right)) - sp.Rational(1, n) == 0

# %% [markdown]
# A router that can turn adapter 2 on or off has two predictions for each prompt instead of one. An
# oracle that always takes the better one is right at most twice as often. With $m$ patterns this is
# the bound $m/n$.
#
# **Step 3: what two reads have.** A bridge $Q$ maps what the first read returns, a lab, to the key
# with which the second read is asked. Multiply out. What is the part with both adapters?

# %%
W1, W2, Q, D1, D2 = sp.symbols("W_1 W_2 Q Delta_1 Delta_2", commutative=False)
twice = sp.expand((W2 + c2 * D2) * Q * (W1 + c1 * D1))
together = twice.diff(c1).diff(c2)
display(together)
assert sp.expand(together - D2 * Q * D1) == 0

# %% [markdown]
# It is a *product of both adapters through the bridge*. A single read has no such term at any
# coefficients:

# %%
W = sp.symbols("W", commutative=False)
once = sp.expand(W + c1 * D1 + c2 * D2)
display(once, once.diff(c1).diff(c2))
assert once.diff(c1).diff(c2) == 0

# %% [markdown]
# If $Q$ does not know the new lab and sends it to zero, $\Delta_2Q\Delta_1$ is zero, too, at every
# rank and every coefficient. So a missing bridge is a property of the base: no adapter of either
# hop makes up for it.

# %% [markdown]
# ## Construct
# How can $m/n$ be reached at all? By a router whose *choice* is the answer. `attain` has one gate
# pattern for each of $m$ cities, and answers with the city whose pattern the oracle chose.

# %%
rng = np.random.default_rng(0)
case = no_go.draw(rng, 8)
for patterns in (1, 2, 3):
    drawn = no_go.Case(case.hidden, patterns, case.shown, case.known, case.base, case.keys)
    found = no_go.THEOREM.check(drawn, no_go.attain(drawn))
    print(f"{len(case.shown)} cities, {patterns} patterns: {found.value:.3f} of {found.bound:.3f}")

# %% [markdown]
# Now ordinary rules of reuse: the mean, the sum, coefficients by response norm, the product of the
# two adapters, and two reads with the bridge. The accuracy is the mean over all worlds that differ
# in which key belongs to which lab.

# %%
one, two, _ = toy.relu_keys(rng, 3, 24)
base = toy.interpolating(np.concatenate([one, two], axis=1), np.eye(6)).dense()
worlds = no_go.Case("pairing", 1, (1, 2, 0), True, base, (one, two, one))
rules = {
    "mean": toy.added(0.5, 0.5),
    "sum": toy.added(1, 1),
    "by response norm": toy.responsive,
    "product of adapters": toy.crossed,
    "two reads, bridge": toy.composed,
}
for name, rule in rules.items():
    print(f"{name:20} {no_go.measure(worlds, rule):.3f}")

# %% [markdown]
# Every rule of one read is right in exactly a third of all cases. In a single world it may be
# lucky; on average over all worlds it is not.

# %% [markdown]
# ## Verify
# Random bases and keys, and rules that cannot see what is hidden from them. Two more theorems are
# checked as well: `thm:composition-order` (step 3) and `thm:clean-up-bridge` (exercise 3).

# %%
for claim in map(theorem, ("single-read-no-go", "composition-order", "clean-up-bridge")):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 8)
        assert claim.check(drawn, claim.attain(drawn)).tight
        assert claim.check(drawn, claim.rival(drawn, rng)).holds

# %% [markdown]
# **What breaks it.** Most controls give the rule something that one read of two adapters does not
# have: the bridge, a second read, or a gate whose value encodes the answer. The last one counts one
# gate pattern too few.

# %%
for control in no_go.CONTROLS:
    broken = no_go.THEOREM.judge(*control.example())
    print(f"{control.name:38} bound {broken.bound:.3f}, found {broken.value:.3f}")
    assert not broken.holds

# %% [markdown]
# `check` refuses them all, and says why.

# %%
try:
    no_go.THEOREM.check(*no_go.CONTROLS[1].example())
except lt.theorems.AssumptionError as refusal:
    print(refusal)

# %% [markdown]
# **A claim that was wrong.** "The sum of two adapters with one fact each never gives the composed
# answer in one read." It does give it, over a base that prefers no answer. But ask the *other*
# persons too (answers are numbers, the new city is 0):

# %%
claim = theorem("unselective-success")
drawn = claim.draw(np.random.default_rng(3), 32)
added = claim.attain(drawn)
verdict = claim.check(drawn, added)
says = added.logits(drawn.prompts)[drawn.entities :]
print(
    f"margin on the right prompt {verdict.value:.2f}; answers to all persons {says.argmax(axis=0)}"
)
assert not verdict.holds
assert (says.argmax(axis=0) == 0).all()

# %% [markdown]
# The sum gives the new city to everybody. A test with one fact for each hop cannot tell this from
# composing. A test with two facts for each hop, and different answers, can.

# %% [markdown]
# ## Explore
# Choose how many cities there are and how many gate patterns. What do the rules reach on average
# over all worlds, and what does the bound allow?


# %%
def reached(cities: int = 3, patterns: int = 2) -> None:
    """Accuracy of six rules, averaged over all worlds, and the bound."""
    one, two, _ = toy.relu_keys(np.random.default_rng(cities), cities, 24)
    base = toy.interpolating(np.concatenate([one, two], axis=1), np.eye(2 * cities)).dense()
    turn = tuple(np.roll(range(cities), 1).tolist())
    case = no_go.Case("pairing", patterns, turn, True, base, (one, two, one))
    oracle = toy.gated(np.linspace(0, 1, patterns).tolist())
    for name, rule in {**rules, "oracle of gates": oracle}.items():
        accuracy = no_go.measure(case, rule)
        print(f"{name:20} {accuracy:.3f} {'█' * round(40 * accuracy)}")
    print(f"{'bound':20} {no_go.bound(case):.3f} {'─' * round(40 * no_go.bound(case))}")


reached()

# %% [markdown]
# Give the oracle more patterns: does it gain as much as the bound allows? Then add cities: what
# happens to the rules of one read?

# %%
number = IntSlider(3, min=2, max=4, description="cities")
explore(reached, cities=number, patterns=IntSlider(2, min=1, max=4, description="patterns"))

# %% [markdown]
# **A bridge for some labs.** Now there are two reads, but the base knows the keys of some of the
# four labs only. The accuracy is the share of labs that it knows, whatever the adapters hold:


# %%
def familiar(known: int = 2) -> float:
    """The accuracy of two reads whose bridge knows only the first few of four labs."""
    one, two, _ = toy.relu_keys(np.random.default_rng(1), 4, 24)
    base = toy.interpolating(np.concatenate([one, two], axis=1), np.eye(8)).dense()
    asked = toy.two_hop(base, (one, two, one), (3, 0, 1, 2), (0, 1, 2, 3), (3, 0, 1, 2))
    state = (base + asked.first.dense()) @ asked.prompts
    state[known:4] = 0.0  # labs that the bridge does not know
    logits = ((base + asked.second.dense()) @ (asked.bridge @ state))[4:]
    said = [column.argmax() if column.max() > 1e-9 else None for column in logits.T]
    return float(np.mean([told == right for told, right in zip(said, asked.answers, strict=True)]))


print({known: familiar(known) for known in range(5)})
explore(familiar, known=IntSlider(2, min=0, max=4, description="labs known"))

# %% [markdown]
# ## What this does not say
# - **It is an average** over the worlds that the weights cannot tell apart. In one world a rule may
#   be lucky on every prompt.
# - **Two reads are not bound by it**, nor is a model that writes the lab down and is asked again.
#   There any strength above ½ is enough for each hop (`thm:clean-up-bridge`).
# - **Deep models read many times.** The next question is whether facts lie where a later read finds
#   them (`thm:invisible-placement`, notebook 11).
# - **A bridge in the weights changes everything.** The bound does not hold for a base that stores
#   two-hop answers, nor for adapters that were trained together.
# - **It is not about low rank.** The same holds for full updates of that one matrix.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. It says whether you are right,
# and if not, why. Numbers count as right within 1 %.
#
# **1.** *(medium, 5 minutes)* There are five cities, and a router can switch each of two adapters
# on or off. How accurate can it be at best, if adapter 1 writes labs only? (Count patterns that
# *matter to the cities*.)

# %%
mine = None
judge("07.1", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# There are four patterns, but adapter 1 does not change the cities' scores, so only two of them
# differ: $m=2$, and $m/n=2/5$.
#
# ```python
# mine = 2 / 5
# ```
#
# </details>

# %% [markdown]
# **2.** *(easy, 5 minutes)* A question has *three* hops, so three reads are multiplied out. How
# many adapters must a term contain for the answer to depend on all three edits?
# (`thm:composition-order`)

# %%
mine = None
judge("07.2", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# All three: the term $\Delta_3Q\Delta_2Q\Delta_1$. A theory that keeps fewer adapters in a term,
# such as linearised fine-tuning, gives the answer no score at all.
#
# ```python
# mine = 3
# ```
#
# </details>

# %% [markdown]
# **3.** *(easy, 5 minutes)* A model decides for one lab between its two reads: it writes the lab
# down and is asked again. From which common coefficient on does it answer the two-hop question?

# %%
mine = None
judge("07.3", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Each read then answers a question of its own, and a single fact needs more than one half.
#
# ```python
# mine = 0.5
# ```
#
# </details>

# %% [markdown]
# ## Further reading
#
# - Chen et al., [*Pause recycling LoRAs and prioritize
#   mechanisms*](https://arxiv.org/abs/2506.13479). The experiments that this claim explains.
# - Balesni, Korbak and Evans, [*Lessons from studying two-hop latent
#   reasoning*](https://arxiv.org/abs/2411.16353). Separately trained facts at chance without
#   written steps.
# - Peng, Narayanan and Papadimitriou, [*On limitations of the transformer
#   architecture*](https://arxiv.org/abs/2402.08164). Composition as a problem of communication.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 75 minutes: 20 for steps 1 and 2 on the board, 20 for Construct and Explore, 35 for
# exercises.
#
# **Ask.** After step 1: which merge method would escape, and why does it not? (Let them name TIES,
# DARE, SVD.) At the constructions: is a router that encodes the answer cheating? At the refuted
# claim: how would you have tested composition?
#
# **Common wrong answers.** "A better merge will do": step 1 holds for all coefficients, entry by
# entry. "More rank": rank never appears. "Then transformers cannot compose": they read many times;
# the question is what is stored where.
#
# </details>
