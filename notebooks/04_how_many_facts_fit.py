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
# A fact is a pair: asked about a key $e_j$, answer $t_j$. An adapter of rank $r$ is to hold $N$ of
# them. How large may $N$ be? The literature answers "as many as the rank", "as many as there are
# parameters", and "any number". All three are right, because they mean different things by *hold*.
#
# **Claims.** Let the adapter be $m\times n$ of rank $r$.
#
# 1. *Exact values.* To answer $N$ independent keys with independent values takes $r\ge N$
#    (`thm:edit-budget`).
# 2. *Each fact answers its own key with exactly 1*, and other facts' keys as little as possible.
#    What it answers to these is called cross-talk. If there are more facts than ranks, the mean
#    squared cross-talk is at least $\frac{N-r}{r(N-1)}$, whatever keys and outputs are
#    (`thm:superposition-floor`).
# 3. *The right token scores highest.* If keys and outputs may be chosen after the facts, rank 2
#    holds any number (`thm:argmax-rank`). If they are given, and any answers may be asked for, $N$
#    is at most about the number of parameters, $p=r(m+n-r)$, times a small constant: an argmax is
#    read off the signs of polynomials in $p$ variables, and these have few sign patterns (Warren,
#    1968).
# 4. *Merging adds no room.* Let each adapter have a random reading factor (its $A$) that is not
#    trained, and store its facts by adding them up (a Hebbian memory). If keys are orthonormal, the
#    sum of $K$ such adapters of rank $r$ has the same mean square errors as *one* such adapter that
#    holds all the facts, although the rank of the sum is $Kr$ (`thm:merged-memory`).
#
# After this notebook you can tell three meanings of “an adapter holds N facts” apart, compute the
# limit of each, and explain why merging adds no room.
#
# Runs in about 15 s on two cores. You need the singular value decomposition and variances.

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
# **Step 1: a trace costs energy.** Write down a table: entry $x_{ij}$ is how strongly output $i$
# answers key $j$. Each fact is answered by 1, so the diagonal is all ones and the trace is $N$. A
# table of rank $r$ has at most $r$ nonzero singular values, and the trace is at most their sum. The
# energy of the table is the sum of their squares. For two singular values, twice the energy exceeds
# the squared sum by

# %%
s1, s2 = sp.symbols("sigma_1 sigma_2", nonnegative=True)
excess = sp.factor(2 * (s1**2 + s2**2) - (s1 + s2) ** 2)
display(excess)
assert sp.expand(excess - (s1 - s2) ** 2) == 0

# %% [markdown]
# which is never negative. In general $\sum\sigma^2\ge(\sum\sigma)^2/r\ge N^2/r$ (Cauchy and
# Schwarz). Of this energy the diagonal has $N$; the rest is cross-talk, in $N(N-1)$ entries. Their
# mean square is at least the bound of claim 2. Below stands this bound: in general, for twice as
# many facts as ranks, and for ever more facts.

# %%
N, r = sp.symbols("N r", positive=True)
crosstalk = (N**2 / r - N) / (N * (N - 1))
floor = (N - r) / (r * (N - 1))
display(sp.Tuple(floor, floor.subs(N, 2 * r), sp.limit(floor, N, sp.oo)))
assert sp.simplify(crosstalk - floor) == 0

# %% [markdown]
# The square root of the bound is the typical cross-talk of the best adapter: about $1/\sqrt{2r}$
# with twice as many facts as ranks, and never more than $1/\sqrt r$ however many facts there are.
# At rank 64 this is an eighth of a fact's own answer. To hold more facts than ranks is cheap if
# small errors are allowed.
#
# **Step 2: random factors.** Let the reading factor have random Gaussian rows $a$, and do not train
# it. One row contributes $(y\cdot a)(a\cdot x)$ to the answer at the query $x$, where the vector
# $y$ adds up the stored keys, each times its value (a number: we look at one output). Here is the
# mean square of that in two dimensions, with $\mathrm E a_i^2=1$ and $\mathrm E a_i^4=3$:

# %%
x1, x2, y1, y2, a1, a2 = sp.symbols("x1 x2 y1 y2 a1 a2", real=True)
product = sp.Poly(sp.expand((y1 * a1 + y2 * a2) ** 2 * (a1 * x1 + a2 * x2) ** 2), a1, a2)
moment = {0: 1, 2: 1, 4: 3}  # odd moments vanish
mean = sum(c * moment.get(i, 0) * moment.get(j, 0) for (i, j), c in product.terms())
lengths, inner = (x1**2 + x2**2) * (y1**2 + y2**2), x1 * y1 + x2 * y2
display(mean)
assert sp.expand(mean - lengths - 2 * inner**2) == 0

# %% [markdown]
# This is $\|x\|^2\|y\|^2+2(x\cdot y)^2$. So even at a query where nothing is stored ($x\cdot y=0$)
# each row answers something, with the mean square $\|x\|^2\|y\|^2$. The mean over $r$ rows still
# has the mean square $\frac1r\|x\|^2\|y\|^2$: this is the noise of a random reading factor.
#
# **Step 3: who holds a fact does not matter.** The vector $y$ is a sum over facts, and with
# orthogonal keys $\|y\|^2$ is proportional to their number. Share the facts out among $K$ adapters,
# each with rows of its own, and add the adapters up. Their variances add up, too. Here is the noise
# of one adapter and of $K$:

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
# **Exact.** Ten facts, and updates of rank 4, 8 and 10. There is no error left at rank 10.

# %%
rng = np.random.default_rng(0)
keys, values = rng.standard_normal((64, 10)), rng.standard_normal((48, 10))
for width in (4, 8, 10):
    case = rank_floor.Case(keys, values, width)
    print(f"rank {width:2}: squared error {case.error(rank_floor.attain(case)):.4f}")

# %% [markdown]
# **In superposition.** Twenty-four facts in rank 6. The response to each fact's own key is 1, and
# the other responses are as small as any update of that rank can make them.

# %%
frames = orthonormal(rng, 64, 24), orthonormal(rng, 48, 24)
case = superposition_floor.Case(*frames, rank=6)
table = superposition_floor.responses(case, superposition_floor.attain(case))
others = table[~np.eye(24, dtype=bool)]
print(f"own {np.diag(table).min():.3f}, others' root mean square {np.sqrt((others**2).mean()):.3f}")
print(f"floor {superposition_floor.bound(case):.6f}, achieved {(others**2).mean():.6f}")

# %% [markdown]
# **By the largest score.** Rank 2, a hundred tokens on a circle, and a hundred inputs that each
# want a token of their own. All get it. The price is a tiny margin.

# %%
scores = argmax_margin.circle(range(100), 100)
assert argmax_margin.answers_of(scores) == list(range(100))
ordered = np.sort(scores.dense(), axis=0)
print(f"rank {scores.width}, smallest margin {(ordered[-1] - ordered[-2]).min():.5f}")

# %% [markdown]
# ## Verify
# Each claim but the count of claim 3 is checked by its own theorem: its construction meets the
# bound, and rivals do not get beyond it. (`hebbian-memory` is the law of step 2.)

# %%
labels = "edit-budget", "superposition-floor", "argmax-rank", "hebbian-memory", "merged-memory"
for claim in map(theorem, labels):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 8)
        assert claim.check(drawn, claim.attain(drawn)).tight
        assert claim.check(drawn, claim.rival(drawn, rng)).holds

# %% [markdown]
# **What breaks it.** The cross-talk limit fails if the responses need not be 1 for each fact. And
# the sum of adapters recalls better than one adapter if those that do not hold the fact are
# switched off.

# %%
for claim in map(theorem, ("superposition-floor", "merged-memory")):
    for control in claim.controls:
        broken = claim.judge(*control.example())
        print(f"{control.name:45} bound {broken.bound:8.3f}, found {broken.value:8.3f}")
        assert not broken.holds

# %% [markdown]
# ## Explore
# The derivation is about mean squares. What does it mean for recall? Simulate it with width 64, 500
# tokens, Gaussian keys and outputs, and random reading factors that are not trained. What share of
# $N$ facts is recalled by one adapter of rank $r$? By the sum of $K$ of them, each with its part of
# the facts? And by a router that knows which one to ask?


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
# Routing is easy to simulate: only the adapter that holds the fact acts, and it holds fewer facts.
# Each point is the mean of ten draws.


# %%
def recall(rank: int = 16, adapters: int = 4):
    """Recall against the number of facts."""
    rng, counts = np.random.default_rng(0), (8, 16, 32, 64, 128, 256)
    ways = {
        "one adapter": lambda n: recalled(n, rank, 1, rng),
        f"sum of {adapters}": lambda n: recalled(n, rank, adapters, rng),
        f"right one of {adapters}": lambda n: recalled(max(n // adapters, 1), rank, 1, rng),
    }
    mean = lambda share: [np.mean([share(n) for _ in range(10)]) for n in counts]
    curves = {name: (np.log2(counts), mean(share)) for name, share in ways.items()}
    return draw(curves, "facts in all (log2)", "share recalled", share=True)


recall()

# %% [markdown]
# The curve of the sum stays close to that of one adapter: the rank $Kr$ has gained nothing. The
# curve of the router lies further to the right, by a factor of $K$. Move the sliders: does the sum
# ever do better than one adapter?

# %%
ranks = IntSlider(16, min=1, max=64, description="rank")
count = IntSlider(4, min=1, max=8, description="adapters")
explore(recall, rank=ranks, adapters=count)

# %% [markdown]
# ## What this does not say
# - **Trained reading factors do better than random ones.** Training turns them towards their keys,
#   and then a sum of adapters holds more than one of them; the experiment `capacity` measures how
#   much.
# - **The count of claim 3 is loose** by constants and a logarithm: no memory is known that reaches
#   it.
# - **Recall is not composition.** A library that recalls every fact can fail on every question that
#   needs two of them (notebooks 02 and 08).
# - **A mean is not a worst case.** Cross-talk of $1/\sqrt r$ on average may be all on one key.
# - **Facts here are unrelated.** Facts that follow a rule compress.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. It says whether you are right,
# and if not, why. Numbers count as right within 1 %.
#
# **1.** *(easy, 5 minutes)* An adapter of rank 8 is to answer each of 64 facts with exactly 1. What
# is the least root mean square of the other responses?

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
# each, in width 128. Ask for a fact that none of them holds. By what factor is the variance of the
# answer larger in their sum than in a single one of them?

# %%
mine = None
judge("04.2", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Noise is proportional to the number of facts that are in use: 80 in the sum, 10 in one adapter.
#
# ```python
# mine = 8
# ```
#
# </details>

# %% [markdown]
# **3.** *(medium, 10 minutes)* Can scores of *rank one* be largest for a different token at each of
# three inputs, if you may choose all vectors? Answer `True` or `False`.

# %%
mine = None
judge("04.3", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Never: rank one gives input $j$ the scores $b_j\cdot(a_1,\dots,a_M)$, one number times one fixed
# list. Positive $b_j$ choose its largest entry, negative ones its smallest: two answers.
#
# ```python
# mine = False
# ```
#
# </details>

# %% [markdown]
# **4.** *(easy, 10 minutes, code)* Build the memory of rank 2 of claim 3. Given a number of tokens,
# return two arrays of shape (2, tokens), outputs and keys, so that every key has the largest score
# with its own token.


# %%
def mine(tokens):
    return None


judge("04.4", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Points on a circle: each is nearest to itself, and in the direction of a point that point lies
# farthest out.
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
#   memories*](https://arxiv.org/abs/2412.06538). Facts against parameters, with given embeddings.
# - Elhage et al., [*Toy models of superposition*](https://arxiv.org/abs/2209.10652). More features
#   than dimensions in trained networks.
# - Allen-Zhu and Li, [*Physics of language models, part 3.3: knowledge capacity scaling
#   laws*](https://arxiv.org/abs/2404.05405). Bits per parameter, measured.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 75 minutes: 10 to collect definitions of "a fact is stored" from the room, 25 for the
# derivation, 15 for the recall curves, 25 for exercises 1, 2 and 4. Exercise 3 is homework.
#
# **Ask.** At the start: how many facts fit into rank 8? Write all answers down and sort them by
# claim afterwards. At the curves: why does the curve of the sum not move when you change $K$?
#
# **Common wrong answers.** "Rank $Kr$ holds $K$ times as much": rank counts directions, the noise
# counts facts. "Argmax needs a rank per fact": rank 2 on a circle, with a tiny margin. "Then rank 2
# is enough in practice": only if keys and outputs may be chosen after the facts.
#
# </details>
