# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: -all
#     notebook_metadata_filter: -all,kernelspec,jupytext
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Can adapters be trained to compose with unseen partners?
#
# ## Question
# Two *adapter authors* who never meet train one adapter each:
#
# > Zorvik was born in Peru *(hop-1 adapter)*. The mascot of Peru is the otter *(hop-2 adapter)*.
#
# The sum of the two adapters gives the right answer to both single facts. It seldom answers the
# *two-hop question*: what is the mascot of the country where Zorvik was born? The *partner* of an
# adapter is the adapter for the other hop. Can an author train an adapter that composes with a
# partner that does not exist yet?
#
# **Main idea.** Whether two adapters compose is decided when they are trained. The remedy is
# *stand-in training*. A *stand-in partner*, in short *stand-in*, is a small frozen adapter with
# made-up facts. It plays the part of the future partner: it is active while the adapter is trained
# on two-hop examples. With *fresh stand-ins*, each training step has a new stand-in, whose facts
# are drawn at random.
#
# **Mechanism.** The *placement* of a fact is the set of layers that store it. Single-hop training
# leaves this placement open (`thm:free-placement`). The placement then depends on the learning
# rates and on the lengths of the *keys*, the vectors by which layers recognise a subject
# (`thm:least-norm-placement`). A part of the fact ends up in early layers, where the *bridge*, here
# Peru, is not yet known. Only later layers can answer two-hop examples, so training on these
# examples moves the fact to later layers.
#
# *Disagreeing* stand-ins differ on each person's or country's answer. An adapter that ignores its
# partner cannot memorise them (`thm:stand-in-ceiling`). In the theory, the adapter then composes
# with many unknown partners. The conditions are that the right answer is linear in the state
# (prompt plus bridge), and that the partner's states are linear combinations of the states that the
# stand-ins produce (`thm:bridge-transfer`).
#
# **Evidence.** *Standard training* uses neither stand-ins nor two-hop examples. In a small language
# model, the sum of two adapters answers the following share of the two-hop questions:
#
# - 0% to 28% after standard training of both adapters, in five pairs of relations;
# - 84% to 98% after training with fresh stand-ins, in the same five pairs;
# - 37% after standard training and 93% with *two trained stand-ins* that take turns, for people,
#   countries and mascots in ten other fact sets.
#
# A *fact set* is one random choice of people, countries and animals. An answer is right if it leads
# among all tokens (top-1 accuracy). Always giving the same answer would score 5%.
#
# **A common misconception.** "Two adapters that know both facts only need a better merge." Or:
# "More single-hop training will make the two adapters compose." Every placement of a fact has the
# same single-hop loss, so more single-hop examples do not help. Other combination methods for
# adapters with standard training helped less than stand-in training.
#
# **After this notebook** you can say why single-hop training leaves the placement of a fact open.
# You can choose stand-ins that determine the placement. You can test an adapter with a partner that
# was active in no training.
#
# The notebook runs in about 10 s on two cores. The accuracies of the language model were measured
# in advance. You need one idea of notebook 07: a two-hop answer takes two reads, and a bridge
# between the reads.

# %%
import numpy as np
import pandas as pd
import sympy as sp
from IPython.display import SVG
from ipywidgets import FloatSlider, IntSlider

from loratheory.exercises import explore, judge
from loratheory.theorems import theorem
from loratheory.theorems.composition import placement
from loratheory.theorems.composition import stand_in_ceiling as ceiling

STUDIES = "../paper/studies"  # the paper's stored tables and figures

# %% [markdown]
# ## Derive
# **Step 1: where single-hop training puts a fact.** It puts a fact into all layers that recognise
# its subject, and most of it where the key is longest. Two layers show why. They read one residual
# stream, and their outputs add up. The prompt names the subject of the fact. Each layer recognises
# the subject by a vector, its key, of length $k_1$ in the first layer and $k_2$ in the second.
#
# Training updates both layers. Along the keys, the updates have the sizes $d_1$ and $d_2$, so the
# layers output $d_1k_1$ and $d_2k_2$. Training demands that the outputs add up to 1, that is,
# $d_1k_1+d_2k_2=1$. This one equation for two unknowns has many solutions. Gradient descent from
# zero finds the solution with the least $d_1^2+d_2^2$. Which part of the output does the second
# layer give in this solution?

# %%
k1, k2, d1, d2, multiplier = sp.symbols("k_1 k_2 d_1 d_2 lambda", positive=True)
lagrangian = d1**2 + d2**2 - multiplier * (d1 * k1 + d2 * k2 - 1)
[least] = sp.solve(
    [sp.diff(lagrangian, x) for x in (d1, d2, multiplier)], [d1, d2, multiplier], dict=True
)
late = sp.simplify(least[d2] * k2)
display(late)
assert sp.simplify(late - k2**2 / (k1**2 + k2**2)) == 0

# %% [markdown]
# A two-hop question does not name the subject of the second fact. In place of the subject there is
# the *bridge*, which the partner writes in the first layer. The first layer reads its input before
# the bridge is written, so only the second layer can use the bridge. The second layer gives its
# part of the fact, multiplied by the similarity of two keys: the inner product of the bridge's key
# and the named subject's key, divided by the squared length of the latter. The part of the fact in
# the first layer is lost.
#
# **Step 2: why stand-ins must disagree.** If the stand-ins give $s$ different answers equally
# often, an adapter that ignores them is right in at most a share $1/s$ of the examples. To see
# this, let $s$ stand-ins be active in turn, and let all of them give different answers for each
# entity. Then each two-hop question has $s$ right answers, one for each active stand-in. Suppose
# that an adapter ignores which stand-in is active, and gives answer $j$ with probability $q_j$. The
# share of examples that it answers correctly is $\sum_j q_j/s\le1/s$. Now let there be two
# stand-ins, and let $q$ be the probability of the first answer. Which $q$ gives the least loss? How
# large is this least loss?

# %%
q = sp.symbols("q", positive=True)
loss = -(sp.log(q) + sp.log(1 - q)) / 2  # two stand-ins
[best] = sp.solve(sp.diff(loss, q), q)
display(best, loss.subs(q, best))
assert best == sp.Rational(1, 2)
assert sp.simplify(loss.subs(q, best) - sp.log(2)) == 0

# %% [markdown]
# With one stand-in, an adapter can memorise the answer for each subject and reach a loss of zero.
# With two stand-ins, a loss below $\ln 2$ shows that the answers of the adapter depend on which
# stand-in is active. With $s$ answers the limit is $\ln s$. Fresh stand-ins draw every answer anew
# from a list, so $s$ is the length of this list. An adapter can also memorise two stand-ins
# themselves, but not fresh ones: each is active for one step only.
#
# **Step 3: what the adapter does with an unseen partner.** An *unseen partner* is the real adapter
# of another author, and it was active in no training. The second hop reads a *state*: the prompt's
# state plus the bridge that the first hop adds. Stand-ins help if each state that this partner
# produces is a linear combination of states that the stand-ins produced. In training, the stand-ins
# added the bridge. Suppose that the second hop is linear, that the right second hop is linear in
# the state, too, and that training finds the solution of least norm. Then the second hop gives the
# right answer for every linear combination of the training states. If a state is orthogonal to all
# training states, the output is zero.

# %% [markdown]
# ## Construct
# After single-hop training, the early layer holds 80% of a fact, and the two-hop question gets the
# other 20%. The next cell trains a hop-2 adapter on two facts. The keys of the named subjects have
# length 2 in the early layer and length 1 in the late layer. The key of the bridge equals the key
# of the named subject, plus an orthogonal part of length 0.1. The lead of the right answer is
# called its *margin*. The cell prints the shares of the layers, the outputs for the single hop, and
# the margin of the two-hop question.

# %%
rng = np.random.default_rng(0)
named = tuple(length * np.eye(6)[:, :2] for length in (2.0, 1.0))
bridge = np.array([1.0, 0.0, 0.1, 0.0, 0.0, 0.0])
model = placement.Case(named, (0 * bridge, bridge), (1.0, 1.0), early=1)
plain = placement.attain(model)
print("shares of the layers:", [round(share, 2) for share in placement.shares(model)])
single = plain[0] @ named[0] + plain[1] @ named[1]
print("single-hop outputs:", np.round(single[:, 0], 2))
print("two-hop margin:", round(placement.measure(model, plain), 2))

# %% [markdown]
# The single hop gets its full output, so no test of single facts shows what is missing. A higher
# learning rate in the late layer moves the fact into the late layer.

# %%
for rate in (1.0, 4.0, 16.0, 64.0):
    moved = placement.Case(named, (0 * bridge, bridge), (1.0, rate), early=1)
    margin = placement.measure(moved, placement.attain(moved))
    print(f"late layer {rate:4.0f} times as fast: two-hop margin {margin:.2f}")

# %% [markdown]
# **With stand-ins.** Two stand-ins give the two-hop question its full margin. Now the two-hop
# question itself is a training example, and a stand-in is active. Each stand-in writes the bridge
# with a key of its own. The key of the first stand-in is the key of the partner plus a random
# vector. The key of the second stand-in is the key of the partner minus the same vector.

# %%
apart = 0.5 * rng.standard_normal(6)
stand_ins = (bridge + apart, bridge - apart)
right = np.array([1.0, 0.0, 0.0])  # the first fact's answer, of two facts and an unused token
for count in (1, 2):
    latent = [np.append(np.zeros(6), key) for key in stand_ins[:count]]
    prompts = np.column_stack([np.vstack(named), *latent])
    wanted = np.column_stack([np.vstack([np.eye(2), np.zeros(2)]), *[right] * count])
    trained = placement.least_norm(model, prompts, wanted)
    print(f"stand-ins in training: {count}, two-hop margin {placement.measure(model, trained):.2f}")

# %% [markdown]
# With one stand-in the two-hop question gets most of the full margin. With two stand-ins it gets
# the full margin, although the partner was active in no training. The reason is that the key of the
# partner is the mean of the keys of the two stand-ins (`thm:partner-examples`).
#
# How large must an update be, so that the two-hop question gets the full margin? The cell prints
# the least squared norm by the formula, and the squared norm of the update that was found.

# %%
exact = placement.Wanted(model, right)
found = placement.measure_free(exact, placement.attain_free(exact))
print(f"least squared norm {placement.bound_free(exact):.3f}, found {found:.3f}")

# %% [markdown]
# **Memorisation.** The more answers stand-ins give, the fewer two-hop examples an adapter can
# answer without its stand-in. We compare stand-ins that disagree on every entity with stand-ins
# that agree on half of the entities.

# %%
for count in (1, 2, 3, 4):
    often = np.full((count, 20), 1 / count)
    differ = tuple((j,) * 20 for j in range(count))
    agree = tuple((0, j) * 10 for j in range(count))
    for name, says in (("disagree", differ), ("agree on half", agree)):
        case = ceiling.Case(np.full(20, 1 / 20), often, says, 1)
        print(f"stand-ins: {count}, they {name}: at most {ceiling.bound(case):.0%} memorised")

# %% [markdown]
# ## Verify
# We check each theorem on random cases. The construction must attain the bound, and no rival may
# beat the bound.

# %%
labels = "least-norm-placement", "free-placement", "stand-in-ceiling", "bridge-transfer"
for claim in map(theorem, labels):
    for seed in range(10):
        draws = np.random.default_rng(seed)
        case = claim.draw(draws, 8)
        assert claim.check(case, claim.attain(case)).tight
        assert claim.check(case, claim.rival(case, draws)).holds

# %% [markdown]
# **Fresh stand-ins in a language model.** With fresh stand-ins, the sum of two adapters answers 84%
# to 98% of the two-hop questions on SmolLM2-135M, and 81% to 98% on gemma-3-270m. After standard
# training it answers at most 28%.
#
# To train a new stand-in at each step would take too long. So all fresh stand-ins use one set of
# keys and values, as in this course's linear memories. There is one key for each subject of the
# partner's facts, and one value for each possible answer. A stand-in is a choice of values, and
# choosing costs nothing. The command `loratheory train` does this by default
# ([how](../docs/how-to/train.md)).
#
# The study `lm_strangers` has five pairs of relations, such as "Zorvik was born in Peru" and "The
# mascot of Peru is the otter". The table has top-1 accuracy on two-hop questions in percent, for
# the sum of both adapters. The test prompts use *held-out templates*: wordings that were never used
# in training. Each number is from one fact set and one training. Training has 180
# steps, and 90 with two trained stand-ins. On gemma the learning rate is the default of
# `loratheory train`. There the sum of standard adapters also loses single facts in three of five
# pairs, which explains some of its two-hop errors.

# %%
runs = pd.read_csv(f"{STUDIES}/lm_strangers/table.csv.gz", low_memory=False)
runs = runs[(runs["rule"] == "sum") & (runs["level"] == "S0") & (runs["seed"] == 400)]
runs = runs[runs["part"] != "other_texts"]  # trained once more
PAIRS = {
    "birth, mascot": "countries, mascots",
    "ship, flower": "flag states, flowers",
    "employer, tool": "employers, tools",
    "pet, instrument": "pets, instruments",
    "trade, fruit": "professions, fruits",
}
small = runs[runs["base"].str.startswith("SmolLM2") & (runs["rate"] == 1)]
gemma = runs[runs["base"].str.startswith("gemma")]
trainings = {
    "SmolLM2, standard": small[small["method"] == "standard, 180 steps"],
    "SmolLM2, two trained": small[small["method"] == "two stand-ins"],
    "SmolLM2, fresh": small[small["method"] == "fresh stand-ins"],
    "gemma, standard": gemma[gemma["part"] == "matched"],
    "gemma, fresh": gemma[gemma["part"] == "rule_by_depth"],
}
by_pair = pd.DataFrame(
    {name: some.groupby("pair")["two_hop"].mean() for name, some in trainings.items()}
)
by_pair = by_pair.loc[list(PAIRS)].rename(index=PAIRS)
print(by_pair.mul(100).round().astype(int).rename_axis(None).to_string())
assert (by_pair["SmolLM2, fresh"] > by_pair["SmolLM2, two trained"]).all()
assert by_pair[["SmolLM2, standard", "gemma, standard"]].max(axis=None) < 0.3

# %% [markdown]
# **One author alone helps, by relation.** If only the author of the hop-2 adapter uses fresh
# stand-ins, the sum answers 88% of the two-hop questions of the first pair, and 25% to 91% of those
# of the other four. The longer training is not the reason: with as many steps, standard training
# of both adapters gives 28% for the first pair. The table has the first pair of
# relations on SmolLM2-135M, with accuracies in percent. Two columns and one row need an
# explanation:
#
# - *Base-model facts:* accuracy on facts of the base model that are in no training set.
# - *Drift:* KL divergence from the base model on generic text, in nats per token.
# - *Late layers:* standard training of the top third of the layers only.

# %%
WHO = {
    "standard, 180 steps": "standard, both",
    "fresh stand-ins, hop 1": "fresh for hop 1, standard for hop 2",
    "fresh stand-ins, hop 2": "standard for hop 1, fresh for hop 2",
    "fresh stand-ins, late layers": "fresh for hop 1, late layers for hop 2",
    "fresh stand-ins": "fresh, both",
}
FACTS = {"hop_1": "hop-1 facts", "hop_2": "hop-2 facts", "known": "base-model facts"}
births = small[small["pair"] == "birth, mascot"].groupby("method")
shown = births[["two_hop", *FACTS]].mean().loc[list(WHO)].rename(index=WHO)
percent = shown.mul(100).round().astype(int).rename(columns={"two_hop": "two-hop", **FACTS})
percent["drift"] = births["drift"].mean().loc[list(WHO)].round(1).to_numpy()
print(percent.rename_axis(None).to_string())
assert shown.loc["standard, both", "two_hop"] < 0.3
assert shown.loc["standard for hop 1, fresh for hop 2", "two_hop"] > 0.8

# %% [markdown]
# The drift shows a side effect: the sum changes generic text, here even more than after standard
# training. So take the adapters off for other tasks, or gate them: *per-matrix gating*, with each
# adapter active only where its output is unusually large, answers 94% of the questions of the five
# pairs on SmolLM2 and 86% on gemma, at a drift of 0.2 and 0.1 nats.
#
# **Two trained stand-ins, ten fact sets.** Two disagreeing stand-ins raise two-hop accuracy from
# 37% to 93%, in as many steps. Here the stand-ins are ordinary adapters that take turns. The study
# `lm_training` varies the training and keeps the task: twenty invented people, real countries and
# invented mascots. Three kinds of training matter most:
#
# - *standard, early-stopped*: standard training that stops when the facts are learned;
# - *standard, 90 steps*: standard training in as many steps as stand-in training;
# - *two stand-ins*: stand-in training with two disagreeing stand-ins.
#
# The data come from the part `conditions` of the study. Our predictions for this part were written
# before the run. The figure shows other parts of the study, with ten other fact sets.

# %%
stored = pd.read_csv(f"{STUDIES}/lm_training/table.csv.gz", low_memory=False)
rows = stored[stored["part"] == "conditions"]
SVG(filename=f"{STUDIES}/lm_training/figure.svg")

# %% [markdown]
# With stand-ins for both adapters the sum drifts least, but it loses hop-1 facts in held-out
# templates. The table has means over ten fact sets, and all columns except the drift are in
# percent. One column and one row are new:
#
# - *Names the country:* how often the model answers a two-hop question with the country instead of
#   its mascot.
# - *Two stand-ins, facts left out:* the training set lacks the stand-ins' own facts. In the other
#   rows with stand-ins, the training set contains these facts.

# %%
added = rows[(rows["rule"] == "sum") & (rows["coefficient"] == 1)]
training = ["standard, early-stopped", "standard, 90 steps", "one stand-in", "partner not kept"]
training += ["two stand-ins", "three stand-ins"]
COLUMNS = {
    "two_hop_vocabulary": "two-hop",
    "hop_1": "hop-1 facts",
    "hop_2": "hop-2 facts",
    "says_bridge": "names the country",
    "known": "base-model facts",
}
means = added.groupby(["first", "second"])[[*COLUMNS, "drift"]].mean()
one_sided = [
    ("standard, early-stopped", "two stand-ins"),
    ("two stand-ins", "standard, early-stopped"),
]
shown = means.loc[[(name, name) for name in training] + one_sided]
percent = shown[list(COLUMNS)].mul(100).round().astype(int).rename(columns=COLUMNS)
percent["drift"] = shown["drift"].round(2)
percent = percent.rename(index={"partner not kept": "two stand-ins, facts left out"})
percent = percent.rename_axis(["hop-1 adapter", "hop-2 adapter"])
print(percent.to_string(sparsify=False))
both, neither = means.loc[("two stand-ins",) * 2], means.loc[("standard, early-stopped",) * 2]
assert both["two_hop_vocabulary"] > 0.85
assert neither["two_hop_vocabulary"] < 0.25
assert both["drift"] < neither["drift"] / 4

# %% [markdown]
# In the last two rows, only one of the two adapters had stand-in training, and the two-hop accuracy
# is in between. There the training of the other adapter stopped as soon as its facts were learned.
# With 90 steps of standard training for the hop-1 adapter, the sum answers 83% of the two-hop
# questions (part `augmentation` of the study).
#
# **Late-layer training needs no stand-ins.** A two-hop question reads the second fact in late
# layers only, and single-hop training leaves the placement open. So an author can train the hop-2
# adapter in the top layers only. This *late-layer training* raises two-hop accuracy from 26% to 53%
# in the mean of ten fact sets; in another it stays at 26%. Together with a hop-1 adapter that had
# stand-in training, it gives 85% (75% on the fact sets of the next table). The next table has
# accuracies in percent, for other fact sets than the table above. Late layers are here the top
# sixth of the layers.

# %%
known = (stored["part"] == "stand_ins") & (stored["bridge"] == "known")
mascots = (stored["part"] == "top_layers") & (stored["relation"] == "mascot")
placed = stored[(known | mascots) & (stored["rule"] == "sum")]
LAYERS = {"sixth 6": "late layers", "two stand-ins, sixth 6": "late layers, two stand-ins"}
names = [name for name in COLUMNS if name != "says_bridge"]
by_training = placed.groupby(["first", "second"])[names].mean()
standard = [
    ("standard, 90 steps", name) for name in ("standard, 90 steps", "sixth 6", "two stand-ins")
]
stand_ins = [("two stand-ins", name) for name in ("sixth 6", "two stand-ins, sixth 6")]
chosen = by_training.loc[[*standard, *stand_ins, ("two stand-ins", "two stand-ins")]]
percent = chosen.mul(100).round().astype(int).rename(columns=COLUMNS, index=LAYERS)
print(percent.rename_axis(["hop-1 adapter", "hop-2 adapter"]).to_string(sparsify=False))
late = by_training["two_hop_vocabulary"]
assert late["standard, 90 steps", "standard, 90 steps"] < 0.3
assert late["standard, 90 steps", "sixth 6"] > 0.4
assert late["two stand-ins", "sixth 6"] > 0.75

# %% [markdown]
# Stand-ins for both adapters give 87%, 2 points more than stand-ins for hop 1 and late layers for
# hop 2. Late-layer training keeps more hop-1 facts and more base-model facts.
#
# **How many stand-ins?** More disagreeing stand-ins help more, and agreeing ones help less. The
# figure shows the study `number_of_stand_ins` on small transformers, which can be trained until
# they answer all their training examples. Always giving the same answer would score 25% there.

# %%
SVG(filename=f"{STUDIES}/number_of_stand_ins/figure.svg")

# %% [markdown]
# With $n$ disagreeing stand-ins, an adapter can memorise at most a share $1/n$ of its two-hop
# examples. So with more disagreeing stand-ins, an adapter memorises less. Two adapters that never
# met then compose more often. Four *agreeing* stand-ins raise the accuracy of the sum only from 9%
# to 22%, because two-hop examples with agreeing stand-ins can be memorised. If active alone after
# such training, the hop-1 adapter applies its new fact in only 2% of the two-hop questions. Fresh
# stand-ins are the limit of many disagreeing stand-ins.

# %% [markdown]
# **Add the adapters, do not average them.** The mean gives each adapter the coefficient ½, and
# two-hop accuracy falls from 93% to 54%. The cell prints the accuracy at several coefficients and
# with a *layer split*: the hop-1 adapter is active in the lower half of the layers, the hop-2
# adapter in the upper half.

# %%
here = rows[(rows["first"] == "two stand-ins") & (rows["second"] == "two stand-ins")]
for (rule, c), group in here.groupby(["rule", "coefficient"]):
    accuracy = group["two_hop_vocabulary"].mean()
    print(f"{rule}, coefficient {c}: {accuracy:.0%} of two-hop questions right")

# %% [markdown]
# **A measure of single adapters does not predict composition.** One of our predictions failed. The
# *portability* of an adapter is its accuracy, when active on its own, on prompts that only describe
# the subject. We expected that the portability of two adapters would predict how well their sum
# composes. We compared portability with a *per-condition baseline*: the mean two-hop accuracy after
# the same kind of training on the other fact sets. For each prediction we computed the rank
# correlation with the accuracy of the sums. The correlation was 0.59 for portability and 0.81 for
# the baseline (measured at commit 80181100). So the baseline predicts better, although it looks at
# no adapter.
#
# Therefore test composition directly. A *held-out stand-in* is a stand-in that was active in no
# training. The command `loratheory train` measures two-hop accuracy with one more fresh stand-in
# and with a held-out stand-in that had standard training. It writes both on the adapter's card. If
# the second accuracy is far below the first, the adapter relies on partners trained with
# stand-ins, too. A test with a held-out stand-in is weaker evidence than a test with an unseen
# partner.

# %% [markdown]
# ## Explore
# Change three numbers: the length of the early key, the length of the late key, and the similarity
# of two keys. The two keys are the key of the bridge and the key of the named subject.


# %%
def show_placement(early: float = 2.0, late: float = 1.0, alike: float = 1.0) -> None:
    """Print the share of a fact in the late layer, and the margin of a two-hop question."""
    keys = (early * np.eye(3)[:, :1], late * np.eye(3)[:, :1])
    latent = late * np.array([alike, 0.5, 0.0])
    case = placement.Case(keys, (0 * latent, latent), (1.0, 1.0), early=1)
    margin = placement.measure(case, placement.attain(case))
    print(f"share in the late layer {placement.shares(case)[1]:.2f}, two-hop margin {margin:.2f}")


for lengths in ((2.0, 1.0), (1.0, 1.0), (1.0, 2.0), (1.0, 4.0)):
    show_placement(*lengths)

# %% [markdown]
# If the early key and the late key have equal length, the two-hop question gets only half of the
# full margin.

# %%
sliders = {
    name: FloatSlider(1.0, min=0.1, max=4.0, step=0.1, description=f"{name} key")
    for name in ("early", "late")
}
explore(
    show_placement,
    **sliders,
    alike=FloatSlider(1.0, min=0.0, max=1.0, step=0.1, description="similarity"),
)

# %% [markdown]
# Choose the number of stand-ins, and the share of twenty entities on which all stand-ins agree.
# Suppose that an adapter ignores which stand-in is active. Which share of the two-hop training
# examples can this adapter answer?


# %%
def limit_memorised(count: int = 2, agree: float = 0.0) -> float:
    """Return the share of two-hop examples that an adapter can answer without its stand-in."""
    same = round(20 * agree)
    says = tuple((0,) * same + (j,) * (20 - same) for j in range(count))
    often = np.full((count, 20), 1 / count)
    return ceiling.bound(ceiling.Case(np.full(20, 1 / 20), often, says, 1))


for count in (1, 2, 3, 4):
    most = limit_memorised(count, 0.25)
    print(f"stand-ins: {count}, agreement on 25%: at most {most:.0%} memorised")

# %% [markdown]
# If all stand-ins agree on an entity, an adapter can memorise the answer for this entity, whatever
# the number of stand-ins is.

# %%
explore(
    lambda count, agree: print(f"at most {limit_memorised(count, agree):.0%} memorised"),
    count=IntSlider(2, min=1, max=6, description="stand-ins"),
    agree=FloatSlider(0.0, min=0.0, max=1.0, step=0.05, description="agreement"),
)

# %% [markdown]
# ## What this does not say
# - **The models are small and the facts are made up.** Five pairs of relations were tested on two
#   models, with two fact sets each. Only people, countries and mascots were tested in ten. The base
#   model knows the bridges. If it does not, the sum answers about half of the questions (without
#   texts). The sum of twelve adapters fails; with a list of their subjects, they compose.
# - **The two authors share something**: the base model and the spelling of the bridges. If each
#   author's two-hop examples cover only half of the bridges, two-hop accuracy falls from 95% to 85%
#   (64% to 85% on four fact sets; on gemma 54% to 65% on three). It is 66% if templates, answers,
#   relations and settings differ, too. Neither author sees the adapter, the people or the mascots
#   of the other author.
# - **Some hop-1 facts are lost.** In held-out templates 72% of them are right after training with
#   two trained stand-ins, and 97% after early-stopped standard training. With fresh stand-ins 95%
#   or more are right on SmolLM2; on gemma two of five pairs have only 83% and 84%.
# - **The sum of two adapters with fresh stand-ins changes generic text.** On SmolLM2 its drift is 4
#   to 5 nats per token, and after standard training it is 3 to 5. Two trained stand-ins give less
#   drift. All adapters of this notebook were trained without texts of the base model; with 384 such
#   texts, the default of `loratheory train`, drift is 0.2 to 0.4.
# - **A low loss does not prove that the adapter reads the bridge.** With a few trained stand-ins,
#   an adapter may recognise *which stand-in is active*, and memorise the answer for each pair of
#   stand-in and entity. Only a test with a partner that was active in no training shows whether the
#   adapter reads the bridge.
# - **The theory is linear.** In a trained network, updates of early layers change the keys of later
#   layers, and the optimiser Adam does not follow the gradient. The theory says which examples can
#   determine where a fact is stored. It does not say how much accuracy a network gains.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell prints whether you are
# right, and if not, why. A number is right if it is within 1% of the answer.
#
# **1.** *(easy, 5 minutes)* A fact was learned from single-hop examples. The early layer comes
# before the bridge is known, and the late layer comes after. The key of the named subject has
# length 3 in the early layer and length 4 in the late layer. Both layers have the same learning
# rate. In the late layer, the key of the bridge equals the key of the named subject. A two-hop
# question needs this fact as its second fact. How large is the margin of this question?

# %%
mine = None
judge("11.1", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Step 1 has the share of the late layer, for keys of length $k_1$ and $k_2$.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The share is $k_2^2/(k_1^2+k_2^2)$. The margin is this share times the similarity of the key of
# the bridge and the key of the named subject.
#
# </details>
#
# <details><summary>Solution</summary>
#
# The share of the late layer is $16/(9+16)$. The similarity of the two keys is 1, so the margin
# equals this share.
#
# ```python
# mine = 16 / 25
# ```
#
# </details>

# %% [markdown]
# **2.** *(medium, 5 minutes)* Four stand-ins are active equally often. On half of the entities all
# four stand-ins give the same answer. On the other half all four answers differ. An adapter ignores
# which stand-in is active. What is the largest share of two-hop examples that this adapter can
# answer?

# %%
mine = None
judge("11.2", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Look at each half of the entities separately. On which share of the examples about each half can
# the adapter be right?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# If all stand-ins agree on an entity, its answer can be memorised. If $s$ stand-ins give $s$
# different answers, step 2 allows a share of $1/s$.
#
# </details>
#
# <details><summary>Solution</summary>
#
# The adapter can answer all examples about the first half of the entities. It can answer a quarter
# of the examples about the other half.
#
# ```python
# mine = 0.5 + 0.5 / 4
# ```
#
# </details>

# %% [markdown]
# **3.** *(medium, 5 minutes)* The key in the early layer and the key in the late layer are equally
# long. In the late layer, the key of the bridge equals the key of the named subject. The late layer
# has a higher learning rate than the early layer. How many times higher must the learning rate be,
# so that the two-hop question gets 90% of the full margin?

# %%
mine = None
judge("11.3", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# In the section *Construct*, a higher learning rate moved the fact into the late layer. The share
# of a layer is proportional to its learning rate times the squared length of its key.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Let the late layer have $\eta$ times the learning rate of the early layer. With equally long keys,
# the share of the late layer is $\eta/(1+\eta)$.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Let the learning rate of the late layer be $\eta$ times higher. If both keys are equally long, the
# share of the late layer is $\eta/(1+\eta)$. This share is 0.9 at $\eta=9$.
#
# ```python
# mine = 9
# ```
#
# </details>

# %% [markdown]
# **4.** *(easy, 10 minutes, code)* Design stand-ins. Return a table of answers with a row for each
# of `count` stand-ins and a column for each entity. The answers are numbered from 0. An adapter
# that ignores which stand-in is active must be right in at most a share of 1/`count` of the
# examples. A stand-in must not give all entities the same answer.


# %%
def mine(count, entities):
    return None


judge("11.4", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# An adapter that ignores which stand-in is active has one answer per entity. So by step 2, no two
# stand-ins may agree on any entity.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Begin with a stand-in whose answers differ from entity to entity. Make each further stand-in from
# the one before by replacing every answer by the next one, in a circle of `count` answers.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Give all stand-ins the same list of answers, but shift it by one place from each stand-in to the
# next. Then all stand-ins differ on each entity, and each stand-in uses every answer.
#
# ```python
# def mine(count, entities):
#     return [[(e + j) % count for e in range(entities)] for j in range(count)]
# ```
#
# </details>

# %% [markdown]
# ## Further reading
#
# - Allen-Zhu and Li, [*Physics of language models, part 3.1: knowledge storage and
#   extraction*](https://arxiv.org/abs/2309.14316). How training data must vary so that a model can
#   use a fact.
# - Yao et al., [*Editing large language models: problems, methods, and
#   opportunities*](https://arxiv.org/abs/2305.13172). Portability: accuracy on questions that use
#   an edited fact.
# - Biran et al., [*Hopping too late*](https://arxiv.org/abs/2406.12775). Facts in layers that are
#   read before the bridge is known.

# %% [markdown]
# <details><summary>For the lecturer</summary>
# **Time.** 90 minutes: 25 for the three steps, 20 for the construction, 20 for the tables and the
# failed prediction, 25 for exercises.
#
# **Ask.** Before step 1: both adapters know their facts, so what can be missing? At step 2: what
# would an adapter learn with a single stand-in? At the first table: in which columns are the steps
# equal, and in which later table? At the failed prediction: why must a measure beat a per-condition
# baseline?
#
# **Common wrong answers.** "More single-hop examples are enough": every placement of a fact has the
# same loss. "Two stand-ins force the adapter to read the bridge": the answer must depend on which
# stand-in is active, but a memorised table of stand-ins and names is enough for this. "So every
# merge works": the mean loses two-hop answers.
#
# </details>
