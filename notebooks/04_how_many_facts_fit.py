# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How many facts fit in an adapter?
#
# ## Question
# A fact is a pair of vectors, a *key* $e_j$ and a *value* $t_j$. At the key $e_j$ the adapter
# should respond with the value $t_j$. An adapter of rank $r$ should hold $N$ facts. How large can
# $N$ be? The literature has three answers: "the rank", "the number of parameters" and "any number".
#
# **Main idea.** All three answers are right, because they mean different things by *hold*. If each
# value must be exact, an adapter needs one rank for each fact. It needs far less rank if the values
# may be approximate, or if the right token only needs the highest score.
#
# **Mechanism.** At the key of a fact, an adapter responds with the value of this fact. An adapter
# of small rank also responds with the values of other facts. This unwanted response is
# *cross-talk*. The rank limits how small the cross-talk can be.
#
# **A common misconception.** "The sum of $K$ adapters of rank $r$ has rank $Kr$, so it holds $K$
# times as many facts as one adapter." The *reading factor* of an adapter $BA$ is $A$. If the
# reading factors are random, the sum has as much noise as *one* adapter of rank $r$ that holds all
# facts.
#
# **After this notebook** you can distinguish three meanings of "an adapter holds $N$ facts" and
# compute the limit for each meaning. You can also explain why merging adds no capacity.
#
# **Claims.** Let the adapter be an $m\times n$ matrix of rank $r$.
#
# 1. *Exact values.* If the $N$ keys are linearly independent, and the $N$ values as well, exact
#    values need $r\ge N$ (`thm:edit-budget`).
# 2. *Exact strength.* At the key of each fact, the adapter responds with the value of this fact at
#    strength 1. It responds with the other values as little as possible. If $N>r$, the mean squared
#    cross-talk is at least $\frac{N-r}{r(N-1)}$. This bound holds for all keys and values
#    (`thm:superposition-floor`).
# 3. *The right token scores highest.* Each token has an *output vector*. The score of a token is
#    the inner product of its output vector with the adapter's response. If you may choose keys and
#    output vectors after you know the facts, rank 2 holds any number of facts (`thm:argmax-rank`).
#    Now let keys and output vectors be given, and let the adapter be able to hold every assignment
#    of tokens to keys. Then $N$ is at most about a small constant times the number of parameters,
#    $p=r(m+n-r)$. The reason is that the signs of polynomials in $p$ variables decide which score
#    is highest. Polynomials have few sign patterns (Warren, 1968).
# 4. *Merging adds no capacity.* Let each adapter have a random reading factor that is not trained.
#    Its other factor, $B$, stores facts by adding them up (a Hebbian memory). Let the keys be
#    orthonormal, and let each adapter have rank $r$. Then the sum of $K$ of these adapters has the
#    same mean squared errors as *one* of them that holds all the facts. The rank $Kr$ of the sum
#    does not help (`thm:merged-memory`).
#
# The notebook runs in about 15 s on two cores. You need the singular value decomposition and
# variances.

# %%
import numpy as np
import sympy as sp
from ipywidgets import IntSlider

from loratheory.exercises import explore, judge
from loratheory.figures import draw
from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems import theorem
from loratheory.theorems.editing import superposition_floor
from loratheory.theorems.expressiveness import argmax_margin, rank_floor

# %% [markdown]
# ## Derive
# **Step 1: a large trace needs large singular values.** Write down a table whose entry $x_{ij}$ is
# the strength of value $i$ in the response to key $j$. Each value has strength 1 at its own key. So
# all diagonal entries are 1, and the trace is $N$. A table of rank $r$ has at most $r$ nonzero
# singular values, and the trace is at most their sum. The *energy* of the table is the sum of the
# squared entries, and equals the sum of the squared singular values. For two singular values, the
# next cell computes twice the energy minus the squared sum.

# %%
s1, s2 = sp.symbols("sigma_1 sigma_2", nonnegative=True)
excess = sp.factor(2 * (s1**2 + s2**2) - (s1 + s2) ** 2)
display(excess)
assert sp.expand(excess - (s1 - s2) ** 2) == 0

# %% [markdown]
# This difference is never negative. For any number of singular values,
# $\sum\sigma^2\ge(\sum\sigma)^2/r\ge N^2/r$ (Cauchy and Schwarz). The diagonal has the energy $N$.
# The rest of the energy is cross-talk, in the other $N(N-1)$ entries. So the mean square of these
# entries is at least the bound of claim 2. The next cell shows this bound three times: in general,
# for $N=2r$, and in the limit of many facts.

# %%
N, r = sp.symbols("N r", positive=True)
crosstalk = (N**2 / r - N) / (N * (N - 1))
floor = (N - r) / (r * (N - 1))
display(sp.Tuple(floor, floor.subs(N, 2 * r), sp.limit(floor, N, sp.oo)))
assert sp.simplify(crosstalk - floor) == 0

# %% [markdown]
# The square root of the bound is the typical cross-talk of the best adapter. For $N=2r$ this
# cross-talk is about $1/\sqrt{2r}$. For any number of facts it is at most $1/\sqrt r$. At rank 64
# this limit is 1/8: an eighth of the strength that a value has at its own key. So an adapter can
# hold more facts than its rank if small errors are allowed.
#
# **Step 2: random factors.** Let the reading factor have random Gaussian rows $a$ that are not
# trained. We look at one coordinate of the response, so the value of a fact is a number. Let the
# vector $y$ be the sum of the stored keys, each multiplied by its value. At an input $x$ one row
# contributes $(y\cdot a)(a\cdot x)$ to the response. The next cell computes the mean square of this
# contribution in two dimensions. It uses $\mathrm E a_i^2=1$ and $\mathrm E a_i^4=3$.

# %%
x1, x2, y1, y2, a1, a2 = sp.symbols("x1 x2 y1 y2 a1 a2", real=True)
product = sp.Poly(sp.expand((y1 * a1 + y2 * a2) ** 2 * (a1 * x1 + a2 * x2) ** 2), a1, a2)
moment = {0: 1, 2: 1, 4: 3}  # odd moments vanish
mean = sum(c * moment.get(i, 0) * moment.get(j, 0) for (i, j), c in product.terms())
lengths, inner = (x1**2 + x2**2) * (y1**2 + y2**2), x1 * y1 + x2 * y2
display(mean)
assert sp.expand(mean - lengths - 2 * inner**2) == 0

# %% [markdown]
# The mean square is $\|x\|^2\|y\|^2+2(x\cdot y)^2$. At an input where nothing is stored,
# $x\cdot y=0$. Even there each row contributes, with the mean square $\|x\|^2\|y\|^2$. The average
# over $r$ rows has the mean square $\frac1r\|x\|^2\|y\|^2$. This number is the *noise* that a
# random reading factor causes.
#
# **Step 3: it does not matter which adapter holds a fact.** The vector $y$ is a sum over facts. If
# the keys are orthogonal, $\|y\|^2$ is proportional to the number of facts. Distribute the facts
# over $K$ adapters, each with its own random rows, and add the adapters. Then the noise of the sum
# is the sum of their noises. The next cell compares the noise of one adapter with the noise of the
# sum of $K$ adapters.

# %%
facts, adapters, rank = sp.symbols("N K r", positive=True)
one_adapter = facts / rank  # noise of N facts of unit length through rank r
many_adapters = adapters * (facts / adapters) / rank  # K times the noise of N / K facts
display(one_adapter, many_adapters)
assert sp.simplify(many_adapters - one_adapter) == 0

# %% [markdown]
# The sum of $K$ adapters of rank $r$ is as noisy as one adapter of rank $r$ with all facts. A
# router that *chooses* the right adapter divides the noise by $K$. A sum does not.

# %% [markdown]
# ## Construct
# **Exact values.** We store ten facts in updates of rank 4, 8 and 10. At rank 10 no error is left.

# %%
rng = np.random.default_rng(0)
keys, values = rng.standard_normal((64, 10)), rng.standard_normal((48, 10))
for width in (4, 8, 10):
    case = rank_floor.Case(keys, values, width)
    print(f"rank {width:2}: squared error {case.error(rank_floor.attain(case)):.4f}")

# %% [markdown]
# **Exact strength.** We store 24 facts in an update of rank 6. To store more facts than the rank is
# called *superposition*. Each value has strength 1 at its own key. The cross-talk is as small as an
# update of rank 6 can make it. The first line of the output has the root mean square (rms) of the
# cross-talk. The second line has the mean square.

# %%
frames = orthonormal(rng, 64, 24), orthonormal(rng, 48, 24)
case = superposition_floor.Case(*frames, rank=6)
table = superposition_floor.responses(case, superposition_floor.attain(case))
others = table[~np.eye(24, dtype=bool)]
rms = np.sqrt((others**2).mean())
print(f"strength at own key {np.diag(table).min():.3f}, rms cross-talk {rms:.3f}")
print(f"bound {superposition_floor.bound(case):.6f}, measured {(others**2).mean():.6f}")

# %% [markdown]
# **The right token scores highest.** We place the output vectors of a hundred tokens on a circle,
# so the scores have rank 2. Each of a hundred keys should give a different token the highest score.
# All keys do so. But the *margins*, by which the highest score leads the second highest, are tiny.

# %%
scores = argmax_margin.circle(range(100), 100)
assert argmax_margin.answers_of(scores) == list(range(100))
ordered = np.sort(scores.dense(), axis=0)
print(f"rank {scores.width}, smallest margin {(ordered[-1] - ordered[-2]).min():.5f}")

# %% [markdown]
# ## Verify
# We check every claim except the parameter count in claim 3. The construction of each theorem
# reaches the bound of the theorem, and no rival beats this bound. The theorem `hebbian-memory` is
# the formula of step 2.

# %%
labels = "edit-budget", "superposition-floor", "argmax-rank", "hebbian-memory", "merged-memory"
for claim in map(theorem, labels):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 8)
        assert claim.check(drawn, claim.attain(drawn)).tight
        assert claim.check(drawn, claim.rival(drawn, rng)).holds

# %% [markdown]
# **What breaks it.** Each line of the output shows a case that breaks one hypothesis. For instance,
# the bound of claim 2 fails if a value need not have strength 1 at its own key. Claim 4 fails if
# only the adapter that holds the fact is active.

# %%
for claim in map(theorem, ("superposition-floor", "merged-memory")):
    for control in claim.controls:
        broken = claim.judge(*control.example())
        print(f"{control.name:45} bound {broken.bound:8.3f}, found {broken.value:8.3f}")
        assert not broken.holds

# %% [markdown]
# ## Explore
# The derivation is about mean squares. How many facts does an adapter *recall*? A fact is recalled
# if the right token scores highest at its key. We simulate adapters of width 64 with 500 tokens.
# Keys and output vectors are Gaussian. The reading factors are random and not trained. We compare
# three ways to store $N$ facts:
#
# - one adapter of rank $r$,
# - the sum of $K$ adapters of rank $r$, each with a part of the facts,
# - $K$ adapters of rank $r$ and a router that selects the adapter with the fact.
#
# What share of the facts is recalled in each way? The next cell stores 32 facts in rank 16. It
# shows the share for one adapter and the share for a sum of four adapters.


# %%
def recalled(facts: int, rank: int, groups: int, rng: np.random.Generator) -> float:
    """The share of facts that the sum of `groups` adapters recalls."""
    outputs, keys = (rng.standard_normal((64, n)) / 8 for n in (500, facts))
    scores = np.zeros((500, facts))
    for part in np.array_split(np.arange(facts), groups):
        frozen = rng.standard_normal((rank, 64)) / np.sqrt(rank)
        adapter = LowRank(outputs[:, part] @ (frozen @ keys[:, part]).T, frozen)
        scores += outputs.T @ (adapter @ keys)
    return float(np.mean(scores.argmax(axis=0) == np.arange(facts)))


recalled(32, 16, 1, np.random.default_rng(0)), recalled(32, 16, 4, np.random.default_rng(0))

# %% [markdown]
# With a router, only the adapter that holds the fact is active. So we simulate the router by one
# adapter with $N/K$ facts. In the figure, each point is the mean of ten draws.


# %%
def recall(rank: int = 16, adapters: int = 4):
    """Recall against the number of facts."""
    rng, counts = np.random.default_rng(0), (8, 16, 32, 64, 128, 256)
    ways = {
        "one adapter": lambda n: recalled(n, rank, 1, rng),
        f"sum of {adapters}": lambda n: recalled(n, rank, adapters, rng),
        f"router over {adapters}": lambda n: recalled(max(n // adapters, 1), rank, 1, rng),
    }
    mean = lambda share: [np.mean([share(n) for _ in range(10)]) for n in counts]
    curves = {name: (np.log2(counts), mean(share)) for name, share in ways.items()}
    return draw(curves, "number of facts (log2)", "share of facts recalled", share=True)


recall()

# %% [markdown]
# The curve of the sum stays close to the curve of one adapter: the larger rank $Kr$ has not helped.
# With a router, $K$ times as many facts can be stored before the recalled share falls to that of
# one adapter. Move the sliders: does the sum ever recall a larger share than one adapter?

# %%
ranks = IntSlider(16, min=1, max=64, description="rank")
count = IntSlider(4, min=1, max=8, description="adapters")
explore(recall, rank=ranks, adapters=count)

# %% [markdown]
# ## What this does not say
# - **Trained reading factors do better than random reading factors.** Training turns the rows of a
#   reading factor towards the keys of its facts. Then a sum of adapters holds more facts than one
#   adapter. An earlier experiment (`capacity`, commit 80181100) measured how many more.
# - **The parameter count in claim 3 is not sharp.** The bound may be too large by a constant and a
#   logarithmic factor. No known memory reaches the bound.
# - **Recall is not composition.** Adapters that recall every fact can fail on every question that
#   needs two facts (notebooks 02 and 08).
# - **A mean is not a worst case.** If cross-talk is $1/\sqrt r$ on average, the cross-talk at one
#   key may be much larger.
# - **Facts here are unrelated.** If facts follow a rule, fewer parameters can hold them.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell prints whether your
# answer is right. If your answer is wrong, the cell prints why. A number is right if it is within
# 1% of the solution.
#
# **1.** *(easy, 5 minutes)* An adapter of rank 8 holds 64 facts, each with the exact strength 1 as
# in claim 2. What is the smallest possible root mean square of the cross-talk?

# %%
mine = None
judge("04.1", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Claim 2 has a lower bound on the *mean square* of the cross-talk. Which numbers of the exercise
# are $N$ and $r$?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Put both numbers into $\frac{N-r}{r(N-1)}$, and take the square root.
#
# </details>
#
# <details><summary>Solution</summary>
#
# By claim 2 the mean squared cross-talk is at least $(64-8)/(8\cdot63)=1/9$. The square root of
# $1/9$ is $1/3$.
#
# ```python
# mine = 1 / 3
# ```
#
# </details>

# %% [markdown]
# **2.** *(easy, 5 minutes)* Eight adapters of rank 4 with random reading factors hold 10 facts
# each, in width 128. The input is the key of a fact that no adapter holds. Divide the variance of
# the sum's response by the variance of one adapter's response. What is the ratio?

# %%
mine = None
judge("04.2", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Let the keys be orthonormal, as in claim 4. Then nothing is stored at this input, and the response
# is only the noise of step 2.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# By step 3 the noise of an adapter is proportional to the number of its facts. The noise of a sum
# is the sum of the noises.
#
# </details>
#
# <details><summary>Solution</summary>
#
# The variance is proportional to the number of stored facts. The sum holds 80 facts, and one
# adapter holds 10 facts.
#
# ```python
# mine = 8
# ```
#
# </details>

# %% [markdown]
# **3.** *(medium, 10 minutes)* A score matrix of *rank one* has one row for each token and one
# column for each of three inputs. You may choose the matrix. Can each input give the highest score
# to a different token? Answer `True` or `False`.

# %%
mine = None
judge("04.3", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A score matrix of rank one is a product $ab^\top$. So the scores at input $j$ are the number $b_j$
# times the list $a$.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Multiply a list by a positive number: which entry is the largest now? Multiply it by a negative
# number, and compare.
#
# </details>
#
# <details><summary>Solution</summary>
#
# No. In rank one, the scores at input $j$ are the number $b_j$ times a fixed list,
# $(a_1,\dots,a_M)$. If $b_j$ is positive, the largest entry of the list wins; if it is negative,
# the smallest. So at most two tokens can win.
#
# ```python
# mine = False
# ```
#
# </details>

# %% [markdown]
# **4.** *(easy, 10 minutes, code)* Build the memory of rank 2 from claim 3. Given a number of
# tokens, return two arrays of shape (2, tokens). The first array has the output vectors as columns,
# the second array the keys. At key $i$, token $i$ must have the highest score.


# %%
def mine(tokens):
    return None


judge("04.4", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The score of token $i$ at key $j$ is the inner product of two vectors in the plane. Let all
# vectors have length 1: which of them has the largest inner product with a given one?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Take different points on a circle, one for each token, and use the same points for both arrays.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Use the same points on a circle as output vectors and as keys. The score is an inner product. Each
# point on a circle has the largest inner product with itself.
#
# ```python
# def mine(tokens):
#     angles = 2 * np.pi * np.arange(tokens) / tokens
#     points = np.stack([np.cos(angles), np.sin(angles)])
#     return points, points
# ```
#
# </details>

# %% [markdown]
# ## Further reading
#
# - Nichani, Lee and Bietti, [*Understanding factual recall in transformers via associative
#   memories*](https://arxiv.org/abs/2412.06538). How many facts a given number of parameters can
#   hold, if the embeddings are given.
# - Elhage et al., [*Toy models of superposition*](https://arxiv.org/abs/2209.10652). Trained
#   networks that hold more features than they have dimensions.
# - Allen-Zhu and Li, [*Physics of language models, part 3.3: knowledge capacity scaling
#   laws*](https://arxiv.org/abs/2404.05405). Measures how many bits of knowledge one parameter
#   stores.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 75 minutes: 10 to collect definitions of "a fact is stored" from the students, 25 for
# the derivation, 15 for the recall curves, 25 for exercises 1, 2 and 4. Exercise 3 is homework.
#
# **Ask.** At the start: how many facts fit into rank 8? Write all answers down and sort them by
# claim afterwards. At the curves: why does the curve of the sum not move when you change $K$?
#
# **Common wrong answers.** "A sum of rank $Kr$ holds $K$ times as many facts": the noise depends on
# the number of facts, not on the rank of the sum. "The highest score needs one rank per fact": rank
# 2 is enough on a circle, with a tiny margin. "Then rank 2 is enough in practice": rank 2 is enough
# only if keys and output vectors may be chosen after the facts.
#
# </details>
