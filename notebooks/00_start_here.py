# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Where do I start?
#
# You have several adapters that each learned something, and want one model that knows it all. When
# does that work? This course derives the answers, one question in each notebook, and checks every
# answer by computation. It needs no GPU, and nothing is downloaded while it runs.
#
# ## The words
# A model's weight matrix $W$ holds what it knows. An **adapter** (LoRA) is a small update
# $\Delta W=BA$ of low rank: $B$ is tall, $A$ is wide, and $W$, the **base**, stays frozen.
#
# ![A frozen matrix W plus the product of two thin matrices B and A](drawings/low_rank.svg)

# %%
import numpy as np

import loratheory as lt
from loratheory.theorems.composition import two_read_region

# %% [markdown]
# To **merge** two adapters is to use $W+c_1\Delta W_1+c_2\Delta W_2$ with fixed **coefficients**
# $c_1$ and $c_2$. To **route** is to choose the coefficients anew for each input.
#
# ![A merge weighs adapters once; a router weighs them at every input](drawings/merge_and_route.svg)
#
# A **gate** switches an adapter on in full where it responds far more than it ordinarily does, and
# off elsewhere.
#
# ![A gate is off at ordinary input and on where the response stands out](drawings/gate.svg)
#
# A question has two **hops** if its answer takes two facts, one after the other:
#
# > Ada works at Lab 2 *(adapter 1)*. Lab 2 is in Oslo *(adapter 2)*. In which city does Ada work?
#
# Each fact alone is a **single hop**. Lab 2, which neither the question nor the answer names, is
# the **bridge**. The model may have known something else of Ada or of the lab before; such **old
# facts** compete with the new answer.
#
# ![A two-hop question reads two facts: Ada works at Lab 2, Lab 2 is in Oslo](drawings/two_hops.svg)
#
# Which old facts there are makes a difference. There are four cases, and each has a name:
#
# ![Four cases of which old facts exist before two edits](drawings/old_facts.svg)
#
# Words that are new here are in the [glossary](../docs/glossary.md).
#
# ## The map
#
# - **01** [How well can one adapter serve many tasks?](01_one_adapter_many_tasks.ipynb) The least
#   error of any merge: what the tasks disagree on, and what the rank cuts off. 75 minutes.
# - **02** [Why does averaging two edits lose the two-hop answer?](02_two_hop_averaging.ipynb)
#   The golden ratio, and a window in which all single facts are right. 85 minutes.
# - **03** [What can a rank-r update express?](03_what_rank_can_express.ipynb)
#   Many layers make up for a small rank; which attention heads can be reached. 75 minutes.
# - **04** [How many facts fit in an adapter?](04_how_many_facts_fit.ipynb)
#   Three meanings of *fit*, and why merging adds no room. 75 minutes.
# - **05** [When do two adapters disturb each other?](05_when_adapters_disturb.ipynb)
#   Angles between row spaces; how many adapters fit side by side. 90 minutes.
# - **06** [What can a router know?](06_what_a_router_can_know.ipynb)
#   Keys that a router cannot see, false alarms, and limits of every router. 90 minutes.
# - **07** [Why can no merge in one layer answer the two-hop
#   question?](07_why_one_layer_cannot.ipynb)
#   Counting worlds, and the missing bridge. 75 minutes.
# - **08** [When do combined adapters answer a two-hop question, and how does gating
#   help?](08_when_reuse_composes.ipynb)
#   Small transformers, and gates under which adapters compose. 90 minutes.
# - **09** [When do shared solution templates help a merge?](09_shared_templates.ipynb)
#   Merged adapters vote on the next step; small transformers need more than a won vote. 75 minutes.
# - **10** [Do the limits hold in a real language model?](10_real_language_model.ipynb)
#   Two adapters on 135M parameters: coefficients, layer splits, predictions. 75 minutes.
# - **11** [Can adapters be trained to compose with unseen
#   partners?](11_training_to_compose.ipynb)
#   Where training puts a fact, and stand-ins for unseen partners. 90 minutes.
#
# ## What you need
# - **Linear algebra**: matrices, rank, the singular value decomposition. Notebook 01 recalls what
#   it uses.
# - **Python**: enough to read ten lines of NumPy and to write five. Exercises ask for a number, for
#   a truth value, or for a short function.
# - From 08 on: what a transformer is. You need not have trained one.
#
# 03, 04 and 05 need 01; 06, 08 and 10 need 02, and 08 also uses 06; 11 needs 07; the others stand
# alone.
#
# ## How a notebook works
# Eight parts, always in this order: the **question** with its main idea; a **derivation** in
# symbols, which shows its expressions and asserts that they are equal; a **construction** that
# meets the claim; a **verification** by random cases, rivals, and hypotheses that are broken on
# purpose; something to **explore** with sliders; what the claim does **not say**; **exercises**;
# and **further reading**.
#
# Exercises are judged: their cells say "not answered yet", "correct", or "not yet, because …". Some
# ask you to write a merge, a router, a gate, or a counterexample, and the theorem itself judges
# what you wrote. Solutions are folded below the exercises, and a note for lecturers is folded at
# the end; a handout leaves out both.
#
# One idea is behind the code: a theorem is an object. Here is the theorem of notebook 02:

# %%
print(two_read_region.THEOREM.statement)

# %% [markdown]
# You need not understand this sentence yet; notebook 02 derives it. (A *read* is one pass through a
# memory, and $c_j$ is the coefficient of the adapter of hop $j$.)
#
# A theorem object can draw random cases (`draw`), build a model that attains the bound (`attain`),
# and test any model against it (`check`):

# %%
rng = np.random.default_rng(0)
case = two_read_region.draw(rng, 8)
verdict = two_read_region.THEOREM.check(case, two_read_region.attain(case))
print(f"bound {verdict.bound:.6f}, found {verdict.value:.6f}, holds: {verdict.holds}")
assert verdict.holds

# %% [markdown]
# `lt.verify` attacks a theorem with all that its module brings: random cases, rivals and
# adversaries that try to beat the bound, and *controls* that break one hypothesis each.

# %%
print(len(lt.theorems.LABELS), "theorems in all")
report = lt.verify(two_read_region.THEOREM, cases=50, seed=0)
print(f"{report.cases} attempts, {report.controls} controls, as stated: {report.ok}")
assert report.ok

# %% [markdown]
# ## In a course
# - **One lecture (90 minutes).** 02 alone: the story, steps 1 to 3, the star in the plane, and the
#   first exercise. Before the answer let students vote: both facts are right; is the two-hop answer
#   right as well?
# - **A week of a seminar (4 × 90 minutes).** 01, 02, 07, 11: what merging cannot keep, why two-hop
#   answers are lost first, why one layer cannot compose, how to train adapters that compose.
# - **A block course (two weeks).** One notebook in each session, in this order: 01, 03, 04, 05, 02,
#   06, 07, 08, 09, 10, 11. First come single adapters and their neighbours, then two hops; the last
#   three ask whether the same holds for skills and in language models.
# - **Projects.** Three open questions, each with a way to start, are on the
#   [page for teaching](../docs/teaching.md), together with the learning objectives.
#
# All notebooks run from a clean kernel in a minute or less, so a class can start at *Run All*.
# `make handout` writes them without solutions and without notes for lecturers to `build/handout`.
#
# ## If something fails
# `make lab` in the project's folder builds the environment and opens this notebook in JupyterLab.
# `loratheory verify merge-floor` tells whether the package works at all. Sliders need `ipywidgets`,
# which `make` installs. A failing assertion in an unchanged notebook is a bug: report it.
