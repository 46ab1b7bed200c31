r"""Gates on maps, whole blocks and whole prompts: which adapters act, by how much each does there.

**Map gates** compare :math:`\|\Delta_j x\|`, map by map and token by token, with its values on
ordinary sentences.

**Block gates** compare :math:`\|f_j(x) - f_0(x)\|` instead, with :math:`f_j` the attention or MLP
block in which adapter ``j`` alone acts and :math:`f_0` the block without adapters: what a
nonlinearity or a later map cancels does not count, and all maps of a block are switched together.

**Prompt gates** let one group of adapters act for a whole prompt. Adapters that were trained on
the same sentences about different subjects respond nearly alike at a single map and token; averaged
over all maps and tokens of a prompt, their small differences may tell them apart.

**Hop gates** let one adapter of each hop act for a whole prompt, chosen one after another: what is
asked of the second hop is in the network only while the first acts.

**Subject gates** do so by lists of what the adapters' facts are about: a subject is named in the
prompt, or it is the name that the adapter chosen before makes more likely than any other.

All but subject gates return what they measured on ordinary sentences, as `Levels`. Given these
again, for instance from a file, they need no sentences.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial, wraps
from inspect import unwrap
from typing import Any, Literal

import numpy as np

from loratheory.adapters import Gates, Scores, response_norms, standardised
from loratheory.lowrank import Array
from loratheory.pretrained._ask import batch, first_tokens, inputs, last_logits
from loratheory.pretrained._attach import Attached, Route, routed
from loratheory.pretrained._model import Model, failure

Groups = Sequence[Sequence[int]]
Levels = Mapping[str, Array]
"""By map or block a (2, k) tensor: the mean and the standard deviation of each adapter's responses
to ordinary tokens."""
Attempt = Callable[..., Any]
"""``attempt(weights, hear)``: what the network returns for its prompts while adapters act with
weights (b, k); ``hear(module, x)``, if given, is called with the inputs of each module."""


def map_gates(
    model: Model,
    acting: Attached,
    batches: Iterable[Mapping[str, Array]] = (),
    *,
    z: int | float = 2.0,
    levels: Levels | None = None,
) -> Levels:
    """Switch each adapter on, map by map, at tokens where its response norm stands out.

    Arguments and result are those of `block_gates`, except that batches may be padded. A pass then
    costs one of the model, and the response norms of all adapters.
    """
    found = _map_levels(model, acting, batches) if levels is None else levels
    scores = _scores(acting, found)
    acting.follow(routed({name: Gates(s, s.shift * 0 + z) for name, s in scores.items()}))
    return found


def _map_levels(
    model: Model, acting: Attached, batches: Iterable[Mapping[str, Array]]
) -> dict[str, Array]:
    """What adapters respond, map by map, to what the bare base feeds it on ordinary prompts."""
    import torch

    coefficients, acting.route = acting.coefficients.copy(), None
    acting.set(0.0)
    try:
        ordinary = inputs(model, batches, acting.names)
    finally:
        acting.set(coefficients)
    scores = {
        n: standardised(response_norms(low), ordinary[n]) for n, low in acting.updates.items()
    }
    return {name: torch.stack([one.shift, one.spread]) for name, one in scores.items()}


def _scores(acting: Attached, levels: Levels) -> dict[str, Scores]:
    """Responses in deviations above the mean that ordinary tokens gave, map by map."""
    found = {}
    for name, low in acting.updates.items():
        mean, deviation = levels[name].to(low[0].up.device)
        found[name] = replace(response_norms(low), shift=mean, spread=deviation)
    return found


def block_gates(
    model: Model,
    acting: Attached,
    batches: Iterable[Mapping[str, Array]] = (),
    *,
    z: int | float = 2.0,
    levels: Levels | None = None,
) -> Levels:
    """Switch each adapter on, block by block, at tokens where it changes the output unusually much.

    Replaces the route of `acting`, which acts on `model`, until the next `Attached.follow`;
    coefficients stay. `batches` are the network's arguments for ordinary prompts, without padding.
    An adapter acts where it changes a block's output by more than the mean change on these prompts
    plus `z` standard deviations. Returns these means and deviations; given as `levels`, for the
    same adapters in the same order, they replace the batches. A pass then costs ``k + 2`` of the
    model with `k` adapters, and memory for the outputs of one block ``k + 1`` times.

    Raises
    ------
    ModelError
        If a module stands in no block, a batch is padded, no token reaches a block, or, later, the
        network is called with a cache.
    """
    import torch

    size = acting.coefficients.shape[1]
    blocks = {name: name.rpartition(".")[0] for name in acting.names}
    alone = next((name for name, block in blocks.items() if not block), None)
    if alone:
        fact = "it stands in no block of the network"
        raise failure(alone, fact, "attach adapters of attention and MLPs only")
    ordinary: dict[str, list[Array]] = {block: [] for block in blocks.values()}
    found: dict[str, Array] = dict(levels or {})
    weights: dict[str, Array] = {}  # by block: of adapters at the tokens that pass it at present

    def _route(module: str, x: Array) -> Array:
        return weights[blocks[module]].to(x).expand(x.shape[0], size)

    def _decide(block: str, module: Any, args: Any, kwargs: Any) -> None:
        """Ask each adapter alone what it changes, before the block is passed in earnest."""
        from transformers import Cache

        if any(isinstance(value, Cache) for value in (*args, *kwargs.values())):
            fact = "each adapter is tried on a token in turn, and a cache would keep every trial"
            raise failure(block, fact, "call the network with use_cache=False")
        outputs = []
        for row in (np.zeros(size), *np.eye(size)):
            weights[block] = torch.from_numpy(row)[None]
            out = module.forward(*args, **kwargs)
            out = out[0] if isinstance(out, tuple) else out
            outputs.append(out.reshape(-1, out.shape[-1]))
        bare, *each = outputs
        responses = torch.stack([(one - bare).norm(dim=-1) for one in each], dim=-1)
        if block not in found:
            ordinary[block].append(responses)
            mean, deviation = torch.inf, 0.0  # nobody acts as yet
        else:
            mean, deviation = found[block].to(responses.device)
        weights[block] = (responses > mean + z * deviation).to(responses.dtype)

    acting.follow(_route)
    for block in ordinary:
        _before(acting, _route, model.network.get_submodule(block), partial(_decide, block))
    if levels is not None:
        return levels
    with torch.no_grad():
        for batch in batches:
            if "attention_mask" in batch and not bool(batch["attention_mask"].all()):
                fact = "a batch is padded, and padding is no token"
                raise model.failure(fact, "give each prompt alone")
            model.network(**batch, use_cache=False)
    for block, responses in ordinary.items():
        if not responses:
            raise failure(block, "no token came there", "give prompts that reach it")
        each = torch.cat(responses)
        found[block] = torch.stack([each.mean(0), each.std(0, correction=0)])
        responses.clear()
    return found


def _before(
    acting: Attached, route: Route, module: Any, decide: Callable[[Any, Any, Any], None]
) -> None:
    """Have `decide` called before a module as long as this route is followed, wrapped or not."""

    def _hook(module: Any, args: Any, kwargs: Any) -> None:
        if acting.route and unwrap(acting.route) is unwrap(route):
            decide(module, args, kwargs)

    acting.before(module, _hook)


def prompt_gates(
    model: Model,
    acting: Attached,
    batches: Iterable[Mapping[str, Array]],
    groups: Groups,
    heard: Groups | None = None,
    *,
    levels: Levels | None = None,
) -> Levels:
    r"""Let one group of adapters act on a whole prompt: the group with the largest response.

    The response of adapter ``j`` to a prompt is the mean, over all modules and tokens, of
    :math:`\|\Delta_j x\|` on the bare base's activations, in standard deviations above its mean
    over ordinary prompts.

    `groups` list the numbers of the adapters that act together; `heard` lists for each group the
    adapters whose mean response decides, such as those of the first hop, by default the whole
    group. `batches` are the network's arguments for ordinary prompts, padded or not; the `levels`
    found on them are returned, and replace them if given. A pass then costs two, and the responses.

    Raises
    ------
    ModelError
        If a group is empty or names no adapter; or, later, if the network is called with a cache
        or without `input_ids`, or a map does not see every token.
    """
    heard = groups if heard is None else heard
    if len(heard) != len(groups):
        fact = f"{len(groups)} groups are to be chosen by {len(heard)}"
        raise model.failure(fact, "say for each group which adapters are heard")
    acts, by = _rows(model, acting, groups), _rows(model, acting, heard)
    found = _map_levels(model, acting, batches) if levels is None else levels
    scores = _scores(acting, found)

    def _choose(attempt: Attempt, _: Array, mask: Array, weights: Array) -> Array:
        responses = _responses(scores, mask, partial(attempt, weights), _mean)
        shares = (by / by.sum(1, keepdim=True)).to(responses)
        return acts.to(weights)[(responses @ shares.T).argmax(1)]

    _by_prompt(model, acting, _choose)
    return found


def hop_gates(
    model: Model,
    acting: Attached,
    batches: Iterable[Mapping[str, Array]],
    hops: Groups,
    *,
    by: Literal["divergence", "response"] = "divergence",
    levels: Levels | None = None,
) -> Levels:
    r"""Let one adapter of each hop act on a whole prompt, each chosen while those before it act.

    `hops` list the numbers of the adapters of the first hop, of the second, and so on; which of
    them belong together is not told. Responses are those of `prompt_gates`. Of the first hop that
    adapter acts whose *largest* response to a token, averaged over modules, is largest: what it
    knows is one name among the prompt's words. Of a later hop, with the adapters chosen before it
    acting, that one acts

    - by ``divergence``: under which least is left of what the model would say next without it,
      :math:`\mathrm{KL}(p_{\text{without}} \| p_{\text{with}})` being largest. An adapter that has
      no answer leaves some of the earlier hop's; or
    - by ``response``: whose response at the prompt's end *rises* most when the adapter chosen
      before begins to act: only then has the network what this hop is asked about.

    Other arguments and the result are those of `prompt_gates`. A pass costs one more with the
    responses, and for each later hop of n adapters n + 1 more by divergence, or one by response.

    Raises
    ------
    ModelError
        As `prompt_gates`; if there is no such `by`; and if prompts are not padded on the left, as
        `batch` does.
    """
    import torch

    _rows(model, acting, hops)  # refused where one is empty, or names no adapter
    if by not in ("divergence", "response"):
        fact = f"a later hop is to be chosen by {by!r}"
        raise model.failure(fact, "choose it by 'divergence' or by 'response'")
    found = _map_levels(model, acting, batches) if levels is None else levels
    scores = _scores(acting, found)

    def _choose(attempt: Attempt, _: Array, mask: Array, weights: Array) -> Array:
        _end_together(model, mask)

        def _heard(weights: Array) -> tuple[Array, ...]:
            """The largest response to a token, and that at the prompt's end."""
            attempted = partial(attempt, weights)
            return tuple(_responses(scores, mask, attempted, _peak_and_last).unbind(-1))

        marks, before = _heard(weights)
        for number, hop in enumerate(hops):
            numbers = torch.tensor(hop, device=marks.device)
            compared = marks[:, list(hop)]
            if number and by == "response":
                _, now = _heard(weights)
                compared, before = (now - before)[:, list(hop)], now
            elif number:
                said = _logs(attempt, weights)
                tried = (_with(weights, one.expand(len(weights))) for one in numbers)
                each = [_logs(attempt, more) for more in tried]
                compared = torch.stack([(said.exp() * (said - now)).sum(1) for now in each], 1)
            weights = _with(weights, numbers[compared.argmax(1)])
        return weights

    _by_prompt(model, acting, _choose)
    return found


def subject_gates(
    model: Model, acting: Attached, hops: Groups, subjects: Sequence[Sequence[str]]
) -> None:
    r"""Let one adapter of each hop act on a whole prompt: the one that has the subject in question.

    `hops` are those of `hop_gates`; `subjects` list for every adapter the names of what its facts
    are about, as its publisher knows them. Which adapters belong together is not told. Of a hop
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
        later as `hop_gates`.
    """
    import torch

    _rows(model, acting, hops)  # refused where one is empty, or names no adapter
    count = acting.coefficients.shape[1]
    listed = [number < len(subjects) and bool(subjects[number]) for number in range(count)]
    if not all(listed) or len(subjects) > count:
        fact = f"there are subjects for {sum(listed)} of {count} adapters, in {len(subjects)} lists"
        raise model.failure(fact, "list for every adapter the names of what its facts are about")
    names = [[(name, k) for k in hop for name in subjects[k]] for hop in hops]
    tokens = [first_tokens(model, [name for name, _ in named]) for named in names]
    owners = [torch.tensor([k for _, k in named]) for named in names]

    def _named(text: str, number: int) -> int:
        """The adapter of a hop that has a subject in the text, -1 if none has."""
        found = [
            (len(name), k)
            for name, k in names[number]
            if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)
        ]
        return max(found, key=lambda one: one[0], default=(0, -1))[1]

    def _choose(attempt: Attempt, ids: Array, mask: Array, weights: Array) -> Array:
        _end_together(model, mask)
        texts = [model.tokenizer.decode(row[real]) for row, real in zip(ids, mask, strict=True)]
        base: Any = None
        for number in range(len(hops)):
            one = torch.tensor([_named(text, number) for text in texts], device=weights.device)
            if number and bool(((one < 0) & weights.any(1)).any()):
                base = _logs(attempt, torch.zeros_like(weights)) if base is None else base
                raised = (_logs(attempt, weights) - base)[:, tokens[number].to(base.device)]
                led = owners[number].to(one.device)[raised.argmax(1).to(one.device)]
                one = one.where((one >= 0) | ~weights.any(1), led)
            weights = _with(weights, one.clamp(min=0)).where((one >= 0)[:, None], weights)
        return weights

    _by_prompt(model, acting, _choose)


def _end_together(model: Model, mask: Array) -> None:
    """Refuse prompts that are not padded on the left."""
    if not bool(mask[:, -1].all()):
        fact = "some prompts end before the last position"
        raise model.failure(fact, "pad them on the left, as `batch` does")


def _logs(attempt: Attempt, weights: Array) -> Any:
    """Log-probabilities of the prompts' next token."""
    return attempt(weights).logits[:, -1].float().log_softmax(-1)


def _with(weights: Any, one: Any) -> Any:
    """The same weights, and one more adapter on each prompt."""
    import torch

    return weights.index_put((torch.arange(len(weights)), one), weights.new_ones(()))


def _rows(model: Model, acting: Attached, groups: Groups) -> Any:
    """The weights (groups, k) with which each group acts, and nobody else."""
    import torch

    rows = torch.zeros(len(groups), acting.coefficients.shape[1])
    for number, group in enumerate(groups):
        if not group or not all(0 <= one < rows.shape[1] for one in group):
            fact = f"a group is {list(group)}"
            raise model.failure(fact, f"name adapters from 0 to {rows.shape[1] - 1}")
        rows[number, list(group)] = 1
    return rows


def _by_prompt(
    model: Model, acting: Attached, choose: Callable[[Attempt, Array, Array, Array], Array]
) -> None:
    """Have prompts passed with weights (b, k) that `choose` finds before, by attempts.

    It is given `Attempt`, tokens and which of them are real (b, t), and weights of zero.
    """
    import torch

    size = acting.coefficients.shape[1]
    weights = torch.zeros(0, size)  # of the adapters at all tokens of a pass, padding included

    def _route(module: str, x: Array) -> Array:
        if len(x) != len(weights):
            fact = f"{len(x)} of {len(weights)} tokens come there"
            raise failure(module, fact, "attach adapters of maps that see every token")
        return weights.to(x)

    def _decide(network: Any, args: Any, kwargs: Any) -> None:
        """Choose who acts on each prompt."""
        nonlocal weights
        name, ids = type(network).__name__, kwargs.get("input_ids", args[0] if args else None)
        if kwargs.get("past_key_values") is not None:
            fact = "a prompt is judged as a whole, and a cache holds part of it already"
            raise failure(name, fact, "call the network with use_cache=False")
        if ids is None:
            fact = "it was called without input_ids, so that prompts cannot be told apart"
            raise failure(name, fact, "call it with input_ids")

        def _attempt(rows: Any, hear: Callable[[str, Array], Any] = lambda *_: None) -> Any:
            nonlocal weights
            weights, following = rows.repeat_interleave(ids.shape[1], 0), acting.route

            def _listen(module: str, x: Array) -> Array:
                hear(module, x)
                return _route(module, x)

            acting.route = _listen
            try:
                with torch.no_grad():
                    return network.forward(*args, **kwargs)
            finally:
                acting.route = following

        mask = kwargs.get("attention_mask")
        real = (torch.ones_like(ids) if mask is None else mask).bool()
        rows: Any = choose(_attempt, ids, real, torch.zeros(len(ids), size, device=ids.device))
        weights = rows.repeat_interleave(ids.shape[1], 0)

    acting.follow(_route)
    _before(acting, _route, model.network, _decide)


@contextmanager
def weighed(acting: Attached) -> Iterator[dict[str, Array]]:
    """Yield what holds, by module, the weights (t, k) that the route gave in the last pass there.

    The passes by which gates decide are overwritten by the one that counts. When the context ends,
    the route is as it was.
    """
    route, last = acting.route, dict[str, Array]()
    if route is None:
        place, remedy = "the adapters", "set gates or `Attached.follow` a route"
        raise failure(place, "no route weighs them", remedy)

    @wraps(route)  # gates know their own route by what it wraps
    def _watched(module: str, x: Array) -> Array:
        last[module] = route(module, x)
        return last[module]

    acting.follow(_watched)
    try:
        yield last
    finally:
        acting.follow(route)


def settle(model: Model, acting: Attached, prompt: str) -> None:
    """Have gates that choose for a whole prompt choose for this one, once and for all.

    The route goes, and the coefficients of the adapters that were not chosen become zero: then the
    network may keep a cache. Costs a pass of the gates.

    Raises
    ------
    ModelError
        If no route acts, or the one that does weighs tokens or modules differently.
    """
    import torch

    with weighed(acting) as last, torch.no_grad():
        last_logits(model, batch(model, [prompt]))
    weights = torch.cat([*last.values()])
    if not bool((weights == weights[0]).all()):
        fact = "the route weighs the prompt's tokens or modules differently"
        raise model.failure(fact, "settle only prompt, hop or subject gates")
    acting.follow(None)
    acting.set(acting.coefficients * np.asarray(weights[0].cpu()))


def _responses(
    scores: Mapping[str, Scores],
    mask: Array,
    call: Callable[[Callable[[str, Array], None]], Any],
    over: Callable[[Any, Any], Any],
) -> Any:
    """The mean over maps of what `over` makes of scores (b, t, k) and the real tokens' mask.

    `call` makes a pass, and is given what is to be called with each module's name and inputs.
    """
    each = list[Any]()

    def _hear(module: str, x: Array) -> None:
        each.append(over(scores[module](x).reshape(*mask.shape, -1), mask[..., None]))

    call(_hear)
    return sum(each) / len(each)


def _mean(scores: Any, real: Any) -> Any:
    """The mean over real tokens, (b, k)."""
    return scores.where(real, 0.0).sum(1) / real.sum(1)


def _peak_and_last(scores: Any, real: Any) -> Any:
    """The largest score of a real token, and the last token's, (b, k, 2)."""
    import torch

    return torch.stack([scores.where(real, -torch.inf).amax(1), scores[:, -1]], dim=-1)
