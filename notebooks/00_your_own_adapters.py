# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What can you learn about your own adapters in ten minutes?
#
# The files of two adapters already show how the adapters disturb each other. They also show what a
# merge loses, and how close any merge can come to both. You need two folders that PEFT saved, and
# no language model.
#
# **After this notebook** you can
#
# 1. read an adapter, and see the rank and the singular values of each update;
# 2. measure how strongly one adapter responds to the inputs of the other;
# 3. merge two adapters, and compare the merge with the best possible one;
# 4. write the merge to a folder that PEFT loads.
#
# The files do *not* show which answers a merge gives. The last section says how to measure that.
#
# To use your own adapters, replace `places` in the next cell by your two folders. Here we first
# write two small adapters with random numbers. Both change the same four weight matrices. In layer
# 0 they also read the same inputs.

# %%
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

import loratheory as lt
from loratheory.theorems.expressiveness.rank_floor import Tasks

folder = TemporaryDirectory()
home = Path(folder.name)
places = [home / "persons", home / "mascots"]

rng, width, rank = np.random.default_rng(0), 64, 4
shared = rng.standard_normal((rank, width))
for place in places:
    updates = {}
    for layer in (0, 1):
        for name in ("q_proj", "v_proj"):
            up, down = rng.standard_normal((2, width, rank))
            down = shared + 0.1 * down.T if layer == 0 else down.T
            updates[f"model.layers.{layer}.self_attn.{name}"] = lt.LowRank(up / width, down)
    lt.write_adapter(lt.adapters.Adapter.of(updates), place)

# %% [markdown]
# ## Read
# An adapter is a mapping from module names to updates. Only the headers of the files are read now.
# The numbers of a module are read when you look it up.

# %%
one, two = map(lt.read_adapter, places)
display(one)
update = one["model.layers.0.self_attn.q_proj"]
print(
    f"shape {update.shape}, rank {update.rank}, largest singular value {update.spectral_norm:.3f}"
)

# %% [markdown]
# An update is kept as two thin factors, `up` and `down`. Their product is formed only if you ask
# for `dense()`. Singular values, norms and products are computed from the factors.

# %%
pd.DataFrame({module: one[module].S for module in one}).T.round(3)

# %% [markdown]
# ## Interference
# `lt.interference` compares the updates of one module. Entry $(i,j)$ of `crosstalk` is the largest
# response of adapter $j$ to an input of length one that adapter $i$ reads. `bound` is an upper
# bound on it: the largest singular value of $j$ times the cosine of the smallest angle between the
# inputs that $i$ and $j$ read.

# %%
rows = []
for module in one:
    found = lt.interference([one[module], two[module]])
    row = (found.crosstalk[0, 1], found.bound[0, 1], found.row_cosine[0, 1])
    rows.append(row)
table = pd.DataFrame(rows, index=list(one), columns=["cross-talk", "bound", "cosine"])
assert (table["cross-talk"] <= table["bound"] + 1e-12).all()
table.round(3)

# %% [markdown]
# In layer 0 both adapters read nearly the same inputs. So the cosine is near 1, and each adapter
# responds to the inputs of the other. In layer 1 the cosine is much smaller.
#
# ## Diagnose
# `lt.diagnose` does this for all modules. It says in words what follows, and which theorem each
# sentence rests on. `diagnosis` alone in a cell shows all its sentences.

# %%
diagnosis = lt.diagnose(*places)
for finding in diagnosis.findings[:2]:
    print(f"{finding.text} ({finding.label})\n")

# %% [markdown]
# ## Merge
# `lt.merge` takes folders or adapters, the name of a method, and options. `lt.MERGE_METHODS` has
# the formula of each method. With weights, the mean is a weighted mean.

# %%
mean = lt.merge(places, "mean", weights=[0.7, 0.3])
total = lt.merge(places, "sum")
short = lt.merge(places, "svd", rank=4)
module = "model.layers.1.self_attn.q_proj"
exact = 0.7 * one[module].dense() + 0.3 * two[module].dense()
assert np.allclose(mean[module].dense(), exact)
print(f"rank of the sum {total[module].rank}, of its best approximation {short[module].rank}")

# %% [markdown]
# The sum and the mean of two adapters of rank 4 have rank 8. The method `svd` returns the matrix of
# rank 4 that is nearest to the sum. It loses the other four singular values.

# %%
lost = (total[module] - short[module]).norm ** 2
assert np.isclose(lost, total[module].tail_energy(4))
print(f"lost: {lost / total[module].norm ** 2:.0%} of the squared norm of the sum")

# %% [markdown]
# ## How close can any merge come to both adapters?
# A merge cannot equal two different adapters. `thm:merge-floor` gives the smallest possible mean
# squared distance at each rank. `lt.check` compares a merge of yours with this floor.

# %%
case = Tasks((one[module], two[module]), rank=8)
even = lt.merge(places)
display(lt.check("merge-floor", case, even[module]))
display(lt.check("merge-floor", case, mean[module]))
display(lt.check("merge-floor", case, total[module]))
assert lt.check("merge-floor", case, even[module]).tight

# %% [markdown]
# The plain mean meets the floor. The weighted mean and the sum are farther away on average. This is
# a distance between weights. It does not say which answers a merge gives.
#
# The theorem itself is checked on random cases, with merges that try to beat the floor:

# %%
lt.verify("merge-floor")

# %% [markdown]
# `dir(lt.theorems)` lists all theorems, so the Tab key completes their names.

# %%
print(lt.theorems.merge_floor.statement)

# %% [markdown]
# ## Write and read back
# The result is a folder that PEFT and vLLM load, and llama.cpp if all modules have one rank.

# %%
written = lt.write_adapter(even, home / "merged")
again = lt.read_adapter(written.folder)
gap = max((again[name] - even[name]).norm / even[name].norm for name in even)
print(
    f"{len(again)} modules in {written.dtype}; reading changes an update by {gap:.1e} of its norm"
)
assert gap < 1e-6

# %% [markdown]
# ## What next?
# - **Which answers does a merge keep?** Weights do not show this. With the base model,
#   `loratheory advise` compares methods on your prompts.
# - **Gates instead of a merge.** With the base model, three lines let each prompt choose its
#   adapter:
#
#   ```python
#   model = lt.pretrained.load_model("BASE")
#   acting = lt.pretrained.attach(model, places)
#   lt.pretrained.gate_prompts(model, acting)
#   ```
# - **Why do merges lose two-hop answers?** [Notebook 02](02_two_hop_averaging.ipynb) derives it.
# - **All notebooks** are listed in [Where do I start?](00_start_here.ipynb)
