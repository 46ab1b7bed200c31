# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What can a rank-r update express?
#
# ## Question
# An adapter of rank $R$ changes a weight by a matrix of rank at most $R$. That sounds like little.
# But a network has many layers, and each gets an adapter. How far can they steer the function of
# the whole network? And how much rank does an attention head need to be turned into *any* other?
#
# **Claim** (`thm:depth-budget`). Let $M=W_L\cdots W_1$ be what $L$ frozen linear layers compute,
# and $E=T-M$ what is missing to a target $T$. With updates of rank at most $R$ at each layer,
#
# $$\|(W_L+\Delta_L)\cdots(W_1+\Delta_1)-T\|_2\;\ge\;\sigma_{RL+1}(E),$$
#
# and if the layers are invertible some updates reach that. The budget is a *product*: depth pays
# for rank.
#
# An attention head is the case $L=2$: its scores are a product of queries and keys, so half the
# width on each is enough for every score form if both are square and invertible
# (`thm:half-the-width`), and no rank is enough if the head is narrow (`thm:attention-budget`). How
# far scores move at all is `thm:score-change-rank`. A real head is narrower than its stream, and
# its adapters are narrower still: which forms they reach is a matter of three ranks
# (`thm:attention-reach`). Biases and kinks save no rank for a target that loses no direction
# (`thm:relu-necessity`).
#
# Runs in about 10 s on two cores. You need the singular value decomposition; notebook 01 recalls
# it.

# %%
# %matplotlib inline
import numpy as np
import sympy as sp
from ipywidgets import FloatSlider, IntSlider, interact

from loratheory.figures import lines
from loratheory.lowrank import LowRank, with_spectrum
from loratheory.theorems import AssumptionError, attention_budget, depth_budget, theorem
from loratheory.theorems.expressiveness import attention_reach, relu_necessity

# %% [markdown]
# ## Derive
# **Step 1: what two layers can change.** Multiply out, with symbols that do not commute. The frozen
# product cancels, and one term is left for each layer. A product has no more rank than its factors,
# so each term has rank at most $R$, and the change at most $2R$; with $L$ layers, $RL$.

# %%
w1, w2, d1, d2 = sp.symbols("W_1 W_2 Delta_1 Delta_2", commutative=False)
change = (w2 + d2) * (w1 + d1) - w2 * w1
assert sp.expand(change - d2 * (w1 + d1) - w2 * d1) == 0

# %% [markdown]
# So the adapted network is the frozen one plus rank $RL$, and Eckart and Young (notebook 01, step
# 2) say how much of $E$ that must miss. This is the bound.
#
# **Step 2: can two layers of rank one really make every change of rank two?** Let the frozen layers
# be the identity, and ask for any matrix $G$. Take it apart column by column: one factor puts the
# first column right, the other the second.

# %%
p, q, r, s = sp.symbols("p q r s", nonzero=True)
wanted = sp.Matrix([[p, q], [r, s]])
last = sp.Matrix([[p, 0], [r, 1]])  # the identity, but for its first column
first = sp.Matrix([[1, q / p], [0, s - r * q / p]])  # the identity, but for its second
assert sp.simplify(last * first - wanted) == sp.zeros(2, 2)

# %% [markdown]
# Each factor is the identity plus *one column*: rank one.

# %%
one = sp.eye(2)
print("rank of each update:", (last - one).rank(), (first - one).rank())
assert sp.simplify((last - one).det()) == 0
assert sp.simplify((first - one).det()) == 0

# %% [markdown]
# We divided by $p$. Where $p=0$ another order of columns or a change of basis helps; the proof in
# the module treats every case. With invertible layers in between, conjugate by them: nothing else
# changes.
#
# **Step 3: attention.** Scores are $x^\top W_Q^\top W_K\,y$: a product of two matrices. Step 1
# applies word for word, with queries transposed, so $R$ on each moves the form by rank at most
# $2R$.

# %%
query, key, dq, dk = sp.symbols("Q K D_q D_k", commutative=False)  # Q stands for the transpose
moved = (query + dq) * (key + dk) - query * key
assert sp.expand(moved - dq * (key + dk) - query * dk) == 0

# %% [markdown]
# **Step 4: what a narrow head ignored.** A head of size 2 in a stream of width 4 reads inputs 1 and
# 2. Give its keys an update $uv^\top$ of rank one, and its queries *anything*. On inputs 3 and 4,
# which the old keys answer with zero, the new form has rank one: every 2×2 minor vanishes.

# %%
u, v = sp.Matrix(sp.symbols("u_1:3")), sp.Matrix(sp.symbols("v_1:5"))
queries = sp.Matrix(2, 4, sp.symbols("q_1:9"))
form = queries.T * (sp.eye(4)[:2, :] + u * v.T)
assert sp.expand(form[:2, 2:].det()) == 0
assert sp.expand(form[:2, :2].det()) != 0

# %% [markdown]
# So a direction that the head ignored costs a *whole* rank, where a change among the inputs that it
# reads costs half. The module proves that nothing else is in the way of queries and keys of full
# row rank $h$: a form of rank at most $h$ is reached exactly if $R$ is at least half the rank of
# the change, and at least its rank on what the keys, or the queries, ignored.
#
# **Step 5: kinks.** A ReLU layer has the Jacobian $C(W+\Delta)$, with 0 or 1 for each unit in the
# diagonal $C$. Units all on: step 1. One unit off: a direction is lost, and a target that loses
# none is missed by its least singular value.

# %%
matrix = sp.Matrix(2, 2, sp.symbols("w_1:5"))
dead = sp.diag(1, 0)
assert sp.expand((dead * matrix).det()) == 0

# %% [markdown]
# ## Construct
# Three layers of width 8, a Gaussian target, and `attain`, which is step 2 in general. At each rank
# it meets the bound; from rank 3 on, $3\cdot3\ge8$, it is exact.

# %%
rng = np.random.default_rng(0)
spectra = np.exp(rng.uniform(-0.5, 0.5, (3, 8))).tolist()
weights = tuple(with_spectrum(rng, 8, 8, spectrum).dense() for spectrum in spectra)
target = rng.standard_normal((8, 8))
for each in range(5):
    case = depth_budget.Case(weights, target, each)
    error = depth_budget.measure(case, depth_budget.attain(case))
    print(f"rank {each}: error {error:.6f}, bound {depth_budget.bound(case):.6f}")

# %% [markdown]
# The updates really have the rank that they were allowed.

# %%
case = depth_budget.Case(weights, target, 2)
best = depth_budget.attain(case)
print([update.rank for update in best])

# %% [markdown]
# A head of width 8 in a stream of width 8 needs rank 4 on queries and on keys to become any other
# head. Its adapters at rank 3 leave exactly the seventh singular value.

# %%
for each in (2, 3, 4):
    head = attention_budget.Case(weights[0], weights[1], target, each)
    found = attention_budget.THEOREM.check(head, attention_budget.paid(head))
    print(f"rank {each}: error {found.value:.6f}, bound {found.bound:.6f}")

# %% [markdown]
# A head of size 3 in width 8 that reads inputs 1 to 3. Two scores change: among these inputs, or at
# inputs that the head ignored. `attain` pays one rank after another.

# %%
axes, frozen = np.eye(8), np.eye(3, 8)
for name, columns in (("among", (1, 2)), ("ignored", (4, 5))):
    wanted = frozen.T @ frozen + axes[:, [0, 1]] @ axes[list(columns)]
    narrow = attention_reach.Case(frozen, frozen, wanted)
    paid = attention_reach.attain(narrow)
    reached = attention_reach.measure(narrow, paid)
    print(f"{name:8} rank needed {attention_reach.bound(narrow):.0f}, used {reached:.0f}")

# %% [markdown]
# ## Verify
# The construction meets the bound on random cases of one to four layers, with targets far, near and
# singular; rivals, half of them the construction nudged by as little as $10^{-12}$, stay above.

# %%
labels = "depth-budget", "half-the-width", "score-change-rank", "attention-reach"
for claim in map(theorem, (*labels, "kinks-do-not-help")):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 8)
        assert claim.check(drawn, claim.attain(drawn)).tight
        assert claim.check(drawn, claim.rival(drawn, rng)).holds

# %% [markdown]
# Below the rank that a narrow head needs there is a floor, with its four parts, and ReLU networks
# have theirs. Rivals obey both.

# %%
for module in (attention_budget, relu_necessity):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        drawn = module.draw(rng, 8)
        assert module.THEOREM.check(drawn, module.rival(drawn, rng)).holds

# %% [markdown]
# `adversary` takes no singular value. It solves for one factor of one layer at a time, by least
# squares, and starts anywhere.

# %%
descended = depth_budget.adversary(case, np.random.default_rng(1))
found = depth_budget.THEOREM.check(case, descended)
print(f"least squares reaches {found.value:.4f}, the bound is {found.bound:.4f}")
assert found.holds

# %% [markdown]
# **What breaks it.** More rank than allowed goes below the bound. A frozen layer that is not
# invertible cannot be undone by adapters around it: then the bound is still true, but out of reach.
# The line says what was lost.

# %%
for claim in map(theorem, ("depth-budget", "half-the-width")):
    for control in claim.controls:
        broken = claim.judge(*control.example())
        print(f"{control.name:50} bound {broken.bound:.2f}, found {broken.value:.2f}")
        assert not getattr(broken, control.fails)

# %% [markdown]
# `check` does not call any of these a counterexample: it names the hypothesis that fails.

# %%
try:
    depth_budget.THEOREM.check(*depth_budget.CONTROLS[1].example())
except AssumptionError as refusal:
    print(refusal)

# %% [markdown]
# ## Explore
# Let the missing part have singular values that fall like $i^{-a}$: $a=0$ is flat, all directions
# alike, $a=2$ falls fast. How much is left at each rank, and how much does depth save?


# %%
def left(depth: int = 3, fall: float = 1.0):
    """The error against the rank: bound and construction."""
    rng, width = np.random.default_rng(0), 12
    missing = with_spectrum(rng, width, width, (np.arange(1, width + 1.0) ** -fall).tolist())
    one, ranks = np.eye(width), range(width // depth + 2)
    cases = [depth_budget.Case((one,) * depth, one + missing.dense(), r) for r in ranks]
    curves = {
        "bound": (ranks, [depth_budget.bound(c) for c in cases]),
        "construction": (ranks, [depth_budget.measure(c, depth_budget.attain(c)) for c in cases]),
    }
    return lines.draw(curves, "rank at each layer", "spectral error", points=["construction"])


left()

# %% [markdown]
# Move the sliders. A flat target loses everything until the rank suffices for all of it: there rank
# buys nothing, then everything. A falling one is nearly served at once. That is why small ranks do
# in practice, and why no theorem can promise that they do for *your* target.

# %%
depths = IntSlider(3, min=1, max=6, description="layers")
slope = FloatSlider(1.0, min=0, max=3, step=0.25, description="fall a")
_ = interact(left, depth=depths, fall=slope)

# %% [markdown]
# ## What this does not say
# - **It says what exists, not what training finds.** The updates come from a formula that knows the
#   target.
# - **Layers are linear.** With ReLU the same updates and large biases give an upper bound
#   (`thm:relu-budget`), matched from below where the target loses no direction (step 5).
# - **Later layers cannot restore** what an earlier frozen one discarded (`thm:frozen-features`).
# - **Many forms give one attention pattern.** Softmax forgets a shift of each row, so equal
#   patterns need less than equal forms (`thm:attention-bottleneck`).
# - **A sum of adapters is one point** of what their total rank allows. Merged, $k$ adapters of rank
#   $R$ change the network by rank $kRL$ at most, but they were not chosen to do it together.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer and run the cell: silence means right.
#
# **1.** A linear network of 6 layers has width 64. Which rank does it need at each layer to become
# *any* linear map?

# %%
mine = None
layers = (np.eye(64),) * 6
missing = np.eye(64)
wanted = next(
    r for r in range(65) if depth_budget.bound(depth_budget.Case(layers, missing * 2, r)) == 0
)
assert mine is None or mine == wanted, "not yet: how much rank do six layers have together?"

# %% [markdown]
# <details><summary>Solution</summary>
#
# Six layers of rank $R$ have $6R$ together, and $6R\ge64$ from $R=11$ on. Ten leaves the 61st
# singular value.
#
# ```python
# mine = 11
# ```
#
# </details>

# %% [markdown]
# **2.** A head has size 64 in a stream of width 512. Somebody adapts its queries and keys at rank
# 256, "half the width, so everything is reachable". What is the largest rank of a score form that
# the adapted head can have?

# %%
mine = None
head = attention_budget.Case(np.eye(64, 512), np.eye(64, 512), np.eye(512), 256)
queries, keys = (
    low.dense() + frozen
    for low, frozen in zip(attention_budget.paid(head), (head.queries, head.keys), strict=True)
)
wanted = LowRank(queries.T, keys).rank
assert mine is None or mine == wanted, "not yet: the form is a product through the head"

# %% [markdown]
# <details><summary>Solution</summary>
#
# Every score form of this head is a product through 64 dimensions: $W_Q^\top W_K$ has rank at most
# 64, with any adapters. Half the width helps where head and stream are equally wide.
#
# ```python
# mine = 64
# ```
#
# </details>

# %% [markdown]
# **3.** Two layers, $E=\mathrm{diag}(5,4,3,2,1)$, invertible frozen layers. What is the least
# spectral error with rank 1 at the first layer and rank 1 at the second?

# %%
mine = None
missing = np.diag([5.0, 4, 3, 2, 1])
wanted = depth_budget.bound(depth_budget.Case((np.eye(5),) * 2, np.eye(5) + missing, 1))
assert mine is None or np.isclose(mine, wanted), (
    "not yet: which singular value is the first unpaid?"
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Two layers of rank one pay for the two largest. The third, 3, is left.
#
# ```python
# mine = 3.0
# ```
#
# </details>

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 75 minutes: 30 for the derivation on the board, 20 for the sliders, 25 for exercises.
#
# **Ask.** Before step 2: can two updates of rank one make *every* change of rank two, or only
# those that fit the frozen layers? Before the sliders: for which targets does rank 4 of 12 buy
# half of the error? After: what does a fall of singular values in a paper's figure tell you, and
# what does it not?
#
# **Common wrong answers.** "Rank $R$ in $L$ layers gives rank $R$": each layer adds its own term.
# "It gives $R^L$": products do not raise rank. "Half the width is always enough for attention":
# only for a head as wide as its stream. "The bound is loose for trained adapters, so it is wrong":
# training need not find what exists.
#
# </details>
