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
# Adapter 1 holds the fact that Ada works at Lab 2. Adapter 2 holds the fact that Lab 2 is in Oslo.
# Both adapters edit the same weight matrix. The model makes one *read*: it uses this matrix once.
# You merge or route the adapters with the best possible method, and ask for Ada's city. How often
# can the answer be right?
#
# **Main idea.** If one read must find both facts, a merge that treats each row by itself can only
# guess. A router chooses between $m$ sets of active adapters. It is right at most $m$ times as
# often as a guess. Both limits hold for every rank and every coefficient.
#
# **Mechanism.** To answer, the model must look up Ada's lab, and then look up the city of this lab.
# Two lookups in a row multiply the two adapters. A single read only adds the adapters up, and a sum
# contains no product of the two adapters (`thm:composition-order`).
#
# **A common misconception.** "The sum of the two adapters gave the right city, so the sum composed
# the two facts." If each adapter holds only one fact, the sum may answer Oslo for *every* person.
#
# **After this notebook** you can prove that one read cannot compose two hops. For an apparent
# counterexample, you can find the hypothesis that it breaks. You can also design a test that a
# lucky merge does not pass.
#
# **Claim** (`thm:single-read-no-go`). There are $n$ cities, with one lab in each city. Adapter 1
# may place Ada in any of the labs. Average the accuracy over all these possibilities. The average
# accuracy is at most
#
# $$\frac mn$$
#
# Here $m$ is the number of *gate patterns*. A gate pattern is one way in which the router switches
# the adapters on and off. Two gate patterns count as one if the scores of the cities are the same
# under both. The bound holds even if an oracle chooses the gate pattern. A merge that treats each
# row by itself (sum, mean, TIES, DARE, but neither a truncated SVD nor a merge of the factors, such
# as PEFT's `linear` and `ties`) has one gate pattern, so $m=1$ and the merge can only guess.
#
# The model looks up the city of a lab by a vector, the *key* of this lab. The *bridge* is the map
# from each lab to its key. Suppose that the weights do not reveal the bridge. Then even a merge
# that is computed from all weights has an average accuracy of at most $1/n$.
#
# Some sums do give the right city, as in the misconception above. So the claim "a sum never gives
# the right city" is false (`thm:unselective-success`).
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
# **Step 1: the scores after one read.** The matrix has four rows: one row for each of two labs and
# each of two cities. Adapter 1 changes the rows of the labs. Adapter 2 changes the rows of the
# cities. Merge the adapters with any coefficients. The cell computes the scores of the *cities* at
# Ada's prompt $q$.

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
# No entry $a_i$ of adapter 1 appears in these scores. Only adapter 1 knows Ada's lab, so the scores
# of the cities do not depend on her lab. We call each possible assignment of labs to people a
# *world*. If two worlds differ only in adapter 1, the merge makes the same prediction in both
# worlds.
#
# **Step 2: count the worlds.** Let $n$ people work at $n$ different labs, and let each lab be in a
# different city. Suppose that the prediction for a person is the same in all worlds. Then this
# prediction is right in exactly $1/n$ of the worlds. The cell counts the right predictions for
# three people.

# %%
guess, n = (2, 0, 1), 3  # any fixed prediction
right = [world[person] == guess[person] for world in permutations(range(n)) for person in range(n)]
display(f"{sum(right)} of {len(right)} predictions are right")
assert sp.Rational(sum(right), len(right)) - sp.Rational(1, n) == 0

# %% [markdown]
# A merge makes one prediction for each prompt. A router that can switch adapter 2 on or off has two
# predictions for each prompt. An oracle always chooses the right prediction if there is one. So the
# oracle is right in at most $2/n$ of the worlds. With $m$ gate patterns, the same count gives the
# bound $m/n$.
#
# **Step 3: what a second read adds.** The first read returns a lab. The bridge $Q$ maps this lab to
# its key, which is the input of the second read. The two reads are a product of two edited
# matrices, with $Q$ in between. The cell multiplies this product out. Which term contains both
# adapters?

# %%
W1, W2, Q, D1, D2 = sp.symbols("W_1 W_2 Q Delta_1 Delta_2", commutative=False)
twice = sp.expand((W2 + c2 * D2) * Q * (W1 + c1 * D1))
together = twice.diff(c1).diff(c2)
display(together)
assert sp.expand(together - D2 * Q * D1) == 0

# %% [markdown]
# This term is the *product of both adapters, with the bridge in between*. The next cell shows that
# a single read has no product of both adapters, whatever the coefficients are.

# %%
W = sp.symbols("W", commutative=False)
once = sp.expand(W + c1 * D1 + c2 * D2)
display(once, once.diff(c1).diff(c2))
assert once.diff(c1).diff(c2) == 0

# %% [markdown]
# Suppose that the base does not know Ada's new lab, so that the bridge $Q$ maps this lab to zero.
# Then the term $\Delta_2Q\Delta_1$ is zero as well, for adapters of any rank and with any
# coefficients. The bridge is part of the base. If the base has no bridge, neither adapter can
# replace it.

# %% [markdown]
# ## Construct
# Which router reaches the bound $m/n$? The function `attain` builds a router with one gate pattern
# for each of $m$ cities. The oracle chooses a gate pattern, and the model answers with the city of
# this pattern. So the choice of the gate pattern *is* the answer. The cell prints the accuracy of
# this router and the bound.

# %%
rng = np.random.default_rng(0)
case = no_go.draw(rng, 8)
for patterns in (1, 2, 3):
    drawn = no_go.Case(case.hidden, patterns, case.shown, case.known, case.base, case.keys)
    found = no_go.THEOREM.check(drawn, no_go.attain(drawn))
    numbers = f"m = {patterns}, n = {len(case.shown)}"
    print(f"{numbers}: accuracy {found.value:.3f}, bound {found.bound:.3f}")

# %% [markdown]
# Now we test five ordinary methods:
#
# - the mean of the two adapters,
# - the sum of the two adapters,
# - a sum in which each adapter is weighted by its response to the prompt,
# - the product of the two adapters, without the bridge,
# - two reads with the bridge in between.
#
# Here the worlds differ in the bridge: each world assigns the keys to the labs differently. The
# cell prints the accuracy of each method, averaged over all worlds.

# %%
one, two, _ = toy.relu_keys(rng, 3, 24)
base = toy.interpolating(np.concatenate([one, two], axis=1), np.eye(6)).dense()
worlds = no_go.Case("pairing", 1, (1, 2, 0), True, base, (one, two, one))
rules = {
    "mean": toy.added(0.5, 0.5),
    "sum": toy.added(1, 1),
    "sum by response": toy.responsive,
    "product of adapters": toy.crossed,
    "two reads, bridge": toy.composed,
}
for name, rule in rules.items():
    print(f"{name:20} {no_go.measure(worlds, rule):.3f}")

# %% [markdown]
# Each method without the bridge answers exactly one third of the questions. In a single world, luck
# may raise the accuracy of such a method. On average over all worlds, the method only guesses.

# %% [markdown]
# ## Verify
# We check the theorem on random bases and keys. In each case the methods cannot see one thing: who
# works at which lab, or which key belongs to which lab. We also check two more theorems:
# `thm:composition-order` (step 3) and `thm:clean-up-bridge` (exercise 3).

# %%
for claim in map(theorem, ("single-read-no-go", "composition-order", "clean-up-bridge")):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 8)
        assert claim.check(drawn, claim.attain(drawn)).tight
        assert claim.check(drawn, claim.rival(drawn, rng)).holds

# %% [markdown]
# **What breaks the claim.** A *control* breaks one hypothesis on purpose, and then the claim must
# fail. Most controls add something that a single read of two adapters does not have. This may be
# the bridge, a second read, or a gate whose value encodes the answer. The last control counts one
# gate pattern too few.

# %%
for control in no_go.CONTROLS:
    broken = no_go.THEOREM.judge(*control.example())
    print(f"{control.name:38} bound {broken.bound:.3f}, accuracy {broken.value:.3f}")
    assert not broken.holds

# %% [markdown]
# `check` rejects every control and gives the reason. The cell prints the reason for one control.

# %%
try:
    no_go.THEOREM.check(*no_go.CONTROLS[1].example())
except lt.theorems.AssumptionError as refusal:
    print(refusal)

# %% [markdown]
# **A claim that was wrong.** "In one read, the sum of two adapters with one fact each never gives
# the composed answer." In fact the sum gives the composed answer if the base prefers no answer. But
# look at the answers for the *other* people as well. In the output each number is a city, and city
# 0 is the composed answer.

# %%
claim = theorem("unselective-success")
drawn = claim.draw(np.random.default_rng(3), 32)
added = claim.attain(drawn)
verdict = claim.check(drawn, added)
says = added.logits(drawn.prompts)[drawn.entities :]
print(f"margin for the edited person {verdict.value:.2f}; cities of all {says.argmax(axis=0)}")
assert not verdict.holds
assert (says.argmax(axis=0) == 0).all()

# %% [markdown]
# The sum answers city 0 for everybody. If a test has only one fact per hop, this sum seems to
# compose. A test with two facts per hop, and a different answer for each fact, shows that the sum
# does not compose.

# %% [markdown]
# ## Explore
# Choose the number of cities and the number of gate patterns. Which accuracy does each method reach
# on average over all worlds? Which accuracy does the bound allow?


# %%
def reached(cities: int = 3, patterns: int = 2) -> None:
    """Accuracy of six methods, averaged over all worlds, and the bound."""
    one, two, _ = toy.relu_keys(np.random.default_rng(cities), cities, 24)
    base = toy.interpolating(np.concatenate([one, two], axis=1), np.eye(2 * cities)).dense()
    turn = tuple(np.roll(range(cities), 1).tolist())
    case = no_go.Case("pairing", patterns, turn, True, base, (one, two, one))
    oracle = toy.gated(np.linspace(0, 1, patterns).tolist())
    for name, rule in {**rules, "oracle router": oracle}.items():
        accuracy = no_go.measure(case, rule)
        print(f"{name:20} {accuracy:.3f} {'█' * round(40 * accuracy)}")
    print(f"{'bound':20} {no_go.bound(case):.3f} {'─' * round(40 * no_go.bound(case))}")


reached()

# %% [markdown]
# Give the oracle router more gate patterns. Does its accuracy reach the bound? Then add cities.
# What happens to the methods with one read?

# %%
number = IntSlider(3, min=2, max=4, description="cities")
explore(reached, cities=number, patterns=IntSlider(2, min=1, max=4, description="patterns"))

# %% [markdown]
# **A bridge for some labs.** Now the model makes two reads. There are four labs, and the base knows
# the keys of only some of them. The accuracy equals the share of labs whose keys the base knows,
# whatever facts the adapters hold. The cell prints the accuracy for each number of known labs.


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


for known in range(5):
    print(f"labs known: {known} of 4, accuracy {familiar(known):.2f}")
explore(familiar, known=IntSlider(2, min=0, max=4, description="labs known"))

# %% [markdown]
# ## What this does not say
# - **The bound limits an average** over worlds that the weights cannot tell apart. In a single
#   world a method may be lucky on every prompt.
# - **The bound does not hold for two reads.** Nor does it hold for a model that writes the lab down
#   and is then asked for the city of this lab. Such a model needs only a coefficient above ½ for
#   each adapter (`thm:clean-up-bridge`).
# - **Deep models read many times.** For a deep model, it matters in which layers the facts are
#   stored. The layer of the second fact must come after the layer of the first fact
#   (`thm:invisible-placement`, notebook 11).
# - **The weights must not connect the two facts.** The bound does not hold if the base stores
#   two-hop answers. Nor does it hold if the adapters were trained together.
# - **Low rank is not the reason.** The same bound holds for updates of full rank.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell prints whether you are
# right, and if not, why. A number is right if it is within 1% of the answer, a
# count if it is equal.
#
# **1.** *(medium, 5 minutes)* There are five cities. A router can switch each of two adapters on or
# off, and the model makes one read. Adapter 1 changes only the scores of labs. What is the highest
# accuracy that the bound allows? (Count two gate patterns as one if the scores of the cities are
# the same under both.)

# %%
mine = None
judge("07.1", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The bound is $m/n$. Here $m$ counts the gate patterns that give the cities different scores.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Two adapters that are on or off have four gate patterns. By step 1 the scores of the cities do not
# depend on adapter 1: which of the four patterns count as one?
#
# </details>
#
# <details><summary>Solution</summary>
#
# There are four gate patterns. Adapter 1 does not change the scores of the cities, so only the
# switch of adapter 2 counts. This leaves $m=2$ gate patterns, and $m/n=2/5$.
#
# ```python
# mine = 2 / 5
# ```
#
# </details>

# %% [markdown]
# **2.** *(easy, 5 minutes)* A question has *three* hops, and one adapter edits each hop. You
# multiply three reads out. How many adapters must a term contain, so that the term depends on all
# three edits? (`thm:composition-order`)

# %%
mine = None
judge("07.2", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Multiply out $(W_3+\Delta_3)\,Q\,(W_2+\Delta_2)\,Q\,(W_1+\Delta_1)$ as in step 3.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Each term takes either the base or the adapter from each read. From which reads must a term take
# the adapter, so that it depends on all three edits?
#
# </details>
#
# <details><summary>Solution</summary>
#
# Three: the term is $\Delta_3Q\Delta_2Q\Delta_1$. Linearised fine-tuning is an approximation that
# drops all products of adapters. So it gives the right answer the score zero.
#
# ```python
# mine = 3
# ```
#
# </details>

# %% [markdown]
# **3.** *(easy, 5 minutes)* After its first read, a model writes the lab down. Then it is asked for
# the city of this lab. At coefficient 1, each edit exactly replaces an old fact. Both edits get the
# same coefficient. Above which coefficient does the model answer the two-hop question?

# %%
mine = None
judge("07.3", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The model decides for one lab before it reads the city. So each of the two reads answers a
# single-hop question.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# With the coefficient $c$ the new fact has the score $c$, and the old fact has the score $1-c$.
# When is the new fact ahead?
#
# </details>
#
# <details><summary>Solution</summary>
#
# Each read answers a single-hop question. The new fact wins if the coefficient of its edit exceeds
# ½.
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
#   two-hop questions, as the claim of this notebook predicts.
# - Balesni, Korbak and Evans, [*Lessons from studying two-hop latent
#   reasoning*](https://arxiv.org/abs/2411.16353). Models that learned two synthetic facts
#   separately answer two-hop questions at chance, unless they write the intermediate step. If one
#   of the two facts is natural, they succeed.
# - Peng, Narayanan and Papadimitriou, [*On limitations of the transformer
#   architecture*](https://arxiv.org/abs/2402.08164). Limits on composition from communication
#   complexity.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 75 minutes: 20 for steps 1 and 2 on the board, 20 for Construct and Explore, 35 for
# exercises.
#
# **Ask.** After step 1: which merge method might make the scores of the cities depend on Ada's lab?
# (Let students name TIES, DARE, SVD. A truncated SVD and merges of factors mix rows, so the bound
# does not cover them.) At Construct: the choice of a gate pattern encodes the answer; is this
# cheating? At the claim that was wrong: which test would have shown that the sum does not compose?
#
# **Common wrong answers.** "A better merge will do": step 1 holds for all coefficients, even if
# each entry of an adapter has its own coefficient. "A higher rank will do": the proof does not use
# the rank. "Then transformers cannot compose": a transformer reads many times, and it matters in
# which layer each fact is stored.
#
# </details>
