# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What can a rank-r update express?
# ## Question
# An adapter of rank $R$ changes a weight matrix by a matrix of rank at most $R$. This sounds like
# little. But a network has many layers, and each layer has an adapter. How far can all adapters
# together change the function of the network? Which rank is enough to turn an attention head into
# *any* other head?
#
# **Main idea** (`thm:depth-budget`). Let $M=W_L\cdots W_1$ be the product of $L$ frozen linear
# layers. To reach a target $T$, the product must change by $E=T-M$. If the update of each layer has
# rank at most $R$, the error in spectral norm is at least
#
# $$\|(W_L+\Delta_L)\cdots(W_1+\Delta_1)-T\|_2\;\ge\;\sigma_{RL+1}(E),$$
#
# where $\sigma_i(E)$ is the $i$-th singular value of $E$. If the frozen layers are invertible,
# there are updates that attain this bound.
#
# **Mechanism.** Each layer changes the product by a matrix of rank at most $R$, and the changes add
# up. So the *product* $RL$ matters: many layers make up for a small rank.
#
# **A common misconception.** "For an attention head, a rank of half the width is always enough."
# This rank is enough only if the head is as wide as the residual stream.
#
# The scores of an attention head are a case with $L=2$. The score of a query at $x$ for a key at
# $y$ is $x^\top W_Q^\top W_K\,y$. We call the matrix $W_Q^\top W_K$ the *score form* of the head,
# short *form*. It is a product of two matrices, like a network of two layers.
#
# - *Wide head:* the head is as wide as the stream, and $W_Q$ and $W_K$ are invertible. Then
#   adapters whose rank is half the width can turn the form into any other form
#   (`thm:depth-budget`).
# - *Narrow head:* the rank of a form is at most the size of the head. So a narrow head cannot reach
#   most forms, whatever the rank of its adapters (`thm:attention-budget`). `thm:attention-reach`
#   says which forms a narrow head can reach.
# - *Any head:* `thm:score-change-rank` limits the rank of the change that adapters can make to the
#   form.
#
# Biases and ReLUs do not lower the rank that an invertible target needs (`thm:relu-necessity`).
#
# **After this notebook** you can compute which rank is needed to change a deep network or an
# attention head in a given way. You can also say when no rank is enough.
#
# The notebook runs in about 10 s on two cores. You need the singular value decomposition, which
# notebook 01 recalls.

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
# **Step 1: what two layers can change.** Expand the adapted product, with symbols that do not
# commute, and subtract the frozen product $W_2W_1$. One term is left for each layer: $W_2\Delta_1$
# for the first, and $\Delta_2(W_1+\Delta_1)$ for the second. The rank of a product is at most the
# rank of each factor. So each term has rank at most $R$, and the change has rank at most $2R$. With
# $L$ layers the change has rank at most $RL$.

# %%
w1, w2, d1, d2 = sp.symbols("W_1 W_2 Delta_1 Delta_2", commutative=False)
change = (w2 + d2) * (w1 + d1) - w2 * w1
display(sp.expand(change))
assert sp.expand(change - d2 * (w1 + d1) - w2 * d1) == 0

# %% [markdown]
# So the adapted network is the frozen network plus a matrix of rank at most $RL$. In spectral norm,
# a matrix of rank at most $RL$ differs from $E$ by at least $\sigma_{RL+1}(E)$. This is the theorem
# of Eckart and Young again, in Mirsky's form for the spectral norm (notebook 01, step 2), and it
# gives the bound.
#
# **Step 2: can two updates of rank one make *every* change of rank two?** Let the frozen layers be
# the identity, and take any 2×2 matrix as the target. We write the target as the product of a last
# layer and a first layer. The last layer produces the first column of the target, and the first
# layer produces the second column.

# %%
p, q, r, s = sp.symbols("p q r s", nonzero=True)
wanted = sp.Matrix([[p, q], [r, s]])
last = sp.Matrix([[p, 0], [r, 1]])  # the identity, except for its first column
first = sp.Matrix([[1, q / p], [0, s - r * q / p]])  # the identity, except for its second
display(last, first, sp.simplify(last * first))
assert sp.simplify(last * first - wanted) == sp.zeros(2, 2)

# %% [markdown]
# Each layer is the identity plus an update with only *one* nonzero column. So each update has rank
# one.

# %%
one = sp.eye(2)
print("rank of each update:", (last - one).rank(), (first - one).rank())
assert sp.simplify((last - one).det()) == 0
assert sp.simplify((first - one).det()) == 0

# %% [markdown]
# We divided by $p$. If $p=0$, another order of the columns or a change of basis helps. The proof in
# the code of the theorem treats every case. If the frozen layers are other invertible matrices,
# first multiply the target by their inverses.
#
# **Step 3: attention.** The score form $W_Q^\top W_K$ is a product of two matrices. So step 1
# applies, with $W_Q^\top$ in the place of $W_2$ and $W_K$ in the place of $W_1$. Adapters of rank
# $R$ on queries and keys change the form by a matrix of rank at most $2R$.

# %%
query, key, dq, dk = sp.symbols("Q K D_q D_k", commutative=False)  # Q stands for the transpose
moved = (query + dq) * (key + dk) - query * key
display(sp.expand(moved))
assert sp.expand(moved - dq * (key + dk) - query * dk) == 0

# %% [markdown]
# **Step 4: inputs that a narrow head ignores.** Take a head of size 2 in a stream of width 4. We
# call the four coordinates of the stream *inputs*. The keys of the head read the first two inputs.
# They are zero on the last two inputs, so we say that the keys *ignore* these two inputs. Give the
# keys an update $uv^\top$ of rank one, and let the queries be *anything*.
#
# The next cell computes the determinants of two parts of the adapted form. On the ignored inputs
# the form has rank one, so the first determinant is zero. On the inputs that the keys read, the
# second determinant is not zero.

# %%
u, v = sp.Matrix(sp.symbols("u_1:3")), sp.Matrix(sp.symbols("v_1:5"))
queries = sp.Matrix(2, 4, sp.symbols("q_1:9"))
form = queries.T * (sp.eye(4)[:2, :] + u * v.T)
display(sp.factor(form[:2, 2:].det()), sp.factor(form[:2, :2].det()))
assert sp.expand(form[:2, 2:].det()) == 0
assert sp.expand(form[:2, :2].det()) != 0

# %% [markdown]
# So a change at ignored inputs costs a *whole* rank of the adapters for each direction. A change at
# inputs that the head reads costs half a rank for each direction. Apart from these costs and the
# size of the head, nothing prevents adapters from reaching a form; the code of the theorem has the
# proof. Take a head of size $h$ whose queries and keys have rank $h$, and a form of rank at most
# $h$. Adapters of rank $R$ reach this form exactly if $R$ is at least each of three numbers:
#
# 1. half the rank of the change;
# 2. the rank of the change on the inputs that the keys ignore;
# 3. the rank of the change on the inputs that the queries ignore.
#
# **Step 5: ReLU layers.** Close to a given input, a ReLU layer is linear, with the matrix
# $C(W+\Delta)$. A unit is *on* if its input is positive. The diagonal matrix $C$ has a 1 for each
# unit that is on, and a 0 for each other unit. If all units are on, step 1 applies. If one unit is
# off, the determinant of $C(W+\Delta)$ is zero, so the layer loses a direction. An invertible
# target loses no direction. So the error is at least the smallest singular value of the target.

# %%
matrix = sp.Matrix(2, 2, sp.symbols("w_1:5"))
dead = sp.diag(1, 0)
display(dead * matrix)
assert sp.expand((dead * matrix).det()) == 0

# %% [markdown]
# ## Construct
# We take three layers of width 8 and a Gaussian target. `attain` generalises step 2 to any
# invertible layers and any rank. Its updates attain the bound at each rank. Their error is zero
# from rank 3 on, because three layers of rank 3 can change the product by rank $3\cdot3\ge8$.

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
# We allow rank 2 and print the ranks of the three updates.

# %%
case = depth_budget.Case(weights, target, 2)
best = depth_budget.attain(case)
print([update.rank for update in best])

# %% [markdown]
# Now take a head of size 8 in a stream of width 8. To reach any other score form, it needs adapters
# of rank 4 on queries and on keys. Adapters of rank 3 leave an error that equals the seventh
# singular value of the change.

# %%
for each in (2, 3, 4):
    head = attention_budget.Case(weights[0], weights[1], target, each)
    found = attention_budget.THEOREM.check(head, attention_budget.attain_square(head))
    print(f"rank {each}: error {found.value:.6f}, bound {found.bound:.6f}")

# %% [markdown]
# Next we take a head of size 3 in a stream of width 8. The head reads inputs 1 to 3 and ignores the
# others. Two of its scores should change. In the first case, both scores are for keys at inputs
# that the head reads. In the second case, both scores are for keys at ignored inputs. The cell
# prints the rank that the theorem requires and the rank that the construction uses.

# %%
axes, frozen = np.eye(8), np.eye(3, 8)
for name, columns in (("inputs that are read", (1, 2)), ("ignored inputs", (4, 5))):
    wanted = frozen.T @ frozen + axes[:, [0, 1]] @ axes[list(columns)]
    narrow = attention_budget.Reached(frozen, frozen, wanted)
    paid = attention_budget.attain_reach(narrow)
    reached = attention_budget.measure_reach(narrow, paid)
    print(f"{name:20} rank needed {attention_budget.bound_reach(narrow):.0f}, used {reached:.0f}")

# %% [markdown]
# ## Verify
# The construction attains the bound on random cases of one to four layers. Some targets are far
# from the frozen product, some are near, and some are singular. Competitors (`rival`) do not get
# below the bound. Some competitors are random. Others are the construction after a small change,
# sometimes of only one part in $10^{12}$.

# %%
for claim in map(theorem, ("depth-budget", "score-change-rank", "attention-reach")):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 8)
        assert claim.check(drawn, claim.attain(drawn)).tight
        assert claim.check(drawn, claim.rival(drawn, rng)).holds

# %% [markdown]
# Two theorems bound the error that remains if the rank is too small: one for a narrow head, one for
# a ReLU network. No competitor gets below these two bounds.

# %%
for claim in map(theorem, ("attention-budget", "relu-necessity")):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 8)
        assert claim.check(drawn, claim.rival(drawn, rng)).holds

# %% [markdown]
# `adversary` is an optimiser that uses no singular values. It starts from random updates. By least
# squares it then solves for one factor of one update at a time.

# %%
descended = depth_budget.adversary(case, np.random.default_rng(1))
found = depth_budget.THEOREM.check(case, descended)
print(f"adversary: error {found.value:.4f}, bound {found.bound:.4f}")
assert found.holds

# %% [markdown]
# **What breaks it.** Each line of the output shows a case that breaks one hypothesis. In the first
# line, an update has more rank than allowed, and the error is below the bound. In the second line,
# a frozen layer is not invertible. There the bound holds, but no update of the allowed rank attains
# it.

# %%
for control in depth_budget.CONTROLS:
    broken = depth_budget.THEOREM.judge(*control.example())
    print(f"{control.name:50} bound {broken.bound:.2f}, error {broken.value:.2f}")
    assert not getattr(broken, control.fails)

# %% [markdown]
# `check` does not count the case of the first line as a counterexample. It names the hypothesis
# that fails.

# %%
try:
    depth_budget.THEOREM.check(*depth_budget.CONTROLS[0].example())
except AssumptionError as refusal:
    print(refusal)

# %% [markdown]
# ## Explore
# Let the $i$-th singular value of the change be $i^{-a}$. At $a=0$ all singular values are equal.
# At $a=2$ they fall fast. Which error is left at each rank? How much rank do more layers save?


# %%
def left(depth: int = 3, fall: float = 1.0):
    """The error at each rank: bound and construction."""
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
# Move the sliders. If all singular values are equal, a higher rank does not lower the error until
# it is enough for all directions. If the singular values fall fast, a small rank leaves little
# error. So a small rank can be enough in practice. But no theorem can promise that a small rank is
# enough for *your* target.

# %%
depths = IntSlider(3, min=1, max=6, description="layers")
slope = FloatSlider(1.0, min=0, max=3, step=0.25, description="exponent a")
explore(left, depth=depths, fall=slope)

# %% [markdown]
# ## What this does not say
# - **The theorem says what exists, not what training finds.** The updates come from a formula that
#   knows the target.
# - **The layers are linear.** In a ReLU network with large biases, the same updates still reach the
#   target (`thm:relu-budget`). If the target is invertible, a smaller rank is not enough (step 5).
# - **Later layers cannot restore** what an earlier frozen layer discarded.
# - **Many forms give the same attention pattern.** Adding a number to all scores of a row does not
#   change its softmax. So to reach an attention pattern may take less rank than to reach a form.
# - **Merged adapters were not chosen together.** A merge of $k$ adapters of rank $R$ changes the
#   network by a matrix of rank at most $kRL$. But the adapters were trained separately, so this
#   matrix need not be the best change of its rank.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell prints whether your
# answer is right. If your answer is wrong, the cell prints why. A number is right if it is within
# 1% of the solution, a count if it is equal.
#
# **1.** *(easy, 5 minutes)* A linear network has 6 invertible layers of width 64. Each layer gets
# an update of rank $R$. What is the smallest $R$ with which the network can become *any* linear
# map?

# %%
mine = None
judge("03.1", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# By step 1, six updates of rank $R$ change the product by a matrix of rank at most $6R$.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# To reach every linear map, $6R$ must be at least the width, and by the main idea this is also
# enough. Remember that $R$ is a whole number.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Six updates of rank $R$ change the network by a matrix of rank at most $6R$. The rank $6R$ is 64
# or more from $R=11$ on. Updates of rank 10 leave an error, the 61st singular value of the change.
#
# ```python
# mine = 11
# ```
#
# </details>

# %% [markdown]
# **2.** *(medium, 5 minutes)* A head has size 64 in a stream of width 512. Its queries and keys get
# adapters of rank 256. Their author says: "The rank is half the width, so every score form can be
# reached." What is the largest rank that the score form of the adapted head can have?

# %%
mine = None
judge("03.2", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The question is about the rank of the form itself, and not about the rank of its change. Compare
# with the case *narrow head* in the first cell.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# With any adapters the form is $(W_Q+\Delta_Q)^\top(W_K+\Delta_K)$. The rank of this product is at
# most the number of rows of $W_Q$ and $W_K$, which is the size of the head.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Every score form of this head is a product through 64 dimensions. So $W_Q^\top W_K$ has rank at
# most 64 with any adapters. Adapters whose rank is half the width are enough only if the head is as
# wide as the stream.
#
# ```python
# mine = 64
# ```
#
# </details>

# %% [markdown]
# **3.** *(easy, 5 minutes)* Two frozen layers are invertible, and $E=\mathrm{diag}(5,4,3,2,1)$.
# Each layer gets an update of rank 1. What is the least error in spectral norm?

# %%
mine = None
judge("03.3", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The main idea gives the least error for invertible layers: it is one of the singular values of
# $E$.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The index of this singular value is $RL+1$. What are $R$ and $L$ here?
#
# </details>
#
# <details><summary>Solution</summary>
#
# Two updates of rank one remove the two largest singular values of $E$. The third singular value,
# which is 3, is left.
#
# ```python
# mine = 3.0
# ```
#
# </details>

# %% [markdown]
# **4.** *(hard, 20 minutes, code)* Write step 2 for any width $2R$ and any invertible layers. Your
# function gets the matrices $W_1$, $W_2$ and a generic $T$. Return two updates $\Delta_1$ and
# $\Delta_2$ of rank $R$, in this order, with $(W_2+\Delta_2)(W_1+\Delta_1)=T$.


# %%
def mine(first, last, target):
    return None


judge("03.4", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Let $X=W_1+\Delta_1$ be the adapted first layer. If $X$ is invertible, the last layer needs the
# update $\Delta_2=TX^{-1}-W_2=W_2\,(W_2^{-1}T-X)\,X^{-1}$.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# So choose $X$ such that $X-W_1$ and $W_2^{-1}T-X$ both have rank $R$. These two matrices add up to
# $W_2^{-1}T-W_1$, so divide the singular values of this sum between them.
#
# </details>
#
# <details><summary>Solution</summary>
#
# The matrix $W_2^{-1}T-W_1$ has rank $2R$. The update of the first layer is the part of this matrix
# with its first $R$ singular values. The rest also has rank $R$, so the update of the last layer
# can produce it.
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
#   How rank and depth limit LoRA in ReLU networks and in transformers.
# - Hu et al., [*LoRA: low-rank adaptation of large language
#   models*](https://arxiv.org/abs/2106.09685). The original method, and how well small ranks work
#   in practice.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 75 minutes: 30 for the derivation on the board, 20 for the sliders, 25 for exercises 1
# to 3 and the idea of exercise 4. Exercise 4 is homework.
#
# **Ask.** Before step 2: can two updates of rank one make *every* change of rank two, or only
# changes that fit the frozen layers? Before the sliders: with one layer, for which targets in width
# 12 does rank 4 halve the error? After the sliders: a paper shows singular values that fall fast;
# what follows from this, and what does not follow?
#
# **Common wrong answers.** "Rank $R$ in $L$ layers gives rank $R$": each layer adds its own term.
# "It gives $R^L$": products do not raise the rank. "A rank of half the width is always enough for
# attention": it is enough only if the head is as wide as its stream. "Trained adapters do not
# attain the bound, so the bound is wrong": training need not find the best updates.
#
# </details>
