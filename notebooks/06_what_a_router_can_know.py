# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What can a router know?
#
# ## Question
# You have a library of adapters and no data, and a token comes in. A router must decide which
# adapters are active, and how strongly. It knows the token's activation (the vector that enters the
# weight matrix) and the adapters' weights. Is this knowledge enough? The router Arrow (arXiv
# 2405.11157) compares the token with each adapter's *first right singular vector*, its top
# direction. What does Arrow miss, and how good could the best router be?
#
# **Main idea.** A router can fail for three reasons. First, its score may not see a key. Second,
# the inputs of different adapters may overlap. Third, its weights may be too small because they add
# up to one. A better score helps only against the first reason.
#
# **Mechanism.** Arrow has one direction per adapter, but an adapter can hold many keys. Every key
# at right angles to this direction gets the score zero. The *response norm*, the norm of what an
# adapter adds at a token, sees every key. A *gate* compares the response norm with a threshold.
# Above the threshold, the gate activates the adapter at full strength.
#
# **A common misconception.** "A router that knows everything can answer every two-hop question."
# Suppose that the router distributes one unit of weight over the adapters, and keeps these weights
# throughout a pass. If the base knew old facts for both hops and all edits have strength 1, each
# edit is then too weak.
#
# **After this notebook** you can say which keys a router cannot see, and compute how often a gate
# opens by mistake. You can name the limits that hold even for a router that knows everything.
#
# There are seven claims. You need not understand all claims now. Step 1 derives claim 1, and step 2
# derives the limit for prototypes. Steps 3 to 7 derive claims 3 to 7.
#
# **Claims.**
#
# 1. *Arrow has a blind spot.* Each of $K$ adapters edits $F$ keys. One key of each adapter is
#    edited a little more strongly than the other keys. All $KF$ keys are orthonormal, and so are
#    the outputs of each adapter. Arrow sees the strongest key of each adapter and has to guess on
#    the other keys. For a random edited key, Arrow picks the right adapter with probability
#    $\frac1F+(1-\frac1F)\frac1K$ (`thm:arrow-blind-spot`).
#    - Suppose that each adapter has one key, its *prototype*. Then Arrow picks the right adapter
#      for every query that is close enough to the prototype of this adapter. The limit of the angle
#      is half the smallest angle between two prototypes (`thm:arrow-margin`).
#    - Suppose that keys are independent random directions. Let $s$ be the strength of a key
#      relative to its adapter's strongest key. As the width grows, Arrow's probability to pick the
#      right adapter out of two adapters tends to $\frac2\pi\arctan\frac1{1-s^2}$ (`thm:arrow-law`).
# 2. *The response norm has no blind spot.* For every key of claim 1, the response norm is largest
#    for the right adapter. Suppose that keys and tokens are Gaussian vectors. Then we know the
#    distribution of an adapter's response norm at a token that belongs to another adapter (a
#    *foreign* token). A gate that opens above a threshold then makes false alarms at a rate that
#    falls exponentially with the width (`thm:gate-detection`).
# 3. *Knowing everything is not enough.* Let a router's weights be convex (not negative, with sum
#    one) and stay the same throughout a pass. Let all edits have strength 1. If the base knew old
#    facts for both hops, and the fact about the old bridge is not edited, the router's best two-hop
#    margin is $-0.146$. The margin is minus the fourth power of $0.618$ (`thm:routing-reach`).
# 4. *Overlapping inputs cannot be told apart reliably.* The inputs of $K$ equally likely adapters
#    are normally distributed with unit variance. The centres of the inputs are keys of length
#    $\ell$ with mutual cosine $\rho$. The best router is then right with probability $\mathrm
#    E\,\Phi(z+\ell\sqrt{1-\rho})^{K-1}$. Here $\Phi$ is the normal distribution function, and
#    $\mathrm E$ is the mean over a standard normal number $z$ (`thm:router-limit`).
# 5. *More samples make a threshold more reliable.* Set a gate's threshold at the largest of $N$
#    independent responses to foreign tokens. The probability that the gate's rate of false alarms
#    exceeds $\alpha$ is $(1-\alpha)^N$. This formula holds for every continuous distribution of the
#    responses (`thm:threshold-samples`).
# 6. *Mixing saves at most half of the error.* Let the adapters' answers be orthonormal. The best
#    router that mixes answers has at least half the squared error of the best router that must
#    choose one answer (`thm:soft-routing`).
# 7. *Information limits the size of a library.* Suppose that an input contains $I$ nats of
#    information about the adapter that it belongs to. Then no router is right with probability $P$
#    among more than $(2e^I)^{1/P}$ equally likely adapters (`thm:router-information`).
#
# The notebook runs in about 15 s on two cores. You need singular vectors and the result of notebook
# 02: the two-hop answer wins if $c_1(1+c_2)>1$ and $c_2>\frac12$.

# %%
import numpy as np
import sympy as sp
from ipywidgets import FloatSlider, IntSlider

from loratheory.adapters import arrow_scores, response_norms, subspace_scores
from loratheory.exercises import explore, judge
from loratheory.figures import draw
from loratheory.lowrank import orthonormal
from loratheory.theorems import theorem
from loratheory.theorems.composition import routing_reach
from loratheory.theorems.routing import arrow, gates, router_limit

# %% [markdown]
# ## Derive
# **Step 1: the blind spot.** An adapter edits two orthonormal keys with strengths $s_1>s_2$. Then
# $\Delta^\top\Delta=s_1^2\,k_1k_1^\top+s_2^2\,k_2k_2^\top$, and the stronger key is the adapter's
# top direction. The weaker key is at right angles to this direction, so the score of the weaker key
# is exactly *zero*:

# %%
turn, s1, s2 = sp.symbols("eta s_1 s_2", positive=True)
k1 = sp.Matrix([sp.cos(turn), sp.sin(turn)])
k2 = sp.Matrix([-sp.sin(turn), sp.cos(turn)])
gram = s1**2 * k1 * k1.T + s2**2 * k2 * k2.T
display(sp.simplify(gram * k1), sp.simplify(k1.dot(k2)))
assert sp.simplify(gram * k1 - s1**2 * k1) == sp.zeros(2, 1)
assert sp.simplify(k1.dot(k2)) == 0

# %% [markdown]
# Arrow sees one of the $F$ keys of each adapter. On the other keys all $K$ adapters get the score
# zero. This is claim 1. The response norm $\|\Delta k_2\|=s_2$ would have found the right adapter,
# at the cost of one more matrix product.
#
# **Step 2: how close a query must be.** Let a query lie between the prototype of the right adapter
# and another prototype. The angle between the two prototypes is $\theta$. The angle between the
# query and the right prototype is $\beta$. The right score leads the other score by a difference of
# two cosines. We write the difference as a product to see its sign. The sign is positive for
# $\beta<\theta/2$ and negative beyond.

# %%
beta, theta = sp.symbols("beta theta", real=True)
margin = sp.cos(beta) - sp.cos(theta - beta)
product = 2 * sp.sin(theta / 2) * sp.sin(theta / 2 - beta)
display(margin, product)
assert sp.simplify((margin - product).rewrite(sp.exp)) == 0

# %% [markdown]
# **Step 3: the best way to distribute one unit of weight.** A router gives the adapter of the first
# hop the weight $g$ and the adapter of the second hop $1-g$. The weights are the same throughout a
# pass. By notebook 02 the composed answer leads its two rivals by the margins $-(1-g)^2$ and
# $g-2g^2$. The first margin grows with $g$; the second falls for $g>\frac14$. At the best $g$ the
# two margins are equal. Here are this $g$ and this margin:

# %%
g = sp.symbols("g", positive=True)
old, half_way = g * (2 - g) - 1, g * (1 - 2 * g)
assert sp.expand(old + (1 - g) ** 2) == 0
[best] = [root for root in sp.solve(old - half_way, g) if 0 < root < 1]
display(sp.Tuple(best, sp.simplify(old.subs(g, best)).evalf(4)))

# %% [markdown]
# The best weight is the golden ratio less one, $g=0.618$, and the margin is $-0.618^4$. The margin
# is negative. So *no* router of this kind answers the two-hop question, whatever the router knows,
# unless the edits are stronger than 1.

# %%
display(best.evalf(4), (-(best**4)).evalf(4))
assert sp.simplify(best - 1 / sp.GoldenRatio) == 0
assert sp.simplify(old.subs(g, best) + sp.GoldenRatio**-4) == 0

# %% [markdown]
# **Step 4: inputs that overlap.** Suppose a router knows everything about two adapters. Look at the
# line through their keys. On this line the inputs of the first adapter are normally distributed
# with mean $+a$. The inputs of the second adapter are normally distributed with mean $-a$. Both
# variances are one. At an input $x$ it is best to choose the adapter with the larger density. By
# how much do the logarithms of the two densities differ?

# %%
x, a = sp.symbols("x a", positive=True)
log_ratio = ((x + a) ** 2 - (x - a) ** 2) / 2
display(sp.expand(log_ratio))
assert sp.expand(log_ratio - 2 * a * x) == 0

# %% [markdown]
# So the router decides by the sign of $x$: it chooses the nearer key. The router is right with
# probability $\Phi(a)$. How far apart are two keys of length $\ell$ at cosine $\rho$? The cell
# computes the squared distance:

# %%
ell, rho = sp.symbols("ell rho", positive=True)
k1, k2 = sp.Matrix([ell, 0]), ell * sp.Matrix([rho, sp.sqrt(1 - rho**2)])
display(sp.factor(sp.expand((k1 - k2).dot(k1 - k2))))
assert sp.simplify((k1 - k2).dot(k1 - k2) - 2 * ell**2 * (1 - rho)) == 0

# %% [markdown]
# Half the distance is $a=\ell\sqrt{(1-\rho)/2}$. The part that both keys share does not help to
# tell the adapters apart. With $K$ adapters the right score must be larger than $K-1$ other scores.
# This condition explains the exponent in claim 4.
#
# **Step 5: how many samples a threshold takes.** Call $q$ the level that a foreign response exceeds
# with probability $\alpha$. A threshold has a rate of false alarms above $\alpha$ exactly if the
# threshold lies below $q$. Set the threshold at the $j$-th largest of $N$ samples. This threshold
# lies below $q$ exactly if fewer than $j$ samples exceed $q$. So only the number of samples above
# $q$ matters. This number has a binomial distribution. For $N=4$ and $j=1$ (the largest sample), a
# threshold lies below $q$ with the probability

# %%
alpha = sp.symbols("alpha", positive=True)
fewer = lambda j: sum(sp.binomial(4, i) * alpha**i * (1 - alpha) ** (4 - i) for i in range(j))
display(fewer(1))
assert sp.expand(fewer(5) - 1) == 0
assert sp.expand(fewer(1) - (1 - alpha) ** 4) == 0

# %% [markdown]
# **Step 6: to mix or to choose.** There are two adapters. The first answers $(1,0)$, the second
# $(0,1)$. An input belongs to the first adapter with probability $p\ge\frac12$. A router that mixes
# the two answers returns $(g_1,g_2)$. We subtract from the router's mean squared error the squared
# distance between $(g_1,g_2)$ and $(p,1-p)$. What remains? And what is the error of a router that
# always chooses the first adapter?

# %%
p, g1, g2 = sp.symbols("p g_1 g_2", real=True)
error = p * ((g1 - 1) ** 2 + g2**2) + (1 - p) * (g1**2 + (g2 - 1) ** 2)
left = sp.factor(sp.expand(error - (g1 - p) ** 2 - (g2 - 1 + p) ** 2))
chosen = sp.factor(error.subs({g1: 1, g2: 0}))
display(left, chosen)
assert sp.expand(left - 2 * p * (1 - p)) == 0
assert sp.expand(chosen - 2 * (1 - p)) == 0

# %% [markdown]
# The remainder does not depend on the weights. So the mixture $(p,1-p)$ is best, with the error
# $2p(1-p)$. The error of a router that always chooses the first adapter is $2(1-p)$. Mixing saves
# half of the error at $p=\frac12$ and nothing at $p=1$.
#
# **Step 7: how many adapters can be told apart** (Fano, 1952). Suppose that each input carries the
# name of an adapter. The name is right with probability $P$; if it is wrong, the $K-1$ other names
# are equally likely. How many nats of information about the right adapter does the name contain?

# %%
K, P = sp.symbols("K P", positive=True)
said = P * sp.log(K * P) + (1 - P) * sp.log(K * (1 - P) / (K - 1))
unsure = -P * sp.log(P) - (1 - P) * sp.log(1 - P)
fano = sp.log(K) - unsure - (1 - P) * sp.log(K - 1)
display(said)
assert sp.simplify(sp.expand_log(said - fano, force=True)) == 0

# %% [markdown]
# The information is $\ln K$ minus two uncertainties. The first uncertainty, whether the name is
# right, is at most $\ln2$. The second uncertainty, which other adapter is right if the name is
# wrong, is $(1-P)\ln(K-1)$. Inputs with less information do not allow a router to be right with
# probability $P$. Since $\ln(K-1)<\ln K$, it follows that $I\ge P\ln K-\ln2$, and hence
# $K\le(2e^I)^{1/P}$. The code of `thm:router-information` contains the proof.

# %% [markdown]
# ## Construct
# We build four adapters with eight facts each. The strengths of the facts lie between ½ and 1.
# Every edited key gets a score in three ways: by Arrow, by the share of the key in the adapter's
# row space (`subspace`), and by response norm. How often does the right adapter get the highest
# score?

# %%
rng = np.random.default_rng(0)
frame = orthonormal(rng, 64, 32)
strengths = [np.append(1.0, rng.uniform(0.5, 0.9, 7)) for _ in range(4)]
case = arrow.Case(tuple(np.split(frame, 4, axis=1)), tuple(strengths))
library = arrow.attain(case)
ways = {"Arrow": arrow_scores, "subspace": subspace_scores, "response": response_norms}
for name, scores in ways.items():
    tables = [scores(list(library))(keys.T) for keys in case.keys]
    right = [arrow.chance(table, i) for i, table in enumerate(tables)]
    print(f"{name:8} {np.mean(right):.4f}")
print(f"formula  {arrow.bound(case):.4f}")

# %% [markdown]
# Next we compute the best weights for a base with old facts. There are three kinds of router. The
# router `one a pass` activates one adapter in the whole pass. The router `shared a pass`
# distributes one unit of weight, and keeps the weights for the whole pass. The router
# `shared a read` may distribute the unit differently at each of the two reads, so this router has
# four weights.

# %%
drawn = (routing_reach.draw(np.random.default_rng(seed), 8).prompt for seed in range(100))
prompt = next(each for each in drawn if each.pattern == "overwrite")
for kind in ("one a pass", "shared a pass", "shared a read"):
    question = routing_reach.Case(prompt, kind)
    weights = routing_reach.attain(question)
    reached = routing_reach.measure(question, weights)
    print(f"{kind:14} {weights.round(3).tolist()}: the composed answer leads by {reached:+.3f}")

# %% [markdown]
# How good is the best router as the library grows? Each key has a length of four standard
# deviations. The keys are either at right angles or have the cosine 0.8, as in one subject area.
# The second table is about thresholds. We want a rate of false alarms below a limit. How many
# samples does a threshold need to exceed this limit in at most 5% of cases?

# %%
for adapters in (2, 10, 100, 1000):
    apart, alike = (router_limit.accuracy(adapters, 4.0, cosine) for cosine in (0.0, 0.8))
    print(f"{adapters:4} adapters: {apart:.3f} at right angles, {alike:.3f} at cosine 0.8")
for rate in (0.1, 0.01, 0.001):
    print(f"rate {rate}: {gates.samples_needed(1, rate, 0.05):,} samples")

# %% [markdown]
# How tight is claim 7? Let the inputs be normally distributed around keys of length $\ell$. An
# input then contains at most $\ell^2/2$ nats about its adapter. The reason is that no distribution
# with the same covariance has a larger entropy than the normal distribution. For $\ell=4$ and
# $P=0.9$, claim 7 then gives the upper limit below. In the first table above, the best router for
# keys at right angles reaches this probability with only a little more than a hundred adapters.

# %%
print(f"{(2 * np.exp(4.0**2 / 2)) ** (1 / 0.9):,.0f} adapters")

# %% [markdown]
# ## Verify
# We check all theorems on random cases and on rivals that try to beat the bound. Some theorems are
# about a probability that we estimate from a sample. For these theorems, `check` allows for the
# sampling error.

# %%
labels = "arrow-blind-spot", "arrow-margin", "routing-reach", "gate-detection", "router-limit"
labels += "threshold-samples", "soft-routing", "router-information", "arrow-law"
claims = [*map(theorem, labels)]
for claim in claims:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 8)
        assert claim.check(drawn, claim.rival(drawn, rng)).holds
        if claim.attain:
            assert claim.check(drawn, claim.attain(drawn)).tight

# %% [markdown]
# The adversary is a random search that does not use the formula of the bound. The search looks for
# the weights with the largest margin. The margins that it finds never exceed the bound.

# %%
for seed in range(12):
    rng = np.random.default_rng(seed)
    drawn = routing_reach.draw(rng, 8)
    found = routing_reach.THEOREM.check(drawn, routing_reach.adversary(drawn, rng))
    assert found.holds

# %% [markdown]
# **What breaks it.** Each control breaks one hypothesis. For example, weights add up to more than
# one or change between the reads. In other controls all strengths are equal, or keys of one adapter
# overlap. Without its hypothesis each claim fails.

# %%
for claim in claims:
    for control in claim.controls:
        broken = claim.judge(*control.example())
        print(f"{control.name:42} bound {broken.bound:+.3f}, found {broken.value:+.3f}")
        assert not broken.holds

# %% [markdown]
# ## Explore
# **Noise.** Real tokens are close to the edited keys, but not equal to them. We add noise to the
# keys, and compare three routers with the formula for Arrow.


# %%
def routed(facts: int = 4, experts: int = 4):
    """Accuracy of three scores against the noise on the query."""
    rng, noises = np.random.default_rng(0), np.linspace(0.02, 0.5, 9)
    frame, owner = orthonormal(rng, 64, facts * experts), np.repeat(np.arange(experts), 60 * facts)
    keys, strengths = np.split(frame, experts, axis=1), (np.linspace(1.0, 0.6, facts),) * experts
    library = list(arrow.attain(arrow.Case(tuple(keys), strengths)))
    tokens = np.repeat(frame.T, 60, axis=0)
    noisy = [tokens + nu * rng.standard_normal(tokens.shape) for nu in noises]
    curves = {"theorem": (noises, [arrow.accuracy(facts, experts, nu) for nu in noises])}
    for name, scores in ways.items():
        curves[name] = noises, [np.mean(scores(library)(x).argmax(axis=1) == owner) for x in noisy]
    return draw(curves, "noise in every entry", "right adapter chosen", points=ways, share=True)


routed()

# %% [markdown]
# Arrow's points lie on the line that the theorem predicts. If each adapter holds one fact, Arrow
# has no blind spot. If each adapter holds many facts, Arrow is little better than chance. Noise
# also makes routing by response norm worse, but without noise this routing is always right.

# %%
number = IntSlider(4, min=1, max=8, description="facts")
explore(routed, facts=number, experts=IntSlider(4, min=2, max=8, description="adapters"))

# %% [markdown]
# **Thresholds.** A gate activates an adapter at full strength where the square of the adapter's
# response norm exceeds a threshold. The gate does not look at the other adapters. How often does a
# foreign token open the gate?


# %%
def alarms(facts: int = 8, threshold: float = 0.5):
    """False alarms against the width, by the law and in a sample at each width."""
    rng, widths = np.random.default_rng(0), [16, 24, 32, 48, 64, 96]
    cases = [gates.Case(facts, width, threshold, 2000) for width in widths]
    found = [gates.measure(c, gates.rival(c, rng)) for c in cases]
    law = [gates.false_alarm(facts, width, threshold) for width in widths]
    curves = {"law": (widths, law), "2,000 queries": (widths, found)}
    most = gates.largest_library(facts, widths[-1], threshold, hops=2, failure=0.1)
    figure = draw(curves, "width", "false alarms", points=["2,000 queries"], share=True)
    figure.axes[0].set_title(f"width {widths[-1]} allows {most:,} adapters", loc="left")
    return figure


alarms()

# %% [markdown]
# At an adapter's own key, the adapter's response norm is 1. At the largest width the false alarms
# are too rare to read from the curve. The figure's title therefore gives a library size. This size
# is the largest number of adapters for which at most 10% of two-hop questions meet a false alarm.
# Which threshold allows a thousand adapters? What happens at the same threshold if each adapter
# holds more facts?

# %%
slider = FloatSlider(0.5, min=0.1, max=0.9, step=0.1, description="threshold (squared)")
explore(alarms, facts=IntSlider(8, min=2, max=12, description="facts"), threshold=slider)

# %% [markdown]
# ## What this does not say
# - **Orthonormal keys and Gaussian tokens** are a model. Trained adapters share directions. So a
#   gate must compare an adapter's response norm with its response norms at ordinary tokens, as in
#   notebook 08.
# - **Arrow does better than its formula** in the trained transformers of an earlier experiment
#   (`routers`, commit 80181100), because the keys of these transformers are not orthonormal.
# - **The best router is an upper limit**, not a method that you can use: the best router knows
#   which question is asked.
# - **Choosing is not enough.** A router that chooses the two right adapters, and gives each adapter
#   half of the weight, cannot answer the two-hop question with edits of strength 1. The plain sum
#   gives every adapter its full weight, but does not choose. A large library needs both choice and
#   full weight.
# - **We assumed two reads.** With one read no router answers two-hop questions better than its
#   number of gate patterns allows (notebook 07).

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell prints whether your
# answer is right. If your answer is wrong, the cell prints why. A number is right if it is within
# 1% of the answer.
#
# **1.** *(easy, 5 minutes)* Ten adapters edit five orthonormal keys each. How often does Arrow
# choose the right adapter for a random edited key?

# %%
mine = None
judge("06.1", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Claim 1 distinguishes two cases: the key that Arrow sees, and the other $F-1$ keys of each
# adapter. How probable is each case for a random edited key?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# On the key that it sees, Arrow is always right. On the other keys all $K$ adapters have the score
# zero, so Arrow guesses among $K$ adapters.
#
# </details>
#
# <details><summary>Solution</summary>
#
# $\frac15+\frac45\cdot\frac1{10}=0.28$.
#
# ```python
# mine = 1 / 5 + 4 / 5 / 10
# ```
#
# </details>

# %% [markdown]
# **2.** *(easy, 5 minutes)* Two prototypes are 50 degrees apart. How far from the prototype of the
# right adapter, in degrees, may a query be so that Arrow always chooses the right adapter?

# %%
mine = None
judge("06.2", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The worst query lies in the plane of the two prototypes, between them. Step 2 writes the lead of
# the right score there as a product.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The lead is positive as long as $\sin(\theta/2-\beta)>0$. Up to which $\beta$ does this hold?
#
# </details>
#
# <details><summary>Solution</summary>
#
# A query halfway between the two prototypes is equally close to both.
#
# ```python
# mine = 25
# ```
#
# </details>

# %% [markdown]
# **3.** *(medium, 5 minutes)* A router distributes one unit of weight over two adapters. The router
# may change the weights between the two reads. What is the best margin of the composed answer, if
# the base knew old facts for both hops?

# %%
mine = None
judge("06.3", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# In step 3 the weights are the same at both reads. Here the router has one unit of weight at each
# read: which adapter is needed at which read?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# In the formula of notebook 02, $c_1$ is the first adapter's weight at the first read, and $c_2$ is
# the second adapter's weight at the second read. Now both may be as large as 1.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Give all weight to the first adapter at the first read, and to the second adapter at the second.
# The output is the new answer alone, with the score 1.
#
# ```python
# mine = 1.0
# ```
#
# </details>

# %% [markdown]
# **4.** *(medium, 15 minutes, code)* Write a router. The router gets a list of adapters
# (`LowRank`s) and a matrix with one token in each row. The router returns a table of scores with a
# row for each token and a column for each adapter. On every edited key the right adapter must have
# the highest score, however an update is split into the factors `up` and `down`.


# %%
def mine(updates, tokens):
    return None


judge("06.4", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Arrow does not see a key at right angles to the top direction (step 1). Which score in claim 2 has
# no blind spot?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Apply the whole update to each token and take the norm of the result. What `down` alone returns
# depends on the split into factors, but the product of `up` and `down` does not.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Use the response norm. The response norm does not depend on how the update is split into factors.
# At the keys of other adapters, the response norm is zero. The norm of `down` alone is not enough:
# `down` may respond strongly to a key, and `up` may then remove that response.
#
# ```python
# def mine(updates, tokens):
#     return np.stack([np.linalg.norm(low @ tokens.T, axis=0) for low in updates], axis=1)
# ```
#
# </details>

# %% [markdown]
# ## Further reading
#
# - Ostapenko et al., [*Towards modular LLMs by building and reusing a library of
#   LoRAs*](https://arxiv.org/abs/2405.11157). This paper introduces Arrow.
# - Fleshman and Van Durme, [*SpectR: dynamically composing LM experts with spectral
#   routing*](https://arxiv.org/abs/2504.03454). Routing by the response norm. The same authors'
#   [SEQR](https://arxiv.org/abs/2509.18093) makes this routing cheap.
# - Wang et al., [*WISE: rethinking the knowledge memory for lifelong model
#   editing*](https://arxiv.org/abs/2405.14768). A side memory that is used if the response exceeds
#   a threshold.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 90 minutes: 40 for the derivation, 25 for the two explorations, 25 for exercises.
#
# **Ask.** Before step 1: what does the top singular vector of an adapter with ten facts mean?
# Before step 3: suppose the router knows the question, the adapters and the answer; can it then
# answer the two-hop question? At the thresholds: why are gates better in a wider model?
#
# **Common wrong answers.** "Arrow fails because scores are close": the scores are exactly zero. "A
# better score repairs routing": a better score does not help a router that distributes one unit of
# weight. "At low temperature a softmax chooses one adapter, so two hops work": with one adapter in
# a pass, at most one hop is right.
#
# </details>
