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
# **Claim** (`thm:single-read-no-go`). Among $n$ cities, on average over which lab Ada might have
# moved to, at most
#
# $$\frac mn,$$
#
# $m$ the number of gate patterns that the router can choose from, even if an oracle chooses. A
# merge has $m=1$: it guesses. If the merge mixes weights more cleverly and sees everything, the
# bound is $1/n$ all the same as long as the weights do not say *which lab is which key*: the bridge
# is missing. Composition is a product, and a sum has no such term (`thm:composition-order`).
#
# And a warning: with one fact a hop, a sum seems to compose (`thm:unselective-success`, a claim
# refuted).
#
# Runs in about 10 s on two cores. You need matrices and permutations.

# %%
# %matplotlib inline
from itertools import permutations

import numpy as np
import sympy as sp
from ipywidgets import IntSlider, interact

import loratheory as lt
from loratheory import toy
from loratheory.theorems import clean_up_bridge, composition_order, theorem
from loratheory.theorems import single_read_no_go as no_go

# %% [markdown]
# ## Derive
# **Step 1: what one read adds up.** The matrix writes two labs and two cities, a row each. Adapter
# 1 says something about labs, adapter 2 about cities. Merge with any coefficients and look at the
# logits of the *cities* on Ada's prompt $q$.

# %%
c1, c2 = sp.symbols("c_1 c_2")
lab, city = sp.Matrix(sp.symbols("a:6")).reshape(2, 3), sp.Matrix(sp.symbols("b:6")).reshape(2, 3)
base, q = sp.Matrix(sp.symbols("w:12")).reshape(4, 3), sp.Matrix(sp.symbols("q:3"))
first = lab.col_join(sp.zeros(2, 3))  # adapter 1 writes labs
second = sp.zeros(2, 3).col_join(city)  # adapter 2 writes cities
cities = ((base + c1 * first + c2 * second) * q)[2:, :]
assert all(logit.diff(told) == 0 for logit in cities for told in lab)

# %% [markdown]
# No entry of adapter 1 appears. Whatever it teaches about Ada, the cities do not hear of it: the
# prediction is the same in every world that differs in adapter 1 alone.
#
# **Step 2: so count worlds.** Let Ada's lab, and everybody's, be any permutation of $n$. One fixed
# prediction per prompt is right in exactly one $n$-th of all worlds. For three:

# %%
guess, n = (2, 0, 1), 3  # any fixed prediction
right = [world[person] == guess[person] for world in permutations(range(n)) for person in range(n)]
assert sp.Rational(sum(right), len(right)) - sp.Rational(1, n) == 0

# %% [markdown]
# A router that turns adapter 2 on or off has two predictions per prompt instead of one. An oracle
# that takes the better one is right twice as often at best: $m/n$.
#
# **Step 3: what two reads have.** Put a bridge $Q$ between two reads and expand. There is one term
# with both adapters, and it is their *product through the bridge*.

# %%
W1, W2, Q, D1, D2 = sp.symbols("W_1 W_2 Q Delta_1 Delta_2", commutative=False)
twice = sp.expand((W2 + c2 * D2) * Q * (W1 + c1 * D1))
together = twice.diff(c1).diff(c2)
assert sp.expand(together - D2 * Q * D1) == 0

# %% [markdown]
# A single read has no such term at any coefficients, so nothing in it depends on both edits at
# once:

# %%
W = sp.symbols("W", commutative=False)
once = sp.expand(W + c1 * D1 + c2 * D2)
assert once.diff(c1).diff(c2) == 0

# %% [markdown]
# And if $Q$ does not know the new lab ($Q$ sends it to zero), $\Delta_2Q\Delta_1$ is zero too, at
# every rank and every coefficient. *The missing bridge* is not a weakness of the adapters.

# %% [markdown]
# ## Construct
# How can $m/n$ be reached at all? By routers whose *choice* is the answer: `attain` has one pattern
# for each of $m$ cities, and answers with the number of the pattern that the oracle chose.

# %%
rng = np.random.default_rng(0)
case = no_go.draw(rng, 8)
for patterns in (1, 2, 3):
    drawn = no_go.Case(case.hidden, patterns, case.shown, case.known, case.base, case.keys)
    found = no_go.THEOREM.check(drawn, no_go.attain(drawn))
    print(f"{len(case.shown)} cities, {patterns} patterns: {found.value:.3f} of {found.bound:.3f}")

# %% [markdown]
# Now honest rules, over all worlds that differ in which key belongs to which lab: the mean, the
# sum, gates by response, the product of the two adapters, and two reads with the bridge.

# %%
one, two, _ = toy.relu_keys(rng, 3, 24)
base = toy.interpolating(np.concatenate([one, two], axis=1), np.eye(6)).dense()
worlds = no_go.Case("pairing", 1, (1, 2, 0), True, base, (one, two, one))
rules = {
    "mean": toy.added(0.5, 0.5),
    "sum": toy.added(1, 1),
    "gates by response": toy.responsive,
    "product of adapters": toy.crossed,
    "two reads, bridge": toy.composed,
}
for name, rule in rules.items():
    print(f"{name:20} {no_go.measure(worlds, rule):.3f}")

# %% [markdown]
# Every rule of one read is at a third, to the digit: that is what "on average over the worlds"
# means. One world may be lucky.

# %% [markdown]
# ## Verify
# Random bases, keys and rules that cannot see what is hidden.

# %%
for module in (no_go, composition_order, clean_up_bridge):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        drawn = module.draw(rng, 8)
        assert module.THEOREM.check(drawn, module.attain(drawn)).tight
        assert module.THEOREM.check(drawn, module.rival(drawn, rng)).holds

# %% [markdown]
# **What breaks it.** Hand over the bridge, read twice, or encode the answer in one real gate. Each
# is more than one read of the two adapters.

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
# **A claim that was wrong.** "The sum of two single-fact adapters in one read never gives the
# composed answer." It does, over a base that prefers no answer. But ask the *other* subjects too:

# %%
claim = theorem("unselective-success")
drawn = claim.draw(np.random.default_rng(3), 32)
added = claim.attain(drawn)
verdict = claim.check(drawn, added)
says = added.logits(drawn.prompts)[drawn.entities :]
print(
    f"margin on the right prompt {verdict.value:.2f}; answers to all subjects {says.argmax(axis=0)}"
)
assert not verdict.holds
assert (says.argmax(axis=0) == 0).all()

# %% [markdown]
# The new city is given to everybody. A test with one fact a hop cannot tell this from composing;
# two facts and permuted answers can.

# %% [markdown]
# ## Explore
# How many entities, how many gate patterns? What rules reach on average over all worlds, and the
# bound.


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
# Add patterns to the oracle: does it gain as much as the bound allows? Add cities: what happens to
# every rule of one read?

# %%
number = IntSlider(3, min=2, max=4, description="cities")
_ = interact(reached, cities=number, patterns=IntSlider(2, min=1, max=4, description="patterns"))

# %% [markdown]
# **A bridge for some.** Two reads, but the base knows the key of only a share of the labs. What is
# answered falls with that share, not with the adapters.


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
_ = interact(familiar, known=IntSlider(2, min=0, max=4, description="labs known"))

# %% [markdown]
# ## What this does not say
# - **It is an average** over the worlds that the weights cannot tell apart. In one world a rule may
#   be lucky on every prompt.
# - **Two reads escape**, and so does thinking aloud: write the lab down and ask again
#   (`thm:clean-up-bridge`: then half a strength is enough).
# - **Deep models read many times.** Whether the facts sit where a later read finds them is the next
#   question (`thm:invisible-placement`, notebook 08).
# - **A bridge in the weights escapes.** A base that stores two-hop answers, or adapters trained
#   together, are not bound.
# - **It says nothing against adapters.** The same holds for full updates of that one matrix.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer and run the cell: silence means right.
#
# **1.** Five cities, and a router that can leave each of two adapters on or off. How accurate can
# it be at best, if adapter 1 writes labs only? (Count patterns that *matter to the cities*.)

# %%
mine = None
asked = no_go.Case("values", 2, (0, 1, 2, 3, 4), True, base, (one, two, one))
wanted = no_go.bound(asked)
assert mine is None or np.isclose(mine, wanted), "not yet: does switching adapter 1 move a city?"

# %% [markdown]
# <details><summary>Solution</summary>
#
# Four patterns, but adapter 1 does not move the cities' logits, so they come in two kinds: $m=2$,
# and $m/n=2/5$.
#
# ```python
# mine = 2 / 5
# ```
#
# </details>

# %% [markdown]
# **2.** With *three* hops, how many adapters does a term of the three reads' product need to hold,
# so that the answer can depend on all edits? (`thm:composition-order`)

# %%
mine = None
wanted = sp.degree(sp.expand((1 + c1) ** 3), c1)  # c counts adapters, a factor for each read
assert mine is None or mine == wanted, "not yet: expand three reads as in step 3"

# %% [markdown]
# <details><summary>Solution</summary>
#
# All three: the term $\Delta_3Q\Delta_2Q\Delta_1$. Any theory that keeps fewer at a time, such as
# linearised fine-tuning, gives the answer no logit at all.
#
# ```python
# mine = 3
# ```
#
# </details>

# %% [markdown]
# **3.** With a hard decision between two reads (write the lab down, ask again), from which common
# coefficient on do two hops compose?

# %%
mine = None
wanted = clean_up_bridge.threshold(np.inf)
assert mine is None or np.isclose(mine, wanted), "not yet: what does each hop need alone?"

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
# <details><summary>For the lecturer</summary>
#
# **Time.** 60 minutes: 20 for steps 1 and 2 on the board, 20 for Construct and Explore, 20 for
# exercises.
#
# **Ask.** After step 1: which merge method would escape, and why not? (Let them name TIES, DARE,
# SVD.) At the constructions: is a router that encodes the answer cheating? At the refuted claim:
# how would you have tested composition?
#
# **Common wrong answers.** "A better merge will do": step 1 holds for all coefficients, entry by
# entry. "More rank": rank never appears. "Then transformers cannot compose": they read many times;
# the question is what is stored where.
#
# </details>
