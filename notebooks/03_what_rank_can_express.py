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
# together change the function of the network? Which rank turns an attention head into *any* other
# head?
#
# **Main idea** (`thm:depth-budget`). Let $M=W_L\cdots W_1$ be the product of $L$ frozen linear
# layers. A target $T$ asks for the change $E=T-M$. With updates of rank at most $R$ at each layer,
# the error in spectral norm is at least
#
# $$\|(W_L+\Delta_L)\cdots(W_1+\Delta_1)-T\|_2\;\ge\;\sigma_{RL+1}(E),$$
#
# where $\sigma_i(E)$ is the $i$-th singular value of $E$. If the layers are invertible, some
# updates attain this bound.
#
# **Mechanism.** Each layer changes the product by a matrix of rank at most $R$, and the changes add
# up. So the *product* $RL$ matters: many layers make up for a small rank.
#
# **A common misconception.** "Half the width is always enough rank for an attention head." It is
# enough only if the head is as wide as the residual stream.
#
# An attention head is the case $L=2$. The score of a query at $x$ for a key at $y$ is
# $x^\top W_Q^\top W_K\,y$. We call the matrix $W_Q^\top W_K$ the *score form* of the head. It is a
# product of two layers.
#
# - *Wide head:* the head is as wide as the stream and both matrices are invertible. Then adapters
#   whose rank is half the width can turn the form into any other form (`thm:depth-budget`).
# - *Narrow head:* the rank of a form is at most the size of the head. So a narrow head cannot reach
#   most forms at any rank (`thm:attention-budget`). `thm:attention-reach` says which forms it can
#   reach.
# - *Any head:* `thm:score-change-rank` says by which rank adapters can change the form. For an
#   invertible target, biases and ReLUs do not lower the rank that is needed (`thm:relu-necessity`).
#
# **After this notebook** you can compute the rank that a change of a deep network or of an
# attention head needs, and say when no rank is enough.
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
# **Step 1: what two layers can change.** Expand the product, with symbols that do not commute. The
# frozen product cancels, and one term is left for each layer: $\Delta_2(W_1+\Delta_1)$ and
# $W_2\Delta_1$. The rank of a product is at most the rank of each factor. So each term has rank at
# most $R$, and the change has rank at most $2R$. With $L$ layers the rank is at most $RL$.

# %%
w1, w2, d1, d2 = sp.symbols("W_1 W_2 Delta_1 Delta_2", commutative=False)
change = (w2 + d2) * (w1 + d1) - w2 * w1
display(sp.expand(change))
assert sp.expand(change - d2 * (w1 + d1) - w2 * d1) == 0

# %% [markdown]
# So the adapted network is the frozen network plus a matrix of rank at most $RL$. By Eckart and
# Young (notebook 01, step 2; here in spectral norm), this matrix leaves an error of at least
# $\sigma_{RL+1}(E)$. This is the bound.
#
# **Step 2: can two layers of rank one make *every* change of rank two?** Let the frozen layers be
# the identity, and take any 2×2 matrix as the target. We factor it column by column: the last
# factor gives the first column, and the first factor gives the second column.

# %%
p, q, r, s = sp.symbols("p q r s", nonzero=True)
wanted = sp.Matrix([[p, q], [r, s]])
last = sp.Matrix([[p, 0], [r, 1]])  # the identity, except for its first column
first = sp.Matrix([[1, q / p], [0, s - r * q / p]])  # the identity, except for its second
display(last, first, sp.simplify(last * first))
assert sp.simplify(last * first - wanted) == sp.zeros(2, 2)

# %% [markdown]
# Each factor is the identity plus a matrix with *one* nonzero column, which has rank one.

# %%
one = sp.eye(2)
print("rank of each update:", (last - one).rank(), (first - one).rank())
assert sp.simplify((last - one).det()) == 0
assert sp.simplify((first - one).det()) == 0

# %% [markdown]
# We divided by $p$. If $p=0$, another order of the columns or a change of basis helps; the proof in
# the module treats every case. If the frozen layers are other invertible matrices, first multiply
# the target by their inverses.
#
# **Step 3: attention.** The score form $W_Q^\top W_K$ is a product of two matrices. So step 1
# applies, with the queries transposed. Adapters of rank $R$ on queries and keys change the form by
# a matrix of rank at most $2R$.

# %%
query, key, dq, dk = sp.symbols("Q K D_q D_k", commutative=False)  # Q stands for the transpose
moved = (query + dq) * (key + dk) - query * key
display(sp.expand(moved))
assert sp.expand(moved - dq * (key + dk) - query * dk) == 0

# %% [markdown]
# **Step 4: inputs that a narrow head ignores.** A head of size 2 in a stream of width 4 reads
# inputs 1 and
# 2. Its keys are zero on inputs 3 and 4, so we say that the keys *ignore* these inputs. Give the
#    keys an update $uv^\top$ of rank one, and let the queries be *anything*. On the two ignored
#    inputs the new form has rank one, so the first determinant below is zero. On the two other
#    inputs the second determinant is not zero.

# %%
u, v = sp.Matrix(sp.symbols("u_1:3")), sp.Matrix(sp.symbols("v_1:5"))
queries = sp.Matrix(2, 4, sp.symbols("q_1:9"))
form = queries.T * (sp.eye(4)[:2, :] + u * v.T)
display(sp.factor(form[:2, 2:].det()), sp.factor(form[:2, :2].det()))
assert sp.expand(form[:2, 2:].det()) == 0
assert sp.expand(form[:2, :2].det()) != 0

# %% [markdown]
# So a change at ignored inputs costs a *whole* rank for each direction. A change at inputs that the
# head reads costs half a rank. There is no other obstacle (the code of the theorem has the proof).
# Take a head of size $h$ whose queries and keys have rank $h$. It reaches a form of rank at most
# $h$ exactly if $R$ is at least each of three numbers:
#
# 1. half the rank of the change;
# 2. the rank of the change on the inputs that the keys ignore;
# 3. the rank of the change on the inputs that the queries ignore.
#
# **Step 5: ReLU layers.** A ReLU layer is linear around a point, with the matrix $C(W+\Delta)$. The
# diagonal matrix $C$ has a 1 for each unit that is on, and a 0 for each other unit. If all units
# are on, step 1 applies. If one unit is off, the determinant is zero and a direction is lost. An
# invertible target loses no direction, so the error is at least its smallest singular value.

# %%
matrix = sp.Matrix(2, 2, sp.symbols("w_1:5"))
dead = sp.diag(1, 0)
display(dead * matrix)
assert sp.expand((dead * matrix).det()) == 0

# %% [markdown]
# ## Construct
# We take three layers of width 8 and a Gaussian target. `attain` does step 2 in general. It attains
# the bound at each rank. Its error is zero from rank 3 on, because $3\cdot3\ge8$.

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
# We check the rank of the updates. Rank 2 was allowed.

# %%
case = depth_budget.Case(weights, target, 2)
best = depth_budget.attain(case)
print([update.rank for update in best])

# %% [markdown]
# A head of size 8 in a stream of width 8 needs rank 4 on queries and on keys to reach any other
# score form. Adapters of rank 3 leave an error: exactly the seventh singular value of the change.

# %%
for each in (2, 3, 4):
    head = attention_budget.Case(weights[0], weights[1], target, each)
    found = attention_budget.THEOREM.check(head, attention_budget.attain_square(head))
    print(f"rank {each}: error {found.value:.6f}, bound {found.bound:.6f}")

# %% [markdown]
# Now we take a head of size 3 in width 8, which reads inputs 1 to 3. Two scores should change:
# either two scores among these inputs, or two scores at inputs that the head ignores. The cell
# prints the rank that the theorem requires and the rank that `attain` uses.

# %%
axes, frozen = np.eye(8), np.eye(3, 8)
for name, columns in (("inputs that it reads", (1, 2)), ("ignored inputs", (4, 5))):
    wanted = frozen.T @ frozen + axes[:, [0, 1]] @ axes[list(columns)]
    narrow = attention_budget.Reached(frozen, frozen, wanted)
    paid = attention_budget.attain_reach(narrow)
    reached = attention_budget.measure_reach(narrow, paid)
    print(f"{name:20} rank needed {attention_budget.bound_reach(narrow):.0f}, used {reached:.0f}")

# %% [markdown]
# ## Verify
# The construction attains the bound on random cases of one to four layers. Some targets are far
# from the frozen product, some are near, and some are singular. Random competitors (`rival`) stay
# above the bound. Half of them are the construction, moved by as little as one part in $10^{12}$.

# %%
for claim in map(theorem, ("depth-budget", "score-change-rank", "attention-reach")):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 8)
        assert claim.check(drawn, claim.attain(drawn)).tight
        assert claim.check(drawn, claim.rival(drawn, rng)).holds

# %% [markdown]
# If the rank is too small, an error remains in a narrow head and in a ReLU network. No competitor
# gets below the bounds of these two theorems.

# %%
for claim in map(theorem, ("attention-budget", "relu-necessity")):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 8)
        assert claim.check(drawn, claim.rival(drawn, rng)).holds

# %% [markdown]
# `adversary` is an optimiser that uses no singular values. From a random start it solves for one
# factor of one layer at a time, by least squares.

# %%
descended = depth_budget.adversary(case, np.random.default_rng(1))
found = depth_budget.THEOREM.check(case, descended)
print(f"least squares: error {found.value:.4f}, bound {found.bound:.4f}")
assert found.holds

# %% [markdown]
# **What breaks it.** With more rank than allowed, the error is below the bound. If a frozen layer
# is not invertible, the bound still holds, but adapters may be unable to attain it. Each line of
# the output breaks one hypothesis: compare bound and error.

# %%
for control in depth_budget.CONTROLS:
    broken = depth_budget.THEOREM.judge(*control.example())
    print(f"{control.name:50} bound {broken.bound:.2f}, error {broken.value:.2f}")
    assert not getattr(broken, control.fails)

# %% [markdown]
# `check` does not count the first line as a counterexample. It names the hypothesis that fails.

# %%
try:
    depth_budget.THEOREM.check(*depth_budget.CONTROLS[0].example())
except AssumptionError as refusal:
    print(refusal)

# %% [markdown]
# ## Explore
# Let the singular values of the change fall like $i^{-a}$. At $a=0$ all of them are equal; at $a=2$
# they fall fast. Which error is left at each rank? How much rank do more layers save?


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
# Move the sliders. If all singular values are equal, a higher rank gains nothing until it is enough
# for all directions. If they fall fast, a small rank leaves little error. So small ranks can be
# enough in practice. But no theorem can promise that they are enough for *your* target.

# %%
depths = IntSlider(3, min=1, max=6, description="layers")
slope = FloatSlider(1.0, min=0, max=3, step=0.25, description="exponent a")
explore(left, depth=depths, fall=slope)

# %% [markdown]
# ## What this does not say
# - **The theorem says what exists, not what training finds.** The updates come from a formula that
#   knows the target.
# - **The layers are linear.** In a ReLU network with large biases the same updates still work
#   (`thm:relu-budget`). A smaller rank does not work if the target is invertible (step 5).
# - **Later layers cannot restore** what an earlier frozen layer discarded.
# - **Many forms give the same attention pattern.** Adding a number to all scores of a row does not
#   change its softmax. So equal patterns may need less rank than equal forms.
# - **Merged adapters were not chosen together.** A sum of $k$ adapters of rank $R$ changes the
#   network by rank $kRL$ at most. But this change is fixed, and need not be the best change of its
#   rank.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell says whether you are
# right, and if not, why. A number counts as right within 1%.
#
# **1.** *(easy, 5 minutes)* A linear network has 6 invertible layers of width 64. Which rank does
# it need at each layer to become *any* linear map?

# %%
mine = None
judge("03.1", mine)

# %% [markdown]
# <details><summary>Solution</summary>
# Six layers of rank $R$ have the rank $6R$ together, and $6R\ge64$ from $R=11$ on. Rank 10 leaves
# an error: the 61st singular value of the change.
#
# ```python
# mine = 11
# ```
#
# </details>

# %% [markdown]
# **2.** *(medium, 5 minutes)* A head has size 64 in a stream of width 512. Its queries and keys get
# adapters of rank 256. The reason given is "half the width, so everything is reachable". What is
# the largest rank of a score form that the adapted head can have?

# %%
mine = None
judge("03.2", mine)

# %% [markdown]
# <details><summary>Solution</summary>
# Every score form of this head is a product through 64 dimensions. So $W_Q^\top W_K$ has rank at
# most 64 with any adapters. Half the width is enough only if the head is as wide as the stream.
#
# ```python
# mine = 64
# ```
#
# </details>

# %% [markdown]
# **3.** *(easy, 5 minutes)* Two frozen layers are invertible, and $E=\mathrm{diag}(5,4,3,2,1)$.
# Each of them gets an update of rank 1. What is the least error in spectral norm?

# %%
mine = None
judge("03.3", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Two layers of rank one remove the two largest singular values. The third, 3, is left.
#
# ```python
# mine = 3.0
# ```
#
# </details>

# %% [markdown]
# **4.** *(hard, 20 minutes, code)* Write step 2 for any width $2R$ and any invertible layers. Your
# function gets the matrices $W_1$, $W_2$ and $T$. Return two updates of rank $R$, first layer
# first, with $(W_2+\Delta_2)(W_1+\Delta_1)=T$. Hint: the adapted first layer is some
# $X=W_1+\Delta_1$. Choose it so that $W_2^{-1}T-X$ has rank $R$ as well.


# %%
def mine(first, last, target):
    return None


judge("03.4", mine)

# %% [markdown]
# <details><summary>Solution</summary>
# $W_2^{-1}T-W_1$ has rank $2R$. The update of the first layer takes half of its singular values.
# The update of the last layer then has to make the rest, which also has rank $R$.
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
#   How rank and depth limit LoRA, with ReLU networks and transformers.
# - Hu et al., [*LoRA: low-rank adaptation of large language
#   models*](https://arxiv.org/abs/2106.09685). The original method, and how well small ranks work
#   in practice.

# %% [markdown]
# <details><summary>For the lecturer</summary>
# **Time.** 75 minutes: 30 for the derivation on the board, 20 for the sliders, 25 for exercises 1
# to 3 and the idea of exercise 4, which is homework.
#
# **Ask.** Before step 2: can two updates of rank one make *every* change of rank two, or only
# changes that fit the frozen layers? Before the sliders: for which targets does rank 4 of 12 halve
# the error? After the sliders: a paper shows singular values that fall fast; what does this tell
# you, and what not?
#
# **Common wrong answers.** "Rank $R$ in $L$ layers gives rank $R$": each layer adds its own term.
# "It gives $R^L$": products do not raise the rank. "Half the width is always enough for attention":
# only if the head is as wide as its stream. "The bound is loose for trained adapters, so it is
# wrong": training need not find what exists.
#
#
# </details>
