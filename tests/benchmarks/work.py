"""One piece of work in a fresh process, one thread: CPU seconds and extra peak memory as JSON.

``python work.py NAME SIDE SIZE REPEATS`` prints ``{"cpu": …, "mib": …, "whole": …}``: the least CPU
time of one call, the extra peak memory of the first, and the CPU time of the whole process. Set
``OMP_NUM_THREADS=1`` and the like before.
"""

import json
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np

FOLDER = sys.argv[5] if len(sys.argv) > 5 else None
WEIGHTS = [0.7, 0.3]
RANK = 16


def factors(size, count, rank=RANK):
    """Gaussian up and down factors in float32, the same for both sides."""
    rng = np.random.default_rng(0)
    draw = partial(rng.standard_normal, dtype=np.float32)
    root = size**-0.5
    return [(draw((size, rank)) * root, draw((rank, size)) * root) for _ in range(count)]


def merge_ours(size):
    import scipy.linalg  # noqa: F401  which only larger cases load

    from loratheory.adapters import Adapter, merge
    from loratheory.lowrank import LowRank

    adapters = [Adapter.of({"q": LowRank(*pair)}) for pair in factors(size, 2)]
    return lambda: merge(adapters, "svd", weights=WEIGHTS, rank=RANK)["q"]


def tuned(base, targets, names, alpha=RANK):
    """The base with adapters of these names on it, by PEFT."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.set_num_threads(1)
    config = LoraConfig(r=RANK, lora_alpha=alpha, target_modules=targets)
    model = get_peft_model(base, config, adapter_name=names[0])
    for name in names[1:]:
        model.add_adapter(name, config)
    return model


def one_map(size, names):
    """PEFT's model of one linear map, with the adapters that the other side has, too."""
    import torch

    base = torch.nn.Sequential()
    base.add_module("q", torch.nn.Linear(size, size, bias=False))
    model = tuned(base, ["q"], names)
    layer = model.base_model.model.q
    for name, (up, down) in zip(names, factors(size, len(names)), strict=True):
        layer.lora_A[name].weight.data = torch.asarray(down)
        layer.lora_B[name].weight.data = torch.asarray(up)
    return model


def anew(model, name, make):
    """Have an adapter made, the one of an earlier call deleted before."""

    def run():
        if name in model.peft_config:
            model.delete_adapter(name)
        make()

    return run


def merge_peft(size):
    model = one_map(size, ["one", "two"])
    how = {"combination_type": "svd", "svd_rank": RANK}
    merge = partial(model.base_model.add_weighted_adapter, ["one", "two"], WEIGHTS, "merged", **how)
    return anew(model, "merged", merge)


def ties_ours(size):
    """Trimmed, elected and truncated to rank 16 in the space of the updates themselves."""
    from loratheory.adapters import Adapter, merge
    from loratheory.lowrank import LowRank

    adapters = [Adapter.of({"q": LowRank(*pair)}) for pair in factors(size, 2)]
    return lambda: merge(adapters, "ties", density=0.2, rank=RANK)["q"]


def ties_peft(size):
    model = one_map(size, ["one", "two"])
    how = {"combination_type": "ties_svd", "svd_rank": RANK, "density": 0.2}
    merge = partial(model.base_model.add_weighted_adapter, ["one", "two"], [1.0, 1.0], "m", **how)
    return anew(model, "m", merge)


def knots_ours(size):
    from loratheory.adapters.merging import knots
    from loratheory.lowrank import LowRank

    updates = [LowRank(*pair).map(np.float64) for pair in factors(size, 2)]
    return lambda: knots(updates)


def knots_dense(size):
    import torch

    torch.set_num_threads(1)
    pairs = [[torch.asarray(f).double() for f in pair] for pair in factors(size, 2)]
    return lambda: torch.linalg.svd(
        torch.cat([up @ down for up, down in pairs], dim=1), full_matrices=False
    )


def arrow_ours(size, tokens=512, experts=32):
    import torch

    from loratheory.adapters import Router, arrow_scores, forward
    from loratheory.lowrank import LowRank

    torch.set_num_threads(1)
    updates = [LowRank(*pair).map(torch.asarray) for pair in factors(size, experts)]
    router = Router(arrow_scores(updates), top_k=3)
    x = torch.randn(tokens, size)
    return lambda: forward(updates, x, router.weights(x))


def arrow_peft(size, tokens=512, experts=32):
    import torch
    from peft.tuners.lora.arrow import ArrowLoraLinearLayer
    from peft.tuners.lora.config import ArrowConfig

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    names = [f"task_{i}" for i in range(experts)]
    config = ArrowConfig(top_k=3, rng_seed=0)
    config.task_adapter_names, config.gks_adapter_names = names, []
    layer = ArrowLoraLinearLayer(size, config)
    down = {name: torch.nn.Linear(size, RANK, bias=False) for name in names}
    up = {name: torch.nn.Linear(RANK, size, bias=False) for name in names}
    for name, (left, right) in zip(names, factors(size, experts), strict=True):
        up[name].weight.data, down[name].weight.data = torch.asarray(left), torch.asarray(right)
    layer.build_prototypes(down, up)
    x = torch.randn(1, tokens, size)
    scale = dict.fromkeys(names, 1.0)
    return lambda: layer(x, down, up, torch.nn.Identity(), scale)


def intruders_ours(size):
    """Of a further adapter: the base is decomposed once, before."""
    from loratheory.lowrank import LowRank
    from loratheory.pretrained.check import decompose, find_intruders

    matrix = np.random.default_rng(1).standard_normal((size, size), dtype=np.float32) * size**-0.5
    (base, _), (low,) = decompose(matrix), [LowRank(*pair) for pair in factors(size, 1)]
    return lambda: find_intruders(matrix, base, low)


def intruders_peft(size):
    """PEFT finds them and takes them out; it decomposes the base anew for each adapter."""
    import torch
    from peft.tuners.lora.intruders import reduce_intruder_dimension

    model = one_map(size, ["one"])
    reduce = partial(reduce_intruder_dimension, model, "one", "less", logging_sink=None)
    return anew(model, "less", torch.no_grad()(reduce))


def llama(width):
    """A model of 8 blocks, 7 linear maps each: 56 modules."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": width, "intermediate_size": width, "num_hidden_layers": 8}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 8, "vocab_size": 32}
    return LlamaForCausalLM(LlamaConfig(**sizes, **heads))


MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def saved(width, folder):
    """That base with two adapters of rank 16 on its linear maps, which PEFT saves there."""
    import torch

    torch.set_grad_enabled(False)
    model = tuned(llama(width), MODULES, ["one", "two"], alpha=2 * RANK)
    for key, value in model.named_parameters():
        if "lora_" in key:
            torch.nn.init.normal_(value, std=0.02)
    model.save_pretrained(folder)
    return model


def folders_made(width):
    """Writes the two adapters and the base model that the next two read."""
    here = Path(FOLDER)
    llama(width).save_pretrained(here / "base")
    saved(width, here)
    return lambda: None


def folders_ours(_):
    from loratheory.adapters import merge, read_adapter, write_adapter

    here = Path(FOLDER)
    adapters = [read_adapter(here / name) for name in ("one", "two")]
    with tempfile.TemporaryDirectory() as out:
        merged = merge(adapters, "svd", weights=WEIGHTS, rank=RANK)
        assert len(merged) == 56
        write_adapter(merged, Path(out) / "merged")
    return lambda: None


def folders_peft(_):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    here = Path(FOLDER)
    base = AutoModelForCausalLM.from_pretrained(here / "base")
    model = PeftModel.from_pretrained(base, here / "one", adapter_name="one")
    model.load_adapter(here / "two", adapter_name="two")
    model.add_weighted_adapter(["one", "two"], WEIGHTS, "m", combination_type="svd", svd_rank=RANK)
    with tempfile.TemporaryDirectory() as out:
        model.save_pretrained(out, selected_adapters=["m"])
    return lambda: None


class Numbers:
    """Reads words as some numbers below 32."""

    pad_token_id = 0

    def __call__(self, text, **_):
        """The tokens of a text."""
        return {"input_ids": [sum(map(ord, word)) % 32 for word in text.split()]}


def asked(count):
    """A model of width 128, so many random adapters on its maps, and sixteen prompts of each."""
    import torch

    from loratheory.adapters import Adapter
    from loratheory.lowrank import LowRank
    from loratheory.pretrained import Model
    from loratheory.pretrained.models import maps

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    model = Model(llama(128).eval(), Numbers())
    shapes = {n: p.shape for n, p in maps(model).items() if n.rpartition(".")[2] in MODULES}

    def factor(*shape):
        return (0.1 * rng.standard_normal(shape)).astype("f4")

    library = [
        Adapter.of({n: LowRank(factor(a, RANK), factor(RANK, b)) for n, (a, b) in shapes.items()})
        for _ in range(count)
    ]
    texts = [" ".join(map(str, row)) for row in rng.integers(32, size=(16 * count, 12)).tolist()]
    return model, library, texts


def advise_ours(count):
    """All ways, for adapters whose answers nobody knows."""
    from loratheory.pretrained import advise
    from loratheory.pretrained.advise import split_prompts

    model, library, texts = asked(count)
    prompts = {f"{i}": dict.fromkeys(texts[i::count], "") for i in range(count)}
    return lambda: advise(model, library, *split_prompts(prompts), tokens=1)


def advise_passes(count):
    """A hundred passes over all prompts, with nothing attached."""
    from loratheory.pretrained import next_token_logits

    model, _, texts = asked(count)
    next_token_logits(model, texts)
    return lambda: [next_token_logits(model, texts) for _ in range(100)]


def memory(field):
    """A line of this process's status, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(field + ":")[1].split()[0]) / 1024


def measured(prepare, size, repeats):
    """Libraries are warmed on a small case, so that only the work counts."""
    if repeats > 1 or size > 1024:
        prepare(64)()
    run = prepare(size)
    peak = memory("VmHWM")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    before, spent = memory("VmRSS"), []
    for _ in range(repeats):
        start = time.process_time()
        run()
        spent.append(time.process_time() - start)
        if len(spent) == 1:
            extra = memory("VmHWM") - before
    return {"cpu": min(spent), "mib": extra, "peak": max(peak, memory("VmHWM"))}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    task = globals()[f"{sys.argv[1]}_{sys.argv[2]}"]
    result = measured(task, int(sys.argv[3]), int(sys.argv[4]))
    result["whole"] = time.process_time()
    sys.stdout.write(json.dumps(result))
