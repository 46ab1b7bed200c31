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
# parameters", and "any number". All are right. They mean different things by *hold*.
#
# **Claims.** Let the adapter be $m\times n$ of rank $r$.
#
# 1. *Exact values*, independent and at independent keys, need $r\ge N$ (`thm:edit-budget`).
# 2. *Each stored key gets a response of exactly 1, and the responses to all other keys are as
#    small as possible.* With fewer ranks than facts the mean squared cross-talk is at least
#    $\frac{N-r}{r(N-1)}$, whatever keys and outputs are (`thm:superposition-floor`).
# 3. *The right token is largest.* If keys and outputs may be chosen after the facts, rank 2 holds
#    any number (`thm:argmax-rank`). If they are given, $N$ is at most about the number of
#    parameters, $p=r(m+n-r)$, times a small constant (`thm:counting-ceiling`).
# 4. *Merging adds none.* The sum of $K$ Hebbian adapters with frozen random factors answers, in
#    second moments, like *one* of them that holds all the facts, if their keys are orthonormal,
#    though its rank is $Kr$ (`thm:merged-memory`).
#
# Runs in about 15 s on two cores. You need the singular value decomposition and variances.

# %%
# %matplotlib inline
import numpy as np
import sympy as sp
from ipywidgets import IntSlider, interact

from loratheory.figures import lines
from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems import (
    argmax_margin,
    counting_ceiling,
    hebbian_memory,
    rank_floor,
    superposition_floor,
    theorem,
)

# %% [markdown]
# ## Derive
# **Step 1: a trace costs energy.** Let $x_{ij}$ be how strongly output $i$ answers key $j$. Facts
# are answered by one, so the trace is $N$. A matrix of rank $r$ has at most $r$ singular values,
# and their sum bounds the trace. For two of them, the sum of squares is at least half the square
# of the sum:

# %%
s1, s2 = sp.symbols("sigma_1 sigma_2", nonnegative=True)
assert sp.expand(2 * (s1**2 + s2**2) - (s1 + s2) ** 2 - (s1 - s2) ** 2) == 0

# %% [markdown]
# In general $\sum\sigma^2\ge(\sum\sigma)^2/r\ge N^2/r$ (Cauchy and Schwarz). Of this energy the
# diagonal takes $N$; the rest is cross-talk, spread over $N(N-1)$ entries. That is claim 2.

# %%
N, r = sp.symbols("N r", positive=True)
crosstalk = (N**2 / r - N) / (N * (N - 1))
floor = (N - r) / (r * (N - 1))
assert sp.simplify(crosstalk - floor) == 0
sp.Tuple(floor, floor.subs(N, 2 * r), sp.limit(floor, N, sp.oo))

# %% [markdown]
# The typical wrong answer is the root of that: with twice as many facts as ranks about
# $1/\sqrt{2r}$, and with ever more facts it only grows to $1/\sqrt r$. That is small: superposition
# is cheap, exactness is not.
#
# **Step 2: random factors.** Freeze the factor $A$ that reads, with Gaussian rows $a$. One row
# contributes $(y\cdot a)(a\cdot x)$ to the answer at query $x$, where $y$ says what is stored. Its
# second moment in two dimensions, with $\mathrm E a_i^2=1$ and $\mathrm E a_i^4=3$:

# %%
x1, x2, y1, y2, a1, a2 = sp.symbols("x1 x2 y1 y2 a1 a2", real=True)
product = sp.Poly(sp.expand((y1 * a1 + y2 * a2) ** 2 * (a1 * x1 + a2 * x2) ** 2), a1, a2)
moment = {0: 1, 2: 1, 4: 3}  # odd moments vanish
mean = sum(c * moment.get(i, 0) * moment.get(j, 0) for (i, j), c in product.terms())
lengths, inner = (x1**2 + x2**2) * (y1**2 + y2**2), x1 * y1 + x2 * y2
assert sp.expand(mean - lengths - 2 * inner**2) == 0

# %% [markdown]
# So even where nothing is stored ($x\cdot y=0$) each row answers with energy $\|x\|^2\|y\|^2$, and
# the mean over $r$ rows leaves $\frac1r\|x\|^2\|y\|^2$: noise of a frozen factor.
#
# **Step 3: who holds the fact does not matter.** $y$ is a sum over facts. Give half of them to
# another adapter, with rows of its own. The variances add, and with orthogonal keys so do the
# squared lengths: the noise is the same as before.

# %%
facts, adapters, rank = sp.symbols("N K r", positive=True)
one_adapter = facts / rank  # noise of N facts of unit length through rank r
many_adapters = adapters * (facts / adapters) / rank  # K times the noise of N / K facts
assert sp.simplify(many_adapters - one_adapter) == 0

# %% [markdown]
# The sum of $K$ adapters of rank $r$ is as noisy as one adapter of rank $r$ with all facts. Only
# *choosing* the right adapter divides the noise by $K$.

# %% [markdown]
# ## Construct
# **Exact.** Ten facts, and updates of rank 4, 8, 10: the error is gone when rank meets facts.

# %%
rng = np.random.default_rng(0)
keys, values = rng.standard_normal((64, 10)), rng.standard_normal((48, 10))
for width in (4, 8, 10):
    case = rank_floor.Case(keys, values, width)
    print(f"rank {width:2}: squared error {case.error(rank_floor.attain(case)):.4f}")

# %% [markdown]
# **In superposition.** Twenty-four facts in rank 6. Each own response is one; the others are as
# small as any update of that rank can make them.

# %%
frames = orthonormal(rng, 64, 24), orthonormal(rng, 48, 24)
case = superposition_floor.Case(*frames, rank=6)
table = superposition_floor.responses(case, superposition_floor.attain(case))
others = table[~np.eye(24, dtype=bool)]
print(f"own {np.diag(table).min():.3f}, others' root mean square {np.sqrt((others**2).mean()):.3f}")
print(f"floor {superposition_floor.bound(case):.6f}, achieved {(others**2).mean():.6f}")

# %% [markdown]
# **By the largest score.** Rank 2, tokens on a circle, a hundred inputs that each want their own
# token: all get it. The margin is tiny, which is the price.

# %%
scores = argmax_margin.circle(range(100), 100)
assert argmax_margin.answers_of(scores) == list(range(100))
ordered = np.sort(scores.dense(), axis=0)
print(f"rank {scores.width}, smallest margin {(ordered[-1] - ordered[-2]).min():.5f}")

# %% [markdown]
# **With given embeddings** nobody can do that. Parameters against the ceiling, for 2,048 tokens:

# %%
for width, each in ((128, 8), (128, 32), (4096, 16)):
    most = counting_ceiling.largest_memory(2048, width, width, each)
    parameters = each * (2 * width - each)
    print(f"width {width:4}, rank {each:2}: {parameters:7,} parameters, {most:9,} facts at most")

# %% [markdown]
# ## Verify
# Every claim through its own judge: its construction meets it, rivals obey it. (`hebbian_memory` is
# the law of step 2 for any memory behind one frozen factor.)

# %%
labels = "edit-budget", "superposition-floor", "argmax-rank", "hebbian-memory", "merged-memory"
for claim in map(theorem, labels):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 8)
        assert claim.check(drawn, claim.attain(drawn)).tight
        assert claim.check(drawn, claim.rival(drawn, rng)).holds

# %% [markdown]
# The ceiling of claim 3 has no construction that meets it. It is attacked by walking along lines of
# updates, through as many different memories as there are.

# %%
for seed in range(10):
    rng = np.random.default_rng(seed)
    drawn = counting_ceiling.draw(rng, 8)
    assert counting_ceiling.THEOREM.check(drawn, counting_ceiling.adversary(drawn, rng)).holds

# %% [markdown]
# **What breaks it.** Choose keys after the facts, and the ceiling falls; answer one fact twice as
# answer strongly and let another be silent, and so does the floor of cross-talk; switch adapters
# off, and the merged memory is better than one.

# %%
for claim in map(theorem, ("counting-ceiling", "superposition-floor", "merged-memory")):
    for control in claim.controls:
        broken = claim.judge(*control.example())
        print(f"{control.name:45} bound {broken.bound:8.3f}, found {broken.value:8.3f}")
        assert not broken.holds

# %% [markdown]
# ## Explore
# Second moments are not recall, so simulate: width 64, 500 tokens, Gaussian keys and outputs, a
# frozen random reading factor. What share of $N$ facts is recalled by one adapter of rank $r$, by
# the sum of $K$ of them that share the facts, and by a router that knows which one to ask?


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
# Routing is easy to simulate: the adapter asked holds only its own part. Each point is the mean of
# ten draws.


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
    return lines.draw(curves, "facts in all (log2)", "share recalled", share=True)


recall()

# %% [markdown]
# The sum's curve stays close to that of one adapter: rank $Kr$ bought nothing. The router's moves
# to the right by a factor of $K$. Move the sliders: does the sum ever pull away?

# %%
ranks = IntSlider(16, min=1, max=64, description="rank")
count = IntSlider(4, min=1, max=8, description="adapters")
_ = interact(recall, rank=ranks, adapters=count)

# %% [markdown]
# ## What this does not say
# - **Trained factors do better than frozen ones.** They turn towards their keys, and then a sum
#   holds more than one adapter of its rank; the experiment `capacity` measures how much.
# - **The ceiling is loose** by constants and a logarithm: nobody promises a memory that reaches it.
# - **Recall is not composition.** A library that recalls every fact can fail on every question that
#   needs two of them (notebooks 02 and 08).
# - **A mean is not a worst case.** Cross-talk of $1/\sqrt r$ on average may be all on one key.
# - **Facts here are unrelated.** Facts that follow a rule compress.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer and run the cell: silence means right.
#
# **1.** An adapter of rank 8 is to answer 64 facts by one each. What is the least root mean square
# of the other responses?

# %%
mine = None
wanted = superposition_floor.least_crosstalk(64, 8) ** 0.5
assert mine is None or abs(mine - wanted) < 2e-3, "not yet: (N - r) / (r (N - 1)), and the root"

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
# **2.** Eight adapters of rank 4 with frozen random factors hold 10 facts each, in width 128. By
# what factor is the variance of a foreign answer in their sum larger than in the one adapter that
# an oracle would switch on?

# %%
mine = None
together = hebbian_memory.merged_crosstalk(80, 8, 128, 4)
wanted = together / hebbian_memory.routed_crosstalk(80, 8, 128, 4)
assert mine is None or np.isclose(mine, wanted), "not yet: how many facts does each path hold?"

# %% [markdown]
# <details><summary>Solution</summary>
#
# Noise is proportional to the facts in use: 80 in the sum, 10 behind the oracle.
#
# ```python
# mine = 8
# ```
#
# </details>

# %% [markdown]
# **3.** Can *rank one* scores make each of three inputs prefer its own token, if you may choose all
# vectors? Answer `True` or `False`.

# %%
mine = None
wanted = argmax_margin.reachable(argmax_margin.Answers(3, (0, 1, 2), rank=1)) == 3
assert mine is None or mine == wanted, "not yet: what does an input multiply the outputs by?"

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
# <details><summary>For the lecturer</summary>
#
# **Time.** 75 minutes: 10 to collect definitions of "a fact is stored" from the room, 25 for the
# derivation, 15 for the recall curves, 25 for exercises.
#
# **Ask.** At the start: how many facts fit into rank 8? Write all answers down and sort them by
# claim afterwards. At the curves: why does the curve of the sum not move when you change $K$?
#
# **Common wrong answers.** "Rank $Kr$ holds $K$ times as much": rank counts directions, the noise
# counts facts. "Argmax needs a rank per fact": rank 2 on a circle, with a tiny margin. "Then rank 2
# is enough in practice": only if keys and outputs may be chosen after the facts.
#
# </details>
