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
# You have adapters that each learned something, and want one model that knows it all. When does
# that work? This course derives the answers, one question a notebook, and checks every one on the
# spot. Nothing is downloaded and no GPU is needed.
#
# ## The words
# A model's weight matrix $W$ holds what it knows. An **adapter** (LoRA) is a small update
# $\Delta W=BA$ of low rank: $B$ is tall, $A$ is wide, $W$ stays frozen. To **merge** two adapters
# is to use $W+c_1\Delta W_1+c_2\Delta W_2$; to **route** is to choose the coefficients anew for
# each input. A question has two **hops** if its answer takes two facts, one after the other:
#
# > Ada works at Lab 2 *(adapter 1)*. Lab 2 is in Oslo *(adapter 2)*. In which city does Ada work?
#
# Each fact alone is a **single hop**; Lab 2, which no answer names, is the **bridge**. If the model
# used to believe something else, of Ada or of the lab, its **old facts** pull the answer back.
#
# ## The map
#
# - **01** [How well can one adapter serve many tasks?](01_one_adapter_many_tasks.ipynb)
#   The floor under every merge: what the tasks disagree on, and what rank cuts off. 75 minutes.
# - **02** [Why does averaging two edits lose the two-hop answer?](02_two_hop_averaging.ipynb)
#   The golden ratio, and a window where every single fact passes. 85 minutes.
# - **03** [What can a rank-r update express?](03_what_rank_can_express.ipynb)
#   Depth pays for rank; what turns a head into another, wide or narrow. 75 minutes.
# - **04** [How many facts fit in an adapter?](04_how_many_facts_fit.ipynb)
#   Three meanings of *fit*, and why merging adds no room. 75 minutes.
# - **05** [When do two adapters disturb each other?](05_when_adapters_disturb.ipynb)
#   Row spaces, not cosines; what no design avoids, and what wears off. 90 minutes.
# - **06** [What can a router know?](06_what_a_router_can_know.ipynb)
#   A blind spot, a law of detection, and ceilings for every router. 90 minutes.
# - **07** [Why can no merge in one layer answer the two-hop
#   question?](07_why_one_layer_cannot.ipynb)
#   Counting worlds, and the missing bridge. 60 minutes.
# - **08** [When does reusing adapters answer the two-hop question, and which rule repairs
#   it?](08_when_reuse_composes.ipynb)
#   Small transformers, and gates that compose. 75 minutes.
# - **09** [When do shared solution templates make reuse
#   work?](09_shared_templates.ipynb)
#   What a vote can do, and what small transformers need beside it. 60 minutes.
# - **10** [Do the limits hold in a real language model?](10_real_language_model.ipynb)
#   Two adapters on 135M parameters: weighed, split by layers, and forecast. 60 minutes.
# - **11** [Can adapters be taught to be reached?](11_taught_to_be_reached.ipynb)
#   Where training puts a fact, and stand-ins for partners yet unknown. 75 minutes.
#
# ## What you need
# - **Linear algebra**: matrices, rank, the singular value decomposition. Notebook 01 recalls what
#   it uses.
# - **Python** enough to read ten lines of NumPy. Exercises ask for a number or an expression.
# - From 08 on, what a transformer is. No training experience.
#
# 01 and 02 come first. 03, 04 and 05 need 01; 06 needs 02; 07 stands alone; 08 needs 02 and uses
# 06; 09 stands alone; 10 needs 02; 11 needs 07.
#
# ## How a notebook works
# Seven parts, always in this order: the **question** with its claim; a **derivation** in symbols
# that ends in an assertion; a **construction** that meets the claim; a **verification** by random
# cases, rivals and hypotheses that are broken on purpose; something to **explore** with sliders;
# what it does **not say**; and **exercises**, whose cells check your answer and stay silent when it
# is right. Solutions are folded below each. A note for lecturers is folded at the end.
#
# The one idea of the code: a theorem is an object. Take the golden ratio of notebook 02 and ask
# for it:

# %%
import numpy as np

import loratheory as lt
from loratheory.theorems import two_read_region

print(two_read_region.THEOREM.statement)

# %% [markdown]
# A *read* is one pass through a memory, $c_j$ the coefficient of the adapter of hop $j$, and an
# edit *leads* while the new answer is ahead of the old ones; 02 takes this sentence apart.
#
# It draws random cases, builds what meets its bound, and judges. `check` is used in every notebook.

# %%
rng = np.random.default_rng(0)
case = two_read_region.draw(rng, 8)
verdict = two_read_region.THEOREM.check(case, two_read_region.attain(case))
print(f"bound {verdict.bound:.6f}, found {verdict.value:.6f}, holds: {verdict.holds}")
assert verdict.holds

# %% [markdown]
# There are many. `lt.verify` runs all that a theorem brings: cases, rivals, adversaries, controls.

# %%
print(len(lt.theorems.ALL), "theorems")
report = lt.verify(two_read_region.THEOREM, cases=50, seed=0)
print(f"{report.cases} witnesses, {report.controls} controls, as stated: {report.ok}")
assert report.ok

# %% [markdown]
# ## In a course
# - **One lecture (90 minutes).** 02 alone: the story, steps 1 to 3, the star in the plane, and the
#   first exercise. Ask for a show of hands before the answer: both facts pass; does their
#   composition?
# - **A week of a seminar (4 × 90 minutes).** 01, 02, 07, 11: what merging cannot keep, why
#   composition goes first, why one layer cannot, how to teach adapters that compose.
# - **A block course (two weeks).** One notebook a session in this order: 01, 03, 04, 05, 02, 06,
#   07, 08, 09, 10, 11. The first part is about one adapter and its neighbours, the second about two
#   hops, and the last three ask whether skills and language models obey.
# - **Projects.** Refute a theorem: each has hypotheses, and `draw` and `check` to attack it with.
#   Write a merge or router of your own and run `loratheory evaluate` on it. Add a theorem in half
#   an hour, as `CONTRIBUTING.md` shows.
#
# All notebooks run from a clean kernel in a minute or less, so a class can start at *Run All*. To
# hand out exercises without solutions, delete the cells that begin with `<details>`.
#
# ## If something fails
# `make lab` in the project's folder builds the environment and opens this folder in JupyterLab;
# `loratheory verify merge-floor` tells whether the library works at all. Sliders need `ipywidgets`,
# which `make` installs. A failing assertion in an unchanged notebook is a bug: report it.
