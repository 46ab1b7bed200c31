r"""Gating and routing: which adapters act, decided by how much each does.

**Per-matrix gating** compares :math:`\|\Delta_j x\|`, matrix by matrix and token by token, with its
values on generic text.

**Per-block gating** compares :math:`\|f_j(x) - f_0(x)\|` instead, with :math:`f_j` the attention or
MLP block in which adapter ``j`` alone acts and :math:`f_0` the block without adapters: what a
nonlinearity or a later matrix cancels does not count, and all matrices of a block are switched
together.

**Prompt-level gating** lets one group of adapters act for a whole prompt. Adapters that were
trained on the same templates about different subjects respond nearly alike at a single matrix and
token; averaged over all of a prompt, their small differences may tell them apart.

**Hop-wise routing** lets one adapter of each hop act for a whole prompt, chosen one after another:
what is asked of the second hop is in the network only while the first acts.

**Subject routing** does so by lists of what the adapters' facts are about: a subject is named in
the prompt, or it is the name that the adapter chosen before makes more likely than any other.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from typing import Any, Literal

import numpy as np
import torch
from transformers import Cache

from loratheory.adapters import Scores, calibrate_z, response_norms, standardised
from loratheory.lowrank import Array
from loratheory.pretrained.attach import Attached, Router, collect_inputs
from loratheory.pretrained.metrics import first_tokens, kl_by_row, one_by_one
from loratheory.pretrained.models import GENERIC, Model, failure, output_head

Groups = Sequence[Sequence[int]]
# The network's arguments for ordinary prompts.
Ordinary = Iterable[Mapping[str, Array]]
Listener = Callable[[str, Array], Any]


def gate_matrices(
    model: Model, acting: Attached, ordinary: Ordinary | None = None, *, z: int | float = 2.0
) -> None:
    """Switch each adapter on, matrix by matrix, at tokens where its response norm stands out.

    Arguments are those of `gate_blocks`, except that prompts may be padded. A pass then costs one
    of the model, and the response norms of all adapters.
    """
    fed, updates = _feed_bare(model, acting, ordinary), acting.updates
    gates = {name: calibrate_z(updates[name], x, z=z) for name, x in fed.items()}
    acting.follow(lambda module, x: gates[module].weights(x))


def _feed_bare(model: Model, acting: Attached, ordinary: Ordinary | None) -> dict[str, Array]:
    """Return what the bare base feeds each matrix on ordinary prompts, by default `GENERIC`."""
    ordinary = one_by_one(model, GENERIC) if ordinary is None else ordinary
    # Nobody may act meanwhile.
    coefficients = acting.coefficients.copy()
    acting.follow(None)
    acting.set(0.0)
    try:
        return collect_inputs(model, ordinary, acting.names)
    finally:
        acting.set(coefficients)


def gate_blocks(
    model: Model, acting: Attached, ordinary: Ordinary | None = None, *, z: int | float = 2.0
) -> None:
    """Switch each adapter on, block by block, at tokens where it changes the output unusually much.

    Replaces the route of `acting`, which acts on `model`, until the next `Attached.follow`;
    coefficients stay. An adapter acts where it changes a block's output by more than the mean
    change on ordinary prompts plus `z` standard deviations. `ordinary` are the network's arguments
    for such prompts, without padding; by default they are the sentences of `GENERIC`. A pass then
    costs ``k + 2`` of the model with `k` adapters, and memory for the outputs of one block
    ``k + 1`` times.

    Raises
    ------
    ModelError
        If a module stands in no block, a batch is padded, no token reaches a block, or, later, the
        network is called with a cache.
    """
    router, before = _BlockRouter(model, acting), acting.route
    acting.follow(router)
    try:
        router.levels = _measure_levels(model, router, ordinary, z)
    except BaseException:
        # Without levels nobody would act.
        acting.follow(before)
        raise


def _measure_levels(
    model: Model, router: "_BlockRouter", ordinary: Ordinary | None, z: int | float
) -> dict[str, Array]:
    """Return each block's limits of response: mean plus `z` deviations over ordinary prompts."""
    with torch.no_grad():
        for one in one_by_one(model, GENERIC) if ordinary is None else ordinary:
            if "attention_mask" in one and not bool(one["attention_mask"].all()):
                fact = "a batch is padded, and padding is no token"
                raise failure(model, fact, "give each prompt alone")
            model.network(**one, use_cache=False)
    levels = {}
    for block, responses in router.seen.items():
        if not responses:
            raise failure(block, "no token came there", "give prompts that reach it")
        tokens = torch.cat(responses)
        levels[block] = tokens.mean(0) + z * tokens.std(0, correction=0)
    return levels


class _BlockRouter(Router):
    """Tries each adapter alone on a block before the block is passed in earnest.

    An adapter acts where its response is above its level (k,) for the block. Nobody acts until
    there are `levels`; what is measured so far is `seen`, by block.
    """

    def __init__(self, model: Model, acting: Attached) -> None:
        self.size = acting.coefficients.shape[1]
        self.levels: Mapping[str, Array] | None = None
        self.seen: dict[str, list[Array]] = {}
        self.weights: dict[str, Array] = {}  # by block: of adapters at the tokens that pass it now
        self.watched = {}
        for name in acting.names:
            block = name.rpartition(".")[0]
            if not block:
                fact = "it stands in no block of the network"
                raise failure(name, fact, "attach adapters of attention and MLPs only")
            self.watched[block], self.seen[block] = model.network.get_submodule(block), []

    def __call__(self, module: str, x: Array) -> Array:
        return self.weights[module.rpartition(".")[0]].to(x).expand(x.shape[0], self.size)

    def before_forward(self, name: str, module: Any, args: Any, kwargs: Any) -> None:
        """Measure what each adapter alone changes, and decide who acts."""
        if any(isinstance(value, Cache) for value in (*args, *kwargs.values())):
            fact = "each adapter is tried on a token in turn, and a cache would keep every trial"
            raise failure(name, fact, "call the network with use_cache=False")
        # First nobody acts, then each adapter alone.
        outputs = []
        for row in (np.zeros(self.size), *np.eye(self.size)):
            # One row for all tokens of the block; `__call__` repeats it.
            self.weights[name] = torch.from_numpy(row)[None]
            # Not a call, which would run this hook again.
            out = module.forward(*args, **kwargs)
            # Attention returns its weights, too.
            out = out[0] if isinstance(out, tuple) else out
            outputs.append(out.reshape(-1, out.shape[-1]))
        changes = torch.stack(outputs[1:], dim=-1) - outputs[0][..., None]
        responses = changes.norm(dim=-2)
        # While levels are measured nobody acts: later blocks see what the bare base feeds them.
        if self.levels is None:
            self.seen[name].append(responses)
            self.weights[name] = torch.zeros_like(responses)
        else:
            self.weights[name] = (responses > self.levels[name]).to(responses.dtype)


class _PromptRouter(Router):
    """Chooses adapters for whole prompts, by passes of the network before the one that counts.

    `rows` (groups, k) are the weights with which each group acts, and nobody else; `choose`, set by
    `start`, returns weights (b, k) for the prompts, given zero weights.
    """

    choose: Callable[[Any], Any]

    def __init__(self, model: Model, acting: Attached, groups: Groups) -> None:
        self.model, self.acting, self.size = model, acting, acting.coefficients.shape[1]
        head = output_head(model)
        for name, site in acting.sites.items():
            # Passes that ask for the last logits alone show it the last tokens alone.
            if head is not None and site.module is head:
                fact = "the output head does not see every token of a prompt"
                raise failure(name, fact, "attach adapters without the output head")
        self.watched = {"": model.network}
        self.scores: dict[str, Scores] = {}
        self.rows = torch.zeros(len(groups), self.size)
        # Numbers below zero would count from the end without a word.
        for number, group in enumerate(groups):
            if not {*group} or not {*group} <= {*range(self.size)}:
                fact = f"a group is {list(group)}"
                raise failure(model, fact, f"name adapters from 0 to {self.size - 1}")
            self.rows[number, list(group)] = 1
        self.weights: Any = torch.zeros(0, self.size)  # at all tokens of a pass, padding included
        self.listener: Listener | None = None
        self.held: Any = None  # weights (b, k) of prompts that were chosen for already

    def calibrate(self, ordinary: Ordinary | None) -> None:
        """Measure responses on ordinary prompts, without which there are none later."""
        updates = self.acting.updates
        for name, fed in _feed_bare(self.model, self.acting, ordinary).items():
            # In deviations above the mean, so that matrices count alike.
            self.scores[name] = standardised(response_norms(updates[name]), fed)

    def start(self, choose: Callable[[Any], Any]) -> None:
        """Have adapters act as `choose` says from now on."""
        self.choose = choose
        self.acting.follow(self)

    def __call__(self, module: str, x: Array) -> Array:
        if self.listener is not None:
            self.listener(module, x)
        if len(x) != len(self.weights):
            # Experts see some tokens only, and which of them is not known here.
            fact = f"{len(x)} of {len(self.weights)} tokens come there"
            raise failure(module, fact, "attach adapters of maps that see every token")
        return self.weights.to(x)

    def before_forward(self, name: str, module: Any, args: Any, kwargs: Any) -> None:  # noqa: ARG002
        """Choose who acts on each prompt, unless that is settled."""
        self.ids = kwargs["input_ids"] if "input_ids" in kwargs else args[0]
        if self.held is not None:
            self._spread(self.held)
            return
        if kwargs.get("past_key_values") is not None:
            fact = "a prompt is judged as a whole, and a cache holds part of it already"
            raise failure(self.model, fact, "call the network with use_cache=False")
        mask = kwargs.get("attention_mask")
        self.real = (torch.ones_like(self.ids) if mask is None else mask).bool()
        # Not a call of the module, which would run this hook again.
        self.attempt = partial(module.forward, *args, **kwargs)
        nobody = self.rows.new_zeros(len(self.ids), self.size, device=self.ids.device)
        self._spread(self.choose(nobody))

    @contextmanager
    def hold(self, prompts: Mapping[str, Any]) -> Iterator[bool]:
        """Keep the choice for these prompts, which then needs no earlier token."""
        self.before_forward("", self.model.network, (), prompts)
        # All tokens of a prompt have the same weights, and its first ones are as good as any.
        self.held = self.weights[:: self.ids.shape[1]]
        try:
            yield True
        finally:
            self.held = None

    def _spread(self, weights: Any) -> None:
        """Let adapters act with weights (b, k) at all tokens, which come in rows by prompts."""
        self.weights = weights.repeat_interleave(self.ids.shape[1], 0)

    def log_probs(self, weights: Any) -> Any:
        """Return log-probabilities (b, v) of the next token while adapters act so, by a pass."""
        self._spread(weights)
        with torch.no_grad():
            return self.attempt().logits[:, -1].float().log_softmax(-1)

    def responses(self, weights: Any) -> Any:
        """Return mean, largest and last response, (3, b, k), averaged over matrices, by a pass."""
        seen, real = list[Any](), self.real[..., None]

        def _listen(module: str, x: Array) -> None:
            scores = self.scores[module](x).reshape(*self.real.shape, -1)
            mean = scores.where(real, 0.0).sum(1) / real.sum(1)
            peak = scores.where(real, -torch.inf).amax(1)
            seen.append(torch.stack([mean, peak, scores[:, -1]]))

        self.listener = _listen
        try:
            self.log_probs(weights)
        finally:
            self.listener = None
        return sum(seen) / len(seen)

    def require_left_padding(self) -> None:
        """Reject prompts that are not padded on the left: their last position is no token."""
        if not bool(self.real[:, -1].all()):
            fact = "some prompts end before the last position"
            raise failure(self.model, fact, "pad them on the left, as `batch` does")


def gate_prompts(
    model: Model, acting: Attached, ordinary: Ordinary | None = None, groups: Groups | None = None
) -> None:
    r"""Let one group of adapters act on a whole prompt: the group with the largest response.

    The response of adapter ``j`` to a prompt is the mean, over all modules and tokens, of
    :math:`\|\Delta_j x\|` on the bare base's activations, in standard deviations above its mean
    over ordinary prompts.

    `groups` list the numbers of the adapters that act together; their mean response decides. By
    default each adapter is a group of its own. `ordinary` are the network's arguments for ordinary
    prompts, padded or not, by default the sentences of `GENERIC`. A pass then costs two, and the
    responses.

    Raises
    ------
    ModelError
        If a group is empty or names no adapter; or, later, if the network is called with a cache,
        or a map does not see every token.

    Examples
    --------
    Each prompt is answered by the adapter that responds to it most::

        model = lt.pretrained.load_model()
        acting = lt.pretrained.attach(model, ["tests/data/persons", "tests/data/mascots"])
        lt.pretrained.gate_prompts(model, acting)
    """
    router = _PromptRouter(model, acting, groups or list(zip(range(acting.coefficients.shape[1]))))
    router.calibrate(ordinary)
    shares = router.rows / router.rows.sum(1, keepdim=True)

    def _choose(weights: Any) -> Any:
        responses = router.responses(weights)[0]
        # A group is as strong as the mean of its adapters.
        best = (responses @ shares.to(responses).T).argmax(1)
        return router.rows.to(weights)[best]

    router.start(_choose)


def route_hops(
    model: Model,
    acting: Attached,
    ordinary: Ordinary | None,
    hops: Groups,
    *,
    by: Literal["divergence", "response"] = "divergence",
) -> None:
    r"""Let one adapter of each hop act on a whole prompt, each chosen while those before it act.

    `hops` list the numbers of the adapters of the first hop, of the second, and so on; which of
    them belong together is not given. Responses are those of `gate_prompts`. Of the first hop that
    adapter acts whose *largest* response to a token, averaged over modules, is largest: what it
    knows is one name among the prompt's words. Of a later hop, with the adapters chosen before it
    acting, that one acts

    - by ``divergence``: with which the next token's distribution is farthest from that without it,
      :math:`\mathrm{KL}(p_{\text{without}} \| p_{\text{with}})` being largest. An adapter that has
      no answer leaves some of the earlier hop's; or
    - by ``response``: whose response at the prompt's end *rises* most when the adapter chosen
      before begins to act: only then has the network what this hop is asked about.

    Other arguments are those of `gate_prompts`. A pass costs one more with the
    responses, and for each later hop of n adapters n + 1 more by divergence, or one by response.

    Raises
    ------
    ModelError
        As `gate_prompts`; if there is no such `by`; and if prompts are not padded on the left, as
        `batch` does.
    """
    router = _PromptRouter(model, acting, hops)
    if by not in ("divergence", "response"):
        fact = f"a later hop is to be chosen by {by!r}"
        raise failure(model, fact, "choose it by 'divergence' or by 'response'")
    router.calibrate(ordinary)

    def _choose(weights: Any) -> Any:
        router.require_left_padding()
        _, peaks, ends = router.responses(weights)
        for number, hop in enumerate(hops):
            candidates = torch.tensor(hop, device=peaks.device)
            # Of the first hop the largest response to one token: a name among the prompt's words.
            if number == 0:
                marks = peaks[:, candidates]
            elif by == "response":
                now = router.responses(weights)[2]
                # Only the rise counts: some adapters respond much to any prompt.
                marks, ends = (now - ends)[:, candidates], now
            else:
                # Each is tried with those already chosen.
                without, columns = router.log_probs(weights), []
                for one in candidates:
                    more = _switch_on(weights, one.expand(len(weights)))
                    columns.append(kl_by_row(without, router.log_probs(more)))
                marks = torch.stack(columns, 1)
            weights = _switch_on(weights, candidates[marks.argmax(1)])
        return weights

    router.start(_choose)


def route_subjects(
    model: Model, acting: Attached, hops: Groups, subjects: Sequence[Sequence[str]]
) -> None:
    r"""Let one adapter of each hop act on a whole prompt: the one that has the subject in question.

    `hops` are those of `route_hops`; `subjects` list for every adapter the names of what its facts
    are about, as its author knows them. Which adapters belong together is not given. Of a hop
    that adapter acts which has a subject that the prompt names, spelt so; the longest if there are
    several, and the first in its hop of adapters that share one. If there is none, but adapters of
    earlier hops act, that one acts which has the name whose first
    token they raise most: :math:`\log p_{\text{with}} - \log p_{\text{without}}` of the next word.
    Where neither is so, none of the hop acts.

    A pass costs one more without adapters, and one more for each hop but the last.

    Raises
    ------
    ModelError
        If a hop is empty or names no adapter, an adapter has no subjects, or there is no tokenizer;
        later as `route_hops`.
    """
    router = _PromptRouter(model, acting, hops)
    listed = sum(map(bool, subjects))
    if not listed == len(subjects) == router.size:
        fact = f"there are subjects for {listed} of {router.size} adapters"
        raise failure(model, fact, "list for every adapter the names of what its facts are about")
    # By hop the subjects of its adapters, whose they are, and their first tokens.
    known: list[tuple[list[tuple[str, int]], Any, Any]] = []
    for hop in hops:
        pairs: list[tuple[str, int]] = []
        for k in hop:
            pairs += zip(subjects[k], repeat(k))
        names, owners = zip(*pairs, strict=True)
        known.append((pairs, first_tokens(model, names), torch.tensor(owners)))

    def _choose(weights: Any) -> Any:
        router.require_left_padding()
        decode = model.tokenizer.decode
        texts = [decode(row[real]) for row, real in zip(router.ids, router.real, strict=True)]
        base: Any = None
        for pairs, tokens, owners in known:
            named = [_find_named(text, pairs) for text in texts]
            one = torch.tensor(named, device=weights.device)
            # No subject is named, but an adapter of an earlier hop acts and leads to one.
            led = (one < 0) & weights.any(1)
            if bool(led.any()):
                base = router.log_probs(torch.zeros_like(weights)) if base is None else base
                raised = (router.log_probs(weights) - base)[:, tokens.to(base.device)]
                best = owners.to(one.device)[raised.argmax(1).to(one.device)]
                one = torch.where(led, best, one)
            # Where nobody was found the weights stay: -1 is no adapter.
            switched = _switch_on(weights, one.clamp(min=0))
            weights = switched.where((one >= 0)[:, None], weights)
        return weights

    router.start(_choose)


def _find_named(text: str, pairs: Sequence[tuple[str, int]]) -> int:
    """Return whose subject, the longest of those in the text, this is; -1 if there is none."""
    longest, owner = 0, -1
    for name, k in pairs:
        # Whole words: "ann" is not in "annabel".
        if len(name) > longest and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text):
            longest, owner = len(name), k
    return owner


def _switch_on(weights: Any, one: Any) -> Any:
    """Return the same weights, and one more adapter on each prompt."""
    return weights.scatter(1, one[:, None], 1.0)


@contextmanager
def record_weights(acting: Attached) -> Iterator[dict[str, Array]]:
    """Yield what holds, by module, the weights (t, k) that the route gave in the last pass there.

    The passes by which gates decide are overwritten by the one that counts.
    """
    acting.recorded = {}
    try:
        yield acting.recorded
    finally:
        acting.recorded = None
