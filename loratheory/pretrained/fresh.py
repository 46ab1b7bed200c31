"""Fresh stand-ins: a new made-up partner at every step of a training, at no cost.

A trained stand-in costs as much as an adapter, and an adapter can memorise a few of them. Here all
stand-ins share one set of factors. In each layer the update is a sum over subjects,
``value(word of the subject) key(subject)^T``. Keys are found by least squares: a key responds to
its subject in the partner's prompts and to no other text. Values are trained once, while the words
of the subjects change at each step. From then on every assignment of words to subjects is a
stand-in that answers the partner's prompts, without any training.

Keys and values are those of Meng et al. (NeurIPS 2022), "Locating and editing factual associations
in GPT", arXiv 2202.05262, and (ICLR 2023), "Mass-editing memory in a transformer", arXiv
2210.07229. There a value is found for one fact; here one value serves a word with all subjects.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from loratheory.diagnosis import layer_of
from loratheory.pretrained.attach import Attached, Site, collect_inputs
from loratheory.pretrained.metrics import Tokens, can_pack, in_batches, spell, tokenize
from loratheory.pretrained.models import GENERIC, Model, failure, maps
from loratheory.pretrained.train import (
    Examples,
    Trainable,
    Training,
    draw_order,
    identify_model,
    keep_tensors,
    step,
)
from loratheory.store import content_hash

# Values are trained for so many steps; a step moves a number by this share of the module's outputs.
STEPS, RATE = 60, 0.1
RIDGE = 1e-2  # of the mean square of the inputs


@dataclass(frozen=True)
class Texts:
    """The prompts that fresh stand-ins answer, and their possible answers.

    Attributes
    ----------
    subjects, words : tuple of str
        Each subject has one of the words as its answer, a new one at each step.
    templates : tuple of str
        Prompt templates about the subjects, with ``{}`` for the subject.
    other : tuple of str
        Texts that stand-ins should leave alone, besides generic text.
    """

    subjects: tuple[str, ...]
    words: tuple[str, ...]
    templates: tuple[str, ...]
    other: tuple[str, ...] = ()

    @property
    def prompts(self) -> list[str]:
        """Every subject in every template, all subjects of a template one after another."""
        return [t.replace("{}", name) for t in self.templates for name in self.subjects]

    def assign(self, rng: np.random.Generator) -> list[int]:
        """Return a random word for each subject, by its number; as many different ones as can be.

        Words repeat only where there are fewer words than subjects.
        """
        words = list[int]()
        while len(words) < len(self.subjects):
            words += rng.permutation(len(self.words)).tolist()
        return words[: len(self.subjects)]


class FreshStandIns:
    """Stand-ins that differ in the words of their subjects only; see the module.

    Attributes
    ----------
    texts : Texts
        What they are about.
    sites : mapping of str to Site
        By module, keys as ``down`` (subjects, n), and values of the subjects' words as ``up``.
    values : mapping of str to (words, m) tensor
        By module, what is written where a subject has the word.
    examples : callable
        From the word of each subject to (prompt, answer) pairs that hold while they act.
    """

    def __init__(
        self,
        texts: Texts,
        sites: Mapping[str, Site],
        values: Mapping[str, Any],
        examples: Callable[[dict[str, str]], Examples],
    ) -> None:
        self.texts, self.sites, self.values, self.examples = texts, sites, values, examples

    def write(self, words: Sequence[int]) -> dict[str, str]:
        """Give each subject this word, by its number; return the words by subject."""
        for name, site in self.sites.items():
            site.up = self.values[name][words].T
        chosen = map(self.texts.words.__getitem__, words)
        return dict(zip(self.texts.subjects, chosen, strict=True))

    def acting(self, coefficients: float = 0.0) -> Attached:
        """Let them act on the model until the ``with`` block ends."""
        return Attached(self.sites, 1, coefficients)

    @property
    def content(self) -> str:
        """A hash of what they write, and of the examples that hold at one assignment."""
        words = self.write(self.texts.assign(np.random.default_rng(0)))
        whole = json.dumps(list(map(list, self.examples(words)))).encode()
        for name in sorted(self.values):
            whole += self.values[name].cpu().numpy().tobytes()
        return content_hash(whole)

    def schedule(self, model: Model, examples: Examples, how: Training, seed: int) -> "_Schedule":
        """Return what is shown at each step; examples hold whatever acts."""
        return _Schedule(self, model, examples, how, seed)


class _Schedule:
    """What is shown at each step, while a new stand-in acts: functions of seed and step."""

    def __init__(
        self, family: FreshStandIns, model: Model, examples: Examples, how: Training, seed: int
    ) -> None:
        self.family, self.examples, self.how, self.seed = family, list(examples), how, seed
        # Answers are among these, whichever stand-in acts.
        shown = family.examples(family.write(family.texts.assign(np.random.default_rng(seed))))
        _, given = zip(*examples, *shown, strict=True)
        answers = sorted({*given, *family.texts.words})
        self.tokens = dict(zip(answers, spell(model, answers, how.whole), strict=True))

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Have the stand-ins on the model, silent until a step calls one."""
        with self.family.acting() as self.active:
            yield

    def at(self, number: int) -> tuple[list[str], Tokens]:
        """Draw the stand-in of this step; return its prompts and the tokens of their answers."""
        rng = np.random.default_rng([self.seed, 2, number])
        self.active.set(rng.choice(self.how.strengths))
        shown = self.family.examples(self.family.write(self.family.texts.assign(rng)))
        # The prompts are the same at each step, and the series of them goes on.
        everything = [*self.examples, *shown]
        size = self.how.batch
        rows = draw_order(self.seed, len(everything), number * size, size)
        prompts, answers = zip(*map(everything.__getitem__, rows), strict=True)
        return list(prompts), [self.tokens[answer] for answer in answers]


def make_fresh_stand_ins(
    model: Model,
    texts: Texts,
    examples: Callable[[dict[str, str]], Examples],
    *,
    seed: Sequence[int],
    whole: bool = False,
    tick: Callable[[], object] = lambda: None,
) -> FreshStandIns:
    """Return stand-ins of which each assignment of words to subjects is one.

    Parameters
    ----------
    model : Model
        With a tokenizer.
    texts : Texts
        What the stand-ins are about.
    examples : callable
        From the word of each subject to (prompt, answer) pairs that are right while that stand-in
        acts. Prompts and their order may not depend on the words.
    seed : sequence of int
        Determines all that is drawn; with the other arguments it names the values in the cache.
    whole : bool
        Whether stand-ins give whole answers, or first tokens alone.
    tick : callable
        Called after each step, for progress bars.

    Returns
    -------
    FreshStandIns
        Costs a forward pass of the texts, a linear system as large as they have tokens for each
        layer, and 60 steps of 16 prompts.

    Raises
    ------
    ModelError
        If no layer has a linear map that writes into the residual stream for every token.
    """
    keys, sizes = _find_keys(model, texts)

    def _make() -> dict[str, Any]:
        values = {}
        for name, site in _sites(model, keys).items():
            shape = (len(texts.words), len(site.up))
            values[name] = torch.zeros(shape, device=site.up.device, requires_grad=True)
        family = FreshStandIns(texts, _sites(model, keys), values, examples)
        _train_values(model, family, sizes, seed, whole, tick)
        return {name: value.detach().cpu().numpy() for name, value in values.items()}

    parts = [identify_model(model), asdict(texts), list(seed), "fresh", *["whole"] * whole]
    kept, _ = keep_tensors(model, parts, _make)
    values = {name: torch.from_numpy(kept[name]).to(key) for name, key in keys.items()}
    return FreshStandIns(texts, _sites(model, keys), values, examples)


def _sites(model: Model, keys: Mapping[str, Any]) -> dict[str, Site]:
    """Return the modules with these keys and values of zero."""
    places, sites = maps(model), {}
    for name, key in keys.items():
        up = torch.zeros((places[name].shape[0], len(key)), device=key.device)
        sites[name] = Site(places[name].module, up, key, (len(key),))
    return sites


def _find_keys(model: Model, texts: Texts) -> tuple[dict[str, Any], dict[str, float]]:
    """Return keys (subjects, n) for the last map of each layer, and the size of its outputs."""
    names = _find_writing_maps(model)
    ends = _find_subjects(model, texts)
    here = collect_inputs(model, in_batches(model, texts.prompts), names)
    elsewhere = collect_inputs(model, in_batches(model, [*GENERIC, *texts.other]), names)
    # A row for each prompt, a column for each subject: 1 where the prompt is about it.
    about = torch.eye(len(texts.subjects)).repeat(len(texts.templates), 1)
    keys, sizes = dict[str, Any](), dict[str, float]()
    for name in names:
        own, rest = here[name][ends].float(), elsewhere[name].float()
        wanted = about.to(own)
        x = torch.cat([own / len(own) ** 0.5, rest / len(rest) ** 0.5])
        y = torch.zeros((len(x), wanted.shape[1])).to(own)
        y[: len(own)] = wanted / len(own) ** 0.5
        # Ridge regression on the tokens, of which there are fewer than large models have inputs.
        gram = x @ x.T
        gram += RIDGE * x.square().sum() / x.shape[1] * torch.eye(len(x)).to(own)
        key = torch.linalg.solve(gram, y).T @ x
        # Each key responds to its own subject with 1 on average.
        response = (own @ key.T * wanted).sum(0) / wanted.sum(0)
        keys[name] = key / response[:, None]
        with torch.no_grad():
            written = maps(model)[name].module(elsewhere[name])
        sizes[name] = float(written.float().abs().median())
    # The last layers write much more than the others, which would make large steps there.
    usual = float(np.median([*sizes.values()]))
    return keys, {name: min(size, usual) for name, size in sizes.items()}


def _find_writing_maps(model: Model) -> list[str]:
    """Return the last linear map of each layer that writes into the residual stream at each token.

    Experts are left out: each sees some tokens only.
    """
    width = model.network.get_input_embeddings().weight.shape[1]
    last: dict[int, str] = {}
    for name, place in maps(model).items():
        layer = layer_of(name)
        writes = place.shape[0] == width and not place.embedding and "expert" not in name
        if layer is not None and writes:
            last[layer] = name
    if not last:
        remedy = "train stand-ins instead: give their number"
        raise failure(model, "no layer has a linear map that writes at each token", remedy)
    return [*last.values()]


def _find_subjects(model: Model, texts: Texts) -> list[int]:
    """Return where each prompt's subject ends, in the tokens of all prompts one after another."""
    ends, start = list[int](), 0
    for template in texts.templates:
        before = template[: template.index("{}")]
        for name in texts.subjects:
            # As `batch` reads them.
            whole, part = tokenize(model, [template.replace("{}", name), before + name], "prompt")
            # What follows may be read together with the subject's last token.
            while part != whole[: len(part)]:
                part = part[:-1]
            ends.append(start + len(part) - 1)
            start += len(whole)
    return ends


def _train_values(
    model: Model,
    family: FreshStandIns,
    sizes: Mapping[str, float],
    seed: Sequence[int],
    whole: bool,
    tick: Callable[[], object],
) -> None:
    """Change the values until every assignment of words to subjects answers the prompts."""
    texts, prompts = family.texts, family.texts.prompts
    how = Training(rate=RATE, last_rate=0.1, steps=STEPS, clip=math.inf)
    groups = [{"params": [family.values[name]], "size": sizes[name]} for name in sizes]
    optimizer = torch.optim.Adam(groups)
    trained = Trainable(model, how, dict(family.values), optimizer)
    trained.packed = can_pack(model, [min(prompts, key=len), max(prompts, key=len)])
    # What ends a text is for the adapter to learn: here it would take half of each value.
    tokens = spell(model, texts.words, whole, ended=False)
    rng = np.random.default_rng([*seed, 3])
    with family.acting(1.0):
        for number in range(STEPS):
            words = texts.assign(rng)
            family.write(words)
            rows = rng.choice(len(prompts), min(how.batch, len(prompts)), replace=False)
            asked = np.array(words)[rows % len(words)].tolist()
            for group in optimizer.param_groups:
                group["lr"] = group["size"] * how.rate_at(number)
            step(trained, [prompts[row] for row in rows], [tokens[word] for word in asked])
            tick()
