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
# A fact is a pair of vectors: at the key $e_j$ the adapter should answer $t_j$. An adapter of rank
# $r$ is to hold $N$ facts. How large may $N$ be? The literature answers "as many as the rank", "as
# many as there are parameters", and "any number".
#
# **Main idea.** All three answers are right, because they mean different things by *hold*. Exact
# values need one rank per fact. Approximate values, or only the highest score for the right token,
# need far less.
#
# **Mechanism.** At the key of one fact, an adapter responds with the output of this fact. If its
# rank is small, it also responds with outputs of other facts. This unwanted response is
# *cross-talk*. The rank limits how small it can be.
#
# **A common misconception.** "The sum of $K$ adapters of rank $r$ has rank $Kr$, so it holds $K$
# times as many facts." With random reading factors the sum has as much noise as one adapter of rank
# $r$ with all facts.
#
# **After this notebook** you can tell three meanings of "an adapter holds $N$ facts" apart, compute
# the limit of each, and explain why merging adds no capacity.
#
# **Claims.** Let the adapter be $m\times n$ of rank $r$.
#
# 1. *Exact values.* To answer $N$ linearly independent keys with linearly independent values, an
#    adapter needs $r\ge N$ (`thm:edit-budget`).
# 2. *Exact strength.* At the key of each fact, the adapter responds with that fact's output at
#    strength 1, and with the other outputs as little as possible. If $N>r$, the mean squared
#    cross-talk is at least $\frac{N-r}{r(N-1)}$. This holds for all keys and outputs
#    (`thm:superposition-floor`).
# 3. *The right token scores highest.* If you may choose keys and outputs after you know the facts,
#    rank 2 holds any number of facts (`thm:argmax-rank`). Now let keys and outputs be given, and
#    let every choice of answers be possible. Then $N$ is at most about a small constant times the
#    number of parameters, $p=r(m+n-r)$. The reason is that the highest score depends on the signs
#    of polynomials in $p$ variables, and these have few sign patterns (Warren, 1968).
# 4. *Merging adds no capacity.* Let each adapter have a random reading factor (its $A$) that is not
#    trained. Its other factor stores facts by adding them up (a Hebbian memory). Let the keys be
#    orthonormal. Then the sum of $K$ such adapters of rank $r$ has the same mean squared errors as
#    *one* such adapter that holds all the facts. The rank $Kr$ of the sum does not help
#    (`thm:merged-memory`).
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
# the response of output $i$ to key $j$. At its own key, each fact has the response 1, so the
# diagonal is all ones and the trace is $N$. A table of rank $r$ has at most $r$ nonzero singular
# values, and the trace is at most their sum. The *energy* of the table is the sum of the squared
# singular values, or of the squared entries. For two singular values, twice the energy minus the
# squared sum is

# %%
s1, s2 = sp.symbols("sigma_1 sigma_2", nonnegative=True)
excess = sp.factor(2 * (s1**2 + s2**2) - (s1 + s2) ** 2)
display(excess)
assert sp.expand(excess - (s1 - s2) ** 2) == 0

# %% [markdown]
# which is never negative. In general $\sum\sigma^2\ge(\sum\sigma)^2/r\ge N^2/r$ (Cauchy and
# Schwarz). The diagonal has the energy $N$. The rest is cross-talk, in $N(N-1)$ entries, so their
# mean square is at least the bound of claim 2. We show this bound in general, for $N=2r$, and in
# the limit of many facts.

# %%
N, r = sp.symbols("N r", positive=True)
crosstalk = (N**2 / r - N) / (N * (N - 1))
floor = (N - r) / (r * (N - 1))
display(sp.Tuple(floor, floor.subs(N, 2 * r), sp.limit(floor, N, sp.oo)))
assert sp.simplify(crosstalk - floor) == 0

# %% [markdown]
# The square root of the bound is the typical cross-talk of the best adapter. For $N=2r$ it is about
# $1/\sqrt{2r}$, and it never exceeds $1/\sqrt r$, for any number of facts. At rank 64 the limit
# $1/\sqrt r$ is an eighth of a fact's own response. So an adapter can hold more facts than its rank
# if small errors are allowed.
#
# **Step 2: random factors.** Let the reading factor have random Gaussian rows $a$, and do not train
# it. Let the vector $y$ be the sum of the stored keys, each times its value. At the query $x$ one
# row contributes $(y\cdot a)(a\cdot x)$ to the answer. We look at one output, so a value is a
# number. In two dimensions we compute the mean square of this contribution, with $\mathrm E
# a_i^2=1$ and $\mathrm E a_i^4=3$:

# %%
x1, x2, y1, y2, a1, a2 = sp.symbols("x1 x2 y1 y2 a1 a2", real=True)
product = sp.Poly(sp.expand((y1 * a1 + y2 * a2) ** 2 * (a1 * x1 + a2 * x2) ** 2), a1, a2)
moment = {0: 1, 2: 1, 4: 3}  # odd moments vanish
mean = sum(c * moment.get(i, 0) * moment.get(j, 0) for (i, j), c in product.terms())
lengths, inner = (x1**2 + x2**2) * (y1**2 + y2**2), x1 * y1 + x2 * y2
display(mean)
assert sp.expand(mean - lengths - 2 * inner**2) == 0

# %% [markdown]
# This is $\|x\|^2\|y\|^2+2(x\cdot y)^2$. So each row contributes something even at a query where
# nothing is stored ($x\cdot y=0$). The mean square of this contribution is $\|x\|^2\|y\|^2$. If we
# average over $r$ rows, the mean square falls to $\frac1r\|x\|^2\|y\|^2$. This is the noise that a
# random reading factor causes.
#
# **Step 3: it does not matter which adapter holds a fact.** The vector $y$ is a sum over facts, and
# with orthogonal keys $\|y\|^2$ is proportional to their number. Distribute the facts over $K$
# adapters, each with its own random rows, and add the adapters. Then their variances add up as
# well. We compare the noise of one adapter with that of $K$ adapters:

# %%
facts, adapters, rank = sp.symbols("N K r", positive=True)
one_adapter = facts / rank  # noise of N facts of unit length through rank r
many_adapters = adapters * (facts / adapters) / rank  # K times the noise of N / K facts
display(one_adapter, many_adapters)
assert sp.simplify(many_adapters - one_adapter) == 0

# %% [markdown]
# The sum of $K$ adapters of rank $r$ is as noisy as one adapter of rank $r$ with all facts. Only
# *choosing* the right adapter divides the noise by $K$.

# %% [markdown]
# ## Construct
# **Exact.** We store ten facts in updates of rank 4, 8 and 10. At rank 10 no error is left.

# %%
rng = np.random.default_rng(0)
keys, values = rng.standard_normal((64, 10)), rng.standard_normal((48, 10))
for width in (4, 8, 10):
    case = rank_floor.Case(keys, values, width)
    print(f"rank {width:2}: squared error {case.error(rank_floor.attain(case)):.4f}")

# %% [markdown]
# **In superposition.** We store 24 facts in rank 6. The response to each fact's own key is 1, and
# the other responses are as small as any update of that rank can make them.

# %%
frames = orthonormal(rng, 64, 24), orthonormal(rng, 48, 24)
case = superposition_floor.Case(*frames, rank=6)
table = superposition_floor.responses(case, superposition_floor.attain(case))
others = table[~np.eye(24, dtype=bool)]
print(f"own key {np.diag(table).min():.3f}, cross-talk (rms) {np.sqrt((others**2).mean()):.3f}")
print(f"bound {superposition_floor.bound(case):.6f}, measured {(others**2).mean():.6f}")

# %% [markdown]
# **By the largest score.** We place a hundred tokens on a circle, in rank 2. Each of a hundred
# inputs should give a different token the highest score. All do, but the margins are tiny.

# %%
scores = argmax_margin.circle(range(100), 100)
assert argmax_margin.answers_of(scores) == list(range(100))
ordered = np.sort(scores.dense(), axis=0)
print(f"rank {scores.width}, smallest margin {(ordered[-1] - ordered[-2]).min():.5f}")

# %% [markdown]
# ## Verify
# We check every claim except the parameter count in claim 3. For each theorem, its construction
# reaches the bound, and no rival exceeds it. The theorem `hebbian-memory` is the formula of step 2.

# %%
labels = "edit-budget", "superposition-floor", "argmax-rank", "hebbian-memory", "merged-memory"
for claim in map(theorem, labels):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 8)
        assert claim.check(drawn, claim.attain(drawn)).tight
        assert claim.check(drawn, claim.rival(drawn, rng)).holds

# %% [markdown]
# **What breaks it.** The limit on cross-talk fails if the response to a fact's own key may differ
# from 1. The sum of adapters recalls better than one adapter if all adapters that do not hold the
# fact are switched off.

# %%
for claim in map(theorem, ("superposition-floor", "merged-memory")):
    for control in claim.controls:
        broken = claim.judge(*control.example())
        print(f"{control.name:45} bound {broken.bound:8.3f}, found {broken.value:8.3f}")
        assert not broken.holds

# %% [markdown]
# ## Explore
# The derivation is about mean squares. What does it mean for recall? We simulate it with width 64,
# 500 tokens, Gaussian keys and outputs, and random reading factors that are not trained. We compare
# three ways to store $N$ facts:
#
# - one adapter of rank $r$,
# - the sum of $K$ such adapters, each with a part of the facts,
# - $K$ such adapters and a router that selects the one with the fact.
#
# What share of the facts does each of them recall?


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
# Routing is easy to simulate: only the adapter that holds the fact is active, and it holds fewer
# facts. Each point is the mean of ten draws.


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
# The curve of the sum stays close to that of one adapter: the larger rank $Kr$ has not helped. The
# router recalls the same share with $K$ times as many facts. Move the sliders: does the sum ever do
# better than one adapter?

# %%
ranks = IntSlider(16, min=1, max=64, description="rank")
count = IntSlider(4, min=1, max=8, description="adapters")
explore(recall, rank=ranks, adapters=count)

# %% [markdown]
# ## What this does not say
# - **Trained reading factors do better than random ones.** Training turns them towards their keys.
#   Then a sum of adapters holds more facts than one adapter; the experiment `capacity` measures how
#   many more.
# - **The parameter count in claim 3 is not sharp.** It may be too large by constants and a
#   logarithm, and no known memory reaches it.
# - **Recall is not composition.** A library that recalls every fact can fail on every question that
#   needs two of them (notebooks 02 and 08).
# - **A mean is not a worst case.** If cross-talk is $1/\sqrt r$ on average, it may be much larger
#   for one key.
# - **Facts here are unrelated.** If facts follow a rule, fewer parameters can hold them.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell prints whether you are
# right, and if not, why. A number is right if it is within 1% of the answer.
#
# **1.** *(easy, 5 minutes)* An adapter of rank 8 holds 64 facts, each with the exact strength 1 as
# in claim 2. What is the smallest possible root mean square of the responses to other facts' keys?

# %%
mine = None
judge("04.1", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# $(64-8)/(8\cdot63)=1/9$, and the root of that is $1/3$.
#
# ```python
# mine = 1 / 3
# ```
#
# </details>

# %% [markdown]
# **2.** *(easy, 5 minutes)* Eight adapters of rank 4 with random reading factors hold 10 facts
# each, in width 128. The query is the key of a fact that none of them holds. By what factor is the
# variance of the response larger in the sum of all eight than in one adapter?

# %%
mine = None
judge("04.2", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# The noise is proportional to the number of stored facts: 80 in the sum, 10 in one adapter.
#
# ```python
# mine = 8
# ```
#
# </details>

# %% [markdown]
# **3.** *(medium, 10 minutes)* A score matrix of *rank one* has three inputs. You may choose all
# vectors. Can the highest score belong to a different token at each input? Answer `True` or
# `False`.

# %%
mine = None
judge("04.3", mine)

# %% [markdown]
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
# tokens, return two arrays of shape (2, tokens): the outputs and the keys. At every key its own
# token must have the largest score.


# %%
def mine(tokens):
    return None


judge("04.4", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Use points on a circle as outputs and as keys. The score is an inner product, and among points on
# a circle each has the largest inner product with itself.
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
#   hold, with given embeddings.
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
# **Common wrong answers.** "Rank $Kr$ holds $K$ times as much": the noise depends on the number of
# facts, not on the rank of the sum. "The highest score needs one rank per fact": rank 2 is enough
# on a circle, with a tiny margin. "Then rank 2 is enough in practice": it is enough only if keys
# and outputs may be chosen after the facts.
#
# </details>
