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
# An adapter of rank $R$ changes a weight matrix by a matrix of rank at most $R$. That sounds like
# little. But a network has many layers, and each gets an adapter. How far can they steer the
# function of the whole network? And how much rank does an attention head need to be turned into
# *any* other?
#
# **Claim** (`thm:depth-budget`). Let $M=W_L\cdots W_1$ be what $L$ frozen linear layers compute,
# and $E=T-M$ the change that a target $T$ asks for. With updates of rank at most $R$ at each layer,
# the error in spectral norm is
#
# $$\|(W_L+\Delta_L)\cdots(W_1+\Delta_1)-T\|_2\;\ge\;\sigma_{RL+1}(E),$$
#
# where $\sigma_i(E)$ is the $i$-th singular value of $E$. If the layers are invertible, some
# updates reach this bound. What counts is the *product* $RL$: many layers make up for a small rank.
#
# An attention head is the case $L=2$. The score of a query at $x$ for a key at $y$ is $x^\top
# W_Q^\top W_K\,y$, and we call the matrix $W_Q^\top W_K$ the head's *score form*. It is a product
# of two layers. If the head is as wide as the residual stream and both matrices are invertible,
# adapters whose rank is half the width can turn the form into any other (`thm:depth-budget`). A
# form can never have a higher rank than the head's size, so most forms are out of reach of a
# narrower head at any rank (`thm:attention-budget`). `thm:score-change-rank` bounds the rank by
# which adapters change the form, and `thm:attention-reach` says which forms a narrow head can
# reach. Biases and ReLUs save no rank for an invertible target (`thm:relu-necessity`).
#
# After this notebook you can count the rank that a change of a deep network or of an attention head
# takes, and say when no rank is enough.
#
# Runs in about 10 s on two cores. You need the singular value decomposition; notebook 01 recalls
# it.

# %%
import numpy as np
import sympy as sp
from ipywidgets import FloatSlider, IntSlider

from loratheory.exercises import explore, judge
from loratheory.figures import draw
from loratheory.lowrank import with_spectrum
from loratheory.theorems import AssumptionError, theorem
from loratheory.theorems.expressiveness import attention_budget, depth_budget

# %% [markdown]
# ## Derive
# **Step 1: what two layers can change.** Multiply out, with symbols that do not commute. The frozen
# product cancels, and one term is left for each layer: $\Delta_2(W_1+\Delta_1)$ and $W_2\Delta_1$.
# A product has no more rank than its factors, so each term has rank at most $R$, and the change at
# most $2R$; with $L$ layers, $RL$.

# %%
w1, w2, d1, d2 = sp.symbols("W_1 W_2 Delta_1 Delta_2", commutative=False)
change = (w2 + d2) * (w1 + d1) - w2 * w1
display(sp.expand(change))
assert sp.expand(change - d2 * (w1 + d1) - w2 * d1) == 0

# %% [markdown]
# So the adapted network is the frozen one plus a matrix of rank $RL$ at most. By Eckart and Young
# (notebook 01, step 2; here in spectral norm) such a matrix leaves at least $\sigma_{RL+1}(E)$ of
# $E$. This is the bound.
#
# **Step 2: can two layers of rank one really make every change of rank two?** Let the frozen layers
# be the identity, and ask for any 2×2 matrix. Take it apart column by column: the last factor puts
# the first column right, the first factor the second column.

# %%
p, q, r, s = sp.symbols("p q r s", nonzero=True)
wanted = sp.Matrix([[p, q], [r, s]])
last = sp.Matrix([[p, 0], [r, 1]])  # the identity, but for its first column
first = sp.Matrix([[1, q / p], [0, s - r * q / p]])  # the identity, but for its second
display(last, first, sp.simplify(last * first))
assert sp.simplify(last * first - wanted) == sp.zeros(2, 2)

# %% [markdown]
# Each factor is the identity plus *one column*: rank one.

# %%
one = sp.eye(2)
print("rank of each update:", (last - one).rank(), (first - one).rank())
assert sp.simplify((last - one).det()) == 0
assert sp.simplify((first - one).det()) == 0

# %% [markdown]
# We divided by $p$. Where $p=0$ another order of the columns or a change of basis helps; the proof
# in the module treats every case. If the frozen layers are other invertible matrices, multiply the
# target by their inverses first.
#
# **Step 3: attention.** The score form $W_Q^\top W_K$ is a product of two matrices, so step 1
# applies with the queries transposed: adapters of rank $R$ on queries and keys change the form by a
# matrix of rank at most $2R$.

# %%
query, key, dq, dk = sp.symbols("Q K D_q D_k", commutative=False)  # Q stands for the transpose
moved = (query + dq) * (key + dk) - query * key
display(sp.expand(moved))
assert sp.expand(moved - dq * (key + dk) - query * dk) == 0

# %% [markdown]
# **Step 4: what a narrow head ignored.** A head of size 2 in a stream of width 4 reads inputs 1 and
# 2; its keys answer inputs 3 and 4 with zero, so we say that it ignores them. Give its keys an
# update $uv^\top$ of rank one, and let its queries be *anything*. On the two ignored inputs the new
# form has rank one, so the first determinant below is zero; the second, on the two other inputs, is
# not.

# %%
u, v = sp.Matrix(sp.symbols("u_1:3")), sp.Matrix(sp.symbols("v_1:5"))
queries = sp.Matrix(2, 4, sp.symbols("q_1:9"))
form = queries.T * (sp.eye(4)[:2, :] + u * v.T)
display(sp.factor(form[:2, 2:].det()), sp.factor(form[:2, :2].det()))
assert sp.expand(form[:2, 2:].det()) == 0
assert sp.expand(form[:2, :2].det()) != 0

# %% [markdown]
# So a change at inputs that the head ignored costs a *whole* rank for each direction, where a
# change at inputs that it reads costs half a rank. There is no other obstacle (the module has the
# proof). A head of size $h$, with queries and keys of rank $h$, reaches a form of rank at most $h$
# exactly if $R$ is at least each of three numbers: half the rank of the change, its rank on the
# inputs that the keys ignored, and its rank on the inputs that the queries ignored.
#
# **Step 5: kinks.** A ReLU layer bends where a unit switches on. Around a point it is linear, with
# the matrix $C(W+\Delta)$, where the diagonal matrix $C$ has 1 for each unit that is on and 0 for
# the others. If all units are on, step 1 applies. If one is off, the determinant is zero: a
# direction is lost, and a target that loses none is missed by at least its smallest singular value.

# %%
matrix = sp.Matrix(2, 2, sp.symbols("w_1:5"))
dead = sp.diag(1, 0)
display(dead * matrix)
assert sp.expand((dead * matrix).det()) == 0

# %% [markdown]
# ## Construct
# Three layers of width 8 and a Gaussian target. `attain` does step 2 in general. It meets the bound
# at each rank, and has no error from rank 3 on, because $3\cdot3\ge8$.

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
# A head of size 8 in a stream of width 8 needs rank 4 on queries and on keys to get any other score
# form. Adapters of rank 3 leave exactly the seventh singular value of the change.

# %%
for each in (2, 3, 4):
    head = attention_budget.Case(weights[0], weights[1], target, each)
    found = attention_budget.THEOREM.check(head, attention_budget.attain_square(head))
    print(f"rank {each}: error {found.value:.6f}, bound {found.bound:.6f}")

# %% [markdown]
# Now a head of size 3 in width 8, which reads inputs 1 to 3. Two scores are to change, either among
# these inputs or at inputs that the head ignored. How much rank does it take, by the theorem and by
# `attain`?

# %%
axes, frozen = np.eye(8), np.eye(3, 8)
for name, columns in (("among", (1, 2)), ("ignored", (4, 5))):
    wanted = frozen.T @ frozen + axes[:, [0, 1]] @ axes[list(columns)]
    narrow = attention_budget.Reached(frozen, frozen, wanted)
    paid = attention_budget.attain_reach(narrow)
    reached = attention_budget.measure_reach(narrow, paid)
    print(f"{name:8} rank needed {attention_budget.bound_reach(narrow):.0f}, used {reached:.0f}")

# %% [markdown]
# ## Verify
# The construction meets the bound on random cases of one to four layers, with targets that are far
# away, near, or singular. Rivals stay above it; half of them are the construction, moved by as
# little as one part in $10^{12}$.

# %%
for claim in map(theorem, ("depth-budget", "score-change-rank", "attention-reach")):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 8)
        assert claim.check(drawn, claim.attain(drawn)).tight
        assert claim.check(drawn, claim.rival(drawn, rng)).holds

# %% [markdown]
# Adapters of too small a rank leave an error in a narrow head and in a ReLU network. No rival gets
# below these two floors.

# %%
for claim in map(theorem, ("attention-budget", "relu-necessity")):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 8)
        assert claim.check(drawn, claim.rival(drawn, rng)).holds

# %% [markdown]
# `adversary` uses no singular values. It starts anywhere and solves for one factor of one layer at
# a time, by least squares.

# %%
descended = depth_budget.adversary(case, np.random.default_rng(1))
found = depth_budget.THEOREM.check(case, descended)
print(f"least squares reaches {found.value:.4f}, the bound is {found.bound:.4f}")
assert found.holds

# %% [markdown]
# **What breaks it.** More rank than allowed goes below the bound. If a frozen layer is not
# invertible, the bound is still true, but adapters may be unable to reach it. Compare the two
# numbers of each line.

# %%
for control in depth_budget.CONTROLS:
    broken = depth_budget.THEOREM.judge(*control.example())
    print(f"{control.name:50} bound {broken.bound:.2f}, found {broken.value:.2f}")
    assert not getattr(broken, control.fails)

# %% [markdown]
# `check` does not call the first of these a counterexample: it names the hypothesis that fails.

# %%
try:
    depth_budget.THEOREM.check(*depth_budget.CONTROLS[0].example())
except AssumptionError as refusal:
    print(refusal)

# %% [markdown]
# ## Explore
# Let the missing part have singular values that fall like $i^{-a}$. At $a=0$ all directions are
# alike, at $a=2$ the values fall fast. How much is left at each rank, and how much does depth save?


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
    return draw(curves, "rank at each layer", "spectral error", points=["construction"])


left()

# %% [markdown]
# Move the sliders. If all singular values are equal, rank gains nothing until it is enough for all
# directions. If they fall fast, a small rank leaves little. That is why small ranks can be enough
# in practice, and why no theorem can promise that they are enough for *your* target.

# %%
depths = IntSlider(3, min=1, max=6, description="layers")
slope = FloatSlider(1.0, min=0, max=3, step=0.25, description="fall a")
explore(left, depth=depths, fall=slope)

# %% [markdown]
# ## What this does not say
# - **It says what exists, not what training finds.** The updates come from a formula that knows the
#   target.
# - **Layers are linear.** With ReLUs and large biases the same updates still work
#   (`thm:relu-budget`), and a smaller rank does not if the target is invertible (step 5).
# - **Later layers cannot restore** what an earlier frozen one discarded.
# - **Many forms give the same attention pattern.** Adding a number to all scores of a row does not
#   change its softmax, so equal patterns may take less rank than equal forms.
# - **Merged adapters were not chosen together.** A sum of $k$ adapters of rank $R$ changes the
#   network by rank $kRL$ at most, but it is one fixed change and not the best of that rank.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. It says whether you are right,
# and if not, why. Numbers count as right within 1 %.
#
# **1.** *(easy, 5 minutes)* A linear network of 6 invertible layers has width 64. Which rank does
# it need at each layer to become *any* linear map?

# %%
mine = None
judge("03.1", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Six layers of rank $R$ have $6R$ together, and $6R\ge64$ from $R=11$ on. Rank 10 leaves the 61st
# singular value of the change.
#
# ```python
# mine = 11
# ```
#
# </details>

# %% [markdown]
# **2.** *(medium, 5 minutes)* A head has size 64 in a stream of width 512. Somebody adapts its
# queries and keys at rank 256, "half the width, so everything is reachable". What is the largest
# rank of a score form that the adapted head can have?

# %%
mine = None
judge("03.2", mine)

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
# **3.** *(easy, 5 minutes)* Two frozen layers are invertible, and $E=\mathrm{diag}(5,4,3,2,1)$.
# What is the least spectral error with rank 1 at the first layer and rank 1 at the second?

# %%
mine = None
judge("03.3", mine)

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
# **4.** *(hard, 20 minutes, code)* Write step 2 for any width $2R$ and any invertible layers. Your
# function gets the matrices $W_1$, $W_2$ and $T$ and returns two updates of rank $R$, first layer
# first, with $(W_2+\Delta_2)(W_1+\Delta_1)=T$. Hint: the first layer should become $W_1+\Delta_1=X$
# with $W_2^{-1}T-X$ of rank $R$ as well.


# %%
def mine(first, last, target):
    return None


judge("03.4", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# $W_2^{-1}T-W_1$ has rank $2R$. Pay one half of its singular values at the first layer; the last
# layer has to pay for the rest, which is of rank $R$ too.
#
# ```python
# def mine(first, last, target):
#     u, s, v = np.linalg.svd(np.linalg.solve(last, target) - first)
#     half = len(s) // 2
#     one = (u[:, :half] * s[:half]) @ v[:half]
#     return one, target @ np.linalg.inv(first + one) - last
# ```
#
# </details>

# %% [markdown]
# ## Further reading
#
# - Zeng and Lee, [*The expressive power of low-rank adaptation*](https://arxiv.org/abs/2310.17513).
#   The budget of depth and rank, with ReLU networks and transformers.
# - Hu et al., [*LoRA: low-rank adaptation of large language
#   models*](https://arxiv.org/abs/2106.09685). Where the factors come from, and how small ranks do
#   in practice.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 75 minutes: 30 for the derivation on the board, 20 for the sliders, 25 for exercises 1
# to 3 and the idea of exercise 4, which is homework.
#
# **Ask.** Before step 2: can two updates of rank one make *every* change of rank two, or only those
# that fit the frozen layers? Before the sliders: for which targets does rank 4 of 12 halve the
# error? After: a paper shows singular values that fall fast; what does this tell you, and what not?
#
# **Common wrong answers.** "Rank $R$ in $L$ layers gives rank $R$": each layer adds its own term.
# "It gives $R^L$": products do not raise rank. "Half the width is always enough for attention":
# only for a head as wide as its stream. "The bound is loose for trained adapters, so it is wrong":
# training need not find what exists.
#
# </details>
