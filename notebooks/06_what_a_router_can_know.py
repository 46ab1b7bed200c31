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
# You have a library of adapters and no data, and a token comes in. A router must say which adapters
# act, and how strongly. It knows the token's activation (the vector that enters the weight matrix)
# and the adapters' weights. Is that enough? The router Arrow (arXiv 2405.11157) compares the token
# with each adapter's *first right singular vector*, its top direction. What does it miss, and how
# good could the best router be?
#
# **Claims.**
#
# 1. Let each of $K$ adapters edit $F$ keys to orthonormal outputs, one key a little more strongly
#    than the others, and let all $KF$ keys be orthonormal. Arrow sees the strongest key of each
#    adapter and has to guess on the others. So for an edited key it picks the right adapter with
#    probability $\frac1F+(1-\frac1F)\frac1K$ (`thm:arrow-blind-spot`). If each adapter has one key
#    (its *prototype*), Arrow is right for queries up to half the smallest angle between two
#    prototypes away from their own (`thm:arrow-margin`). If keys are independent random directions,
#    Arrow finds one of relative strength $s$ between two adapters with a probability that tends to
#    $\frac2\pi\arctan\frac1{1-s^2}$ as the width grows (`thm:arrow-law`).
# 2. The *response norm*, the norm of what an adapter adds at a token, is largest for the right
#    adapter on every such key. If keys and tokens are normal vectors, its distribution at a foreign
#    token is known, and a gate that opens above a threshold makes false alarms at a rate that falls
#    exponentially with the width (`thm:gate-detection`).
# 3. Knowing *everything* is not enough for a router whose weights are convex (not negative, with
#    sum one) and stay the same throughout a pass: if the base knew old facts for both hops, its
#    best two-hop margin is $-0.146$, which is minus the fourth power of $0.618$
#    (`thm:routing-reach`).
# 4. Where the inputs of adapters overlap, no router can tell them apart reliably. If the inputs of
#    $K$ equally likely adapters are normal with unit variance about keys of length $\ell$ at mutual
#    cosine $\rho$, the best router is right with probability $\mathrm
#    E\,\Phi(z+\ell\sqrt{1-\rho})^{K-1}$, where $\Phi$ is the normal distribution function and $z$ a
#    standard normal number (`thm:router-limit`).
# 5. Set a gate's threshold at the largest of $N$ independent responses to foreign tokens. The
#    probability that its rate of false alarms is above $\alpha$ is $(1-\alpha)^N$, whatever the
#    continuous distribution of the responses (`thm:threshold-samples`).
# 6. If the adapters' answers are orthonormal, the best router that mixes them is left with at least
#    half the squared error of the best one that must choose (`thm:soft-routing`).
# 7. If inputs say $I$ nats about their adapter, no router is right with probability $P$ among more
#    than $(2e^I)^{1/P}$ equally likely adapters (`thm:router-information`).
#
# After this notebook you can say which keys a router cannot see, compute how often a gate opens by
# mistake, and name the limits that hold even for a router that knows everything.
#
# Runs in about 15 s on two cores. You need singular vectors and the result of notebook 02: the
# two-hop answer wins if $c_1(1+c_2)>1$ and $c_2>\frac12$.

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
# top direction. The other key is at right angles to it, so its score is exactly *zero*:

# %%
turn, s1, s2 = sp.symbols("eta s_1 s_2", positive=True)
k1 = sp.Matrix([sp.cos(turn), sp.sin(turn)])
k2 = sp.Matrix([-sp.sin(turn), sp.cos(turn)])
gram = s1**2 * k1 * k1.T + s2**2 * k2 * k2.T
display(sp.simplify(gram * k1), sp.simplify(k1.dot(k2)))
assert sp.simplify(gram * k1 - s1**2 * k1) == sp.zeros(2, 1)
assert sp.simplify(k1.dot(k2)) == 0

# %% [markdown]
# Of $F$ keys Arrow sees one, and on the others all $K$ adapters have the score zero: this is claim
# 1. The response norm $\|\Delta k_2\|=s_2$ would have told the right one, at the cost of one more
# product.
#
# **Step 2: how near is near.** Let a query lie between two prototypes that are $\theta$ apart, at
# the angle $\beta$ from its own. The right score leads by a difference of two cosines. Write it as
# a product to see its sign: positive up to $\beta=\theta/2$ and not beyond.

# %%
beta, theta = sp.symbols("beta theta", real=True)
margin = sp.cos(beta) - sp.cos(theta - beta)
product = 2 * sp.sin(theta / 2) * sp.sin(theta / 2 - beta)
display(margin, product)
assert sp.simplify((margin - product).rewrite(sp.exp)) == 0

# %% [markdown]
# **Step 3: the best router of one unit.** A router shares out one unit of weight: it gives the
# first adapter of a two-hop question the weight $g$ and the second $1-g$, the same throughout a
# pass. By notebook 02 the composed answer leads its two rivals by $-(1-g)^2$ and by $g-2g^2$. The
# first grows with $g$; the second falls for $g>\frac14$. At the best $g$ the two are equal. Here
# are this $g$ and the margin at it:

# %%
g = sp.symbols("g", positive=True)
old, half_way = g * (2 - g) - 1, g * (1 - 2 * g)
assert sp.expand(old + (1 - g) ** 2) == 0
[best] = [root for root in sp.solve(old - half_way, g) if 0 < root < 1]
display(sp.Tuple(best, sp.simplify(old.subs(g, best)).evalf(4)))

# %% [markdown]
# The golden ratio once more: $g=0.618$ is the golden ratio less one, and the margin is
# $-0.618^4$. It is negative, so *no* router of this kind composes, whatever it knows.

# %%
display(best.evalf(4), (-(best**4)).evalf(4))
assert sp.simplify(best - 1 / sp.GoldenRatio) == 0
assert sp.simplify(old.subs(g, best) + sp.GoldenRatio**-4) == 0

# %% [markdown]
# **Step 4: inputs that overlap.** Suppose a router knows everything about two adapters. On the line
# through their keys the inputs of one are normal about $+a$, those of the other about $-a$, both
# with unit variance. The best it can do at an input $x$ is to choose the larger density. By how
# much do the logarithms of the densities differ?

# %%
x, a = sp.symbols("x a", positive=True)
log_ratio = ((x + a) ** 2 - (x - a) ** 2) / 2
display(sp.expand(log_ratio))
assert sp.expand(log_ratio - 2 * a * x) == 0

# %% [markdown]
# So it decides by the sign of $x$, that is, for the nearer key, and it is right with probability
# $\Phi(a)$. How far apart are two keys of length $\ell$ at cosine $\rho$? The squared distance is

# %%
ell, rho = sp.symbols("ell rho", positive=True)
k1, k2 = sp.Matrix([ell, 0]), ell * sp.Matrix([rho, sp.sqrt(1 - rho**2)])
display(sp.factor(sp.expand((k1 - k2).dot(k1 - k2))))
assert sp.simplify((k1 - k2).dot(k1 - k2) - 2 * ell**2 * (1 - rho)) == 0

# %% [markdown]
# so half the distance is $a=\ell\sqrt{(1-\rho)/2}$: what the keys have in common is of no use. With
# $K$ adapters the right score must be larger than $K-1$ others, hence the power in claim 4.
#
# **Step 5: how many samples a threshold takes.** Call $q$ the level that a foreign response exceeds
# with probability $\alpha$. A threshold has a rate of false alarms above $\alpha$ exactly if it
# lies below $q$. Put it at the $j$-th largest of $N$ samples: then it lies below $q$ exactly if
# fewer than $j$ samples exceed $q$. So only a count matters, and its distribution is binomial. For
# four samples and the largest of them, $j=1$, the probability is

# %%
alpha = sp.symbols("alpha", positive=True)
fewer = lambda j: sum(sp.binomial(4, i) * alpha**i * (1 - alpha) ** (4 - i) for i in range(j))
display(fewer(1))
assert sp.expand(fewer(5) - 1) == 0
assert sp.expand(fewer(1) - (1 - alpha) ** 4) == 0

# %% [markdown]
# **Step 6: to mix or to choose.** Of two adapters one answers $(1,0)$, the other $(0,1)$, and an
# input belongs to the first with probability $p\ge\frac12$. A router that mixes them answers
# $(g_1,g_2)$. What is its mean squared error, less the squared distance of $(g_1,g_2)$ to
# $(p,1-p)$? And what is the error of a router that always chooses the first?

# %%
p, g1, g2 = sp.symbols("p g_1 g_2", real=True)
error = p * ((g1 - 1) ** 2 + g2**2) + (1 - p) * (g1**2 + (g2 - 1) ** 2)
left = sp.factor(sp.expand(error - (g1 - p) ** 2 - (g2 - 1 + p) ** 2))
chosen = sp.factor(error.subs({g1: 1, g2: 0}))
display(left, chosen)
assert sp.expand(left - 2 * p * (1 - p)) == 0
assert sp.expand(chosen - 2 * (1 - p)) == 0

# %% [markdown]
# So the mixture $(p,1-p)$ is best and leaves $2p(1-p)$, where choosing leaves $2(1-p)$. Mixing
# saves half of the error at $p=\frac12$ and nothing at $p=1$.
#
# **Step 7: how many can be told apart** (Fano, 1952). Let inputs name their adapter correctly with
# probability $P$, and otherwise each of the $K-1$ others equally often. How much information is
# that, in nats?

# %%
K, P = sp.symbols("K P", positive=True)
said = P * sp.log(K * P) + (1 - P) * sp.log(K * (1 - P) / (K - 1))
unsure = -P * sp.log(P) - (1 - P) * sp.log(1 - P)
fano = sp.log(K) - unsure - (1 - P) * sp.log(K - 1)
display(said)
assert sp.simplify(sp.expand_log(said - fano, force=True)) == 0

# %% [markdown]
# It is $\ln K$, less what is unknown about being right or wrong (at most $\ln2$), less which of
# $K-1$ others it is if wrong. No inputs let a router be right so often with less information; the
# module has the proof. So $I\ge P\ln K-\ln2$, and hence $K\le(2e^I)^{1/P}$.

# %% [markdown]
# ## Construct
# Four adapters with eight facts each, with strengths between one half and one. Score every edited
# key in three ways: by Arrow, by the share of the key that lies in the adapter's row space
# (`subspace`), and by response norm. How often is the right adapter first?

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
# Next, the best weights for a base with old facts, for three kinds of router: only one adapter acts
# in the whole pass, one unit is shared out for the whole pass, or one unit is shared out anew at
# each of the two reads (then there are four weights).

# %%
drawn = (routing_reach.draw(np.random.default_rng(seed), 8).prompt for seed in range(100))
prompt = next(each for each in drawn if each.pattern == "overwrite")
for kind in ("one a pass", "shared a pass", "shared a read"):
    question = routing_reach.Case(prompt, kind)
    weights = routing_reach.attain(question)
    reached = routing_reach.measure(question, weights)
    print(f"{kind:14} {weights.round(3).tolist()}: the composed answer leads by {reached:+.3f}")

# %% [markdown]
# How good is the best router as the library grows? Keys are four standard deviations long, either
# at right angles or with the cosine .8, as in one subject area. And how many samples does a
# threshold take, if its rate of false alarms may be too high one time in twenty?

# %%
for adapters in (2, 10, 100, 1000):
    apart, alike = (router_limit.accuracy(adapters, 4.0, cosine) for cosine in (0.0, 0.8))
    print(f"{adapters:4} adapters: {apart:.3f} at right angles, {alike:.3f} at cosine .8")
for rate in (0.1, 0.01, 0.001):
    print(f"rate {rate}: {gates.samples_needed(1, rate, 0.05):,} samples")

# %% [markdown]
# Normal inputs about keys of length $\ell$ say at most $\ell^2/2$ nats: of all distributions with
# their covariance the normal one has the largest entropy. So claim 7 with $P=.9$ gives a ceiling
# for all keys four standard deviations long. The keys above reach .9 for hardly more than a hundred
# adapters:

# %%
print(f"{(2 * np.exp(4.0**2 / 2)) ** (1 / 0.9):,.0f} adapters")

# %% [markdown]
# ## Verify
# All theorems on random cases, with their rivals. Where a sample is counted, `check` allows for the
# error of counting.

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
# The adversary, a random search that knows no formula, tries to compose by sharing out one unit.

# %%
for seed in range(12):
    rng = np.random.default_rng(seed)
    drawn = routing_reach.draw(rng, 8)
    found = routing_reach.THEOREM.check(drawn, routing_reach.adversary(drawn, rng))
    assert found.holds

# %% [markdown]
# **What breaks it.** Each control breaks one hypothesis. For example, weights may add up to more
# than one, or change between the reads; all strengths may be equal; keys of one adapter may
# overlap. Each claim fails together with its hypothesis.

# %%
for claim in claims:
    for control in claim.controls:
        broken = claim.judge(*control.example())
        print(f"{control.name:42} bound {broken.bound:+.3f}, found {broken.value:+.3f}")
        assert not broken.holds

# %% [markdown]
# ## Explore
# **Noise.** Real tokens are not the edited keys but something near them. Add noise, and compare
# three routers with the formula for Arrow.


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
    return draw(curves, "noise in every entry", "right adapter", points=ways, share=True)


routed()

# %% [markdown]
# Arrow's points lie on the line of the theorem. If each adapter holds one fact, Arrow has no blind
# spot; if each holds many, it is little better than chance. Noise makes routing by response norm
# worse, too, but without noise it is always right.

# %%
number = IntSlider(4, min=1, max=8, description="facts")
explore(routed, facts=number, experts=IntSlider(4, min=2, max=8, description="adapters"))

# %% [markdown]
# **Thresholds.** A gate turns an adapter on in full where its response norm exceeds a threshold,
# whatever the other adapters do. How often does a foreign token open it?


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
    figure.axes[0].set_title(f"at width {widths[-1]}: {most:,} adapters", loc="left")
    return figure


alarms()

# %% [markdown]
# At its own key an adapter's response norm is 1. At the largest width the curve is too low to read.
# So the title says how many adapters a library may hold if at most one two-hop question in ten is
# to meet a false alarm. Where must the threshold lie for a thousand adapters? And what happens at
# the same threshold if each adapter holds more facts?

# %%
slider = FloatSlider(0.5, min=0.1, max=0.9, step=0.1, description="threshold")
explore(alarms, facts=IntSlider(8, min=2, max=12, description="facts"), threshold=slider)

# %% [markdown]
# ## What this does not say
# - **Orthonormal keys and Gaussian tokens** are a model. Trained adapters share directions, and
#   their response norms must be compared with those on ordinary tokens (notebook 08 does it).
# - **Arrow does better than its formula** in the trained transformers of the experiment `routers`:
#   keys there are not orthonormal.
# - **The best router is a ceiling**, not a rule of reuse: it knows which question is asked.
# - **Choosing is not enough.** A router that chooses the right adapters and gives each of them half
#   the weight cannot compose. The plain sum gives full weight, but does not choose. A large library
#   needs both.
# - **Two reads are assumed.** With one read no router composes (notebook 07).

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. It says whether you are right,
# and if not, why. Numbers count as right within 1 %.
#
# **1.** *(easy, 5 minutes)* Ten adapters edit five orthonormal keys each. How often does Arrow
# choose the right one on a random edited key?

# %%
mine = None
judge("06.1", mine)

# %% [markdown]
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
# **2.** *(easy, 5 minutes)* Two prototypes are 50 degrees apart. Up to which angle (degrees) from
# its own prototype is a query always routed right, whatever its direction?

# %%
mine = None
judge("06.2", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# At half the angle a query in the plane of both is as near to the other prototype as to its own.
#
# ```python
# mine = 25
# ```
#
# </details>

# %% [markdown]
# **3.** *(medium, 5 minutes)* A router shares out one unit of weight anew at each of the two reads.
# What is the best margin of the composed answer, if the base knew old facts for both hops?

# %%
mine = None
judge("06.3", mine)

# %% [markdown]
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
# **4.** *(medium, 15 minutes, code)* Write a router. It gets a list of adapters (`LowRank`s) and
# tokens as rows, and returns a table of scores, tokens × adapters. On every edited key the right
# adapter must come first, in whichever way updates are split into factors `up` and `down`.


# %%
def mine(updates, tokens):
    return None


judge("06.4", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# What an adapter would write does not depend on how it is split into factors, and all keys of other
# adapters are at right angles to its own. `down` alone is not enough: it may answer a key strongly,
# and `up` drop that answer.
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
#   LoRAs*](https://arxiv.org/abs/2405.11157). Arrow.
# - Fleshman and Van Durme, [*SpectR: dynamically composing LM experts with spectral
#   routing*](https://arxiv.org/abs/2504.03454). Routing by the response norm; the same authors'
#   [SEQR](https://arxiv.org/abs/2509.18093) makes it cheap.
# - Wang et al., [*WISE: rethinking the knowledge memory for lifelong model
#   editing*](https://arxiv.org/abs/2405.14768). A threshold on the response, which opens a side
#   memory.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 90 minutes: 40 for the derivation, 25 for the two explorations, 25 for exercises.
#
# **Ask.** Before step 1: what does the top singular vector of an adapter with ten facts mean?
# Before step 3: suppose the router knows the question, the adapters and the answer; does it then
# compose? At the thresholds: why are gates better in a wider model?
#
# **Common wrong answers.** "Arrow fails since scores are close": they are exactly zero. "A better
# score repairs routing": not while one unit is shared out. "At low temperature a softmax chooses
# one adapter, so it composes": one adapter in a pass gets at most one hop right.
#
# </details>
