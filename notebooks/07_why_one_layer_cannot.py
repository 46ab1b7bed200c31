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
# Adapter 1 holds the fact that Ada works at Lab 2, adapter 2 the fact that Lab 2 is in Oslo. Both
# edit *one* weight matrix, which the model reads once. You merge or route them with the best
# possible method, and ask for Ada's city. How often can the answer be right?
#
# **Main idea.** If both facts are read in one step, a merge can only guess. A router that chooses
# between $m$ sets of active adapters is right at most $m$ times as often. This holds for every rank
# and every coefficient.
#
# **Mechanism.** To answer, the model must look up the lab, and then look up the city of that lab.
# This is a product of two adapters. A single read gives only a sum of them, and a sum has no such
# term (`thm:composition-order`).
#
# **A common misconception.** "The sum of the two adapters gave the right city, so it composed the
# two facts." If each adapter holds only one fact, the sum can give the new city to *every* person.
#
# **After this notebook** you can prove that one read cannot compose two hops, find the hypothesis
# that an apparent counterexample breaks, and design a test that a lucky merge does not pass.
#
# **Claim** (`thm:single-read-no-go`). There are $n$ cities, and we average over all labs to which
# Ada might have moved. Then at most
#
# $$\frac mn$$
#
# of the answers are right. Here $m$ is the number of *gate patterns*: the ways in which the router
# can switch the adapters on and off. Two patterns count as one if the cities' scores are the same
# in both. The bound holds even if an oracle chooses the pattern. A merge has $m=1$, so it can only
# guess.
#
# Even a merge that may look at all weights gets only $1/n$ right on average, if the *bridge* is
# missing. This means that the weights do not reveal which key belongs to which lab.
#
# The sum in the misconception above exists: `thm:unselective-success` refutes the claim that a sum
# never gives the right city.
#
# The notebook runs in about 10 s on two cores. You need matrices and permutations.

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
# **Step 1: what one read adds up.** The matrix has one row for each of two labs and two cities.
# Adapter 1 changes the rows of the labs, adapter 2 those of the cities. Merge them with any
# coefficients and look at the scores of the *cities* at Ada's prompt $q$.

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
# No entry $a_i$ of adapter 1 appears. So the cities' scores do not depend on Ada's lab, which only
# adapter 1 knows. We call each possible choice of labs a *world*. In all worlds that differ only in
# adapter 1, the prediction is the same.
#
# **Step 2: count the worlds.** Let $n$ people work at $n$ different labs, and let each lab be in a
# different city. Each assignment of labs to people is one world. If the prediction for a person is
# the same in all worlds, it is right in exactly $1/n$ of them. For three people:

# %%
guess, n = (2, 0, 1), 3  # any fixed prediction
right = [world[person] == guess[person] for world in permutations(range(n)) for person in range(n)]
display(f"{sum(right)} of {len(right)} predictions are right")
assert sp.Rational(sum(right), len(right)) - sp.Rational(1, n) == 0

# %% [markdown]
# A router that can switch adapter 2 on or off has two predictions for each prompt instead of one.
# An oracle that always chooses the better prediction is right at most twice as often. With $m$
# patterns this is the bound $m/n$.
#
# **Step 3: what two reads add.** The first read returns a lab. The bridge $Q$ maps this lab to its
# key, the input of the second read. Multiply the two reads out. Which term contains both adapters?

# %%
W1, W2, Q, D1, D2 = sp.symbols("W_1 W_2 Q Delta_1 Delta_2", commutative=False)
twice = sp.expand((W2 + c2 * D2) * Q * (W1 + c1 * D1))
together = twice.diff(c1).diff(c2)
display(together)
assert sp.expand(together - D2 * Q * D1) == 0

# %% [markdown]
# The term is a *product of both adapters through the bridge*. A single read has no such term,
# whatever the coefficients:

# %%
W = sp.symbols("W", commutative=False)
once = sp.expand(W + c1 * D1 + c2 * D2)
display(once, once.diff(c1).diff(c2))
assert once.diff(c1).diff(c2) == 0

# %% [markdown]
# Suppose that $Q$ does not know the new lab and maps it to zero. Then the term $\Delta_2Q\Delta_1$
# is zero as well, at every rank and every coefficient. The bridge belongs to the base. If it is
# missing, neither adapter can replace it.

# %% [markdown]
# ## Construct
# Which router reaches $m/n$? One whose choice of a pattern *is* the answer. `attain` has one gate
# pattern for each of $m$ cities. The oracle chooses a pattern, and the model answers with the city
# of that pattern.

# %%
rng = np.random.default_rng(0)
case = no_go.draw(rng, 8)
for patterns in (1, 2, 3):
    drawn = no_go.Case(case.hidden, patterns, case.shown, case.known, case.base, case.keys)
    found = no_go.THEOREM.check(drawn, no_go.attain(drawn))
    print(f"m = {patterns}, n = {len(case.shown)}: {found.value:.3f}, bound {found.bound:.3f}")

# %% [markdown]
# Now we test five ordinary methods:
#
# - the mean of the two adapters,
# - their sum,
# - a sum in which each adapter's coefficient depends on its response norm,
# - the product of the two adapters,
# - two reads with the bridge.
#
# The worlds differ in which key belongs to which lab. The accuracy is the mean over all worlds.

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
# Every method with one read is right in exactly a third of all cases. In a single world it may be
# lucky, but not on average over all worlds.

# %% [markdown]
# ## Verify
# We check the theorem on random bases and keys. The methods cannot see which key belongs to which
# lab. We also check two more theorems: `thm:composition-order` (step 3) and `thm:clean-up-bridge`
# (exercise 3).

# %%
for claim in map(theorem, ("single-read-no-go", "composition-order", "clean-up-bridge")):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 8)
        assert claim.check(drawn, claim.attain(drawn)).tight
        assert claim.check(drawn, claim.rival(drawn, rng)).holds

# %% [markdown]
# **What breaks it.** Most controls add something that a single read of two adapters does not have:
# the bridge, a second read, or a gate whose value encodes the answer. The last control sets $m$,
# the number of gate patterns, too small by one.

# %%
for control in no_go.CONTROLS:
    broken = no_go.THEOREM.judge(*control.example())
    print(f"{control.name:38} bound {broken.bound:.3f}, found {broken.value:.3f}")
    assert not broken.holds

# %% [markdown]
# `check` rejects all of them and gives the reason. Here is one example:

# %%
try:
    no_go.THEOREM.check(*no_go.CONTROLS[1].example())
except lt.theorems.AssumptionError as refusal:
    print(refusal)

# %% [markdown]
# **A claim that was wrong.** "The sum of two adapters with one fact each never gives the composed
# answer in one read." In fact the sum does give it, if the base prefers no answer. But look at the
# answers for the *other* people as well. In the output, each number is a city, and the new city is
# number 0:

# %%
claim = theorem("unselective-success")
drawn = claim.draw(np.random.default_rng(3), 32)
added = claim.attain(drawn)
verdict = claim.check(drawn, added)
says = added.logits(drawn.prompts)[drawn.entities :]
print(f"margin for the right person {verdict.value:.2f}; answers for all {says.argmax(axis=0)}")
assert not verdict.holds
assert (says.argmax(axis=0) == 0).all()

# %% [markdown]
# The sum gives the new city to everybody. If a test has one fact per hop, this looks like
# composition. A test with two facts per hop and different answers shows the difference.

# %% [markdown]
# ## Explore
# Choose how many cities there are and how many gate patterns. Which accuracy do the methods reach
# on average over all worlds, and what does the bound allow?


# %%
def reached(cities: int = 3, patterns: int = 2) -> None:
    """Accuracy of six methods, averaged over all worlds, and the bound."""
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
# Give the oracle more patterns. Does it reach the bound? Then add cities. What happens to the
# methods with one read?

# %%
number = IntSlider(3, min=2, max=4, description="cities")
explore(reached, cities=number, patterns=IntSlider(2, min=1, max=4, description="patterns"))

# %% [markdown]
# **A bridge for some labs.** Now there are two reads, but the base knows the keys of only some of
# the four labs. The accuracy is the share of labs that the base knows, whatever facts the adapters
# hold:


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
# - **It is an average** over the worlds that the weights cannot tell apart. In one world a method
#   may be lucky on every prompt.
# - **It does not hold for two reads**, nor for a model that writes the lab down and is then asked
#   for the city of that lab. There, any strength above ½ is enough for each hop
#   (`thm:clean-up-bridge`).
# - **Deep models read many times.** For them, the question is whether the second fact is stored in
#   a later layer than the first (`thm:invisible-placement`, notebook 11).
# - **A bridge in the weights changes everything.** The bound does not hold if the base stores
#   two-hop answers, or if the adapters were trained together.
# - **It is not about low rank.** The same bound holds for updates of full rank.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell prints whether you are
# right, and if not, why. A number is right if it is within 1% of the answer.
#
# **1.** *(medium, 5 minutes)* There are five cities, and a router can switch each of two adapters
# on or off. Adapter 1 changes only the scores of labs. What is the highest accuracy that the bound
# allows? (Count only patterns that *give different scores to the cities*.)

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
# **2.** *(easy, 5 minutes)* A question has *three* hops, so you multiply three reads out. How many
# adapters must a term of the product contain, so that it depends on all three edits?
# (`thm:composition-order`)

# %%
mine = None
judge("07.2", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Three: the term is $\Delta_3Q\Delta_2Q\Delta_1$. An approximation that drops products of adapters,
# such as linearised fine-tuning, gives the answer the score zero.
#
# ```python
# mine = 3
# ```
#
# </details>

# %% [markdown]
# **3.** *(easy, 5 minutes)* Between its two reads, a model decides for one lab: it writes the lab
# down and is asked for the city of that lab. Both edits have the same coefficient. Above which
# coefficient does the model answer the two-hop question?

# %%
mine = None
judge("07.3", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Each read then answers a single-hop question, and a single fact needs a coefficient above ½.
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
#   mechanisms*](https://arxiv.org/abs/2506.13479). Experiments in which combined adapters fail on
#   two-hop questions, as this claim predicts.
# - Balesni, Korbak and Evans, [*Lessons from studying two-hop latent
#   reasoning*](https://arxiv.org/abs/2411.16353). Models that learned two facts separately answer
#   at chance unless they write the intermediate step.
# - Peng, Narayanan and Papadimitriou, [*On limitations of the transformer
#   architecture*](https://arxiv.org/abs/2402.08164). Limits on composition from communication
#   complexity.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 75 minutes: 20 for steps 1 and 2 on the board, 20 for Construct and Explore, 35 for
# exercises.
#
# **Ask.** After step 1: which merge method could avoid this, and why does it not? (Let them name
# TIES, DARE, SVD.) At the constructions: is a router that encodes the answer cheating? At the claim
# that was wrong: which test would have shown that the sum does not compose?
#
# **Common wrong answers.** "A better merge will do": step 1 holds for all coefficients, even if
# each entry has its own. "A higher rank will do": the proof does not use the rank. "Then
# transformers cannot compose": they read many times; it matters in which layer each fact is stored.
#
# </details>
