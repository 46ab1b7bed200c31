"""Twenty-four tasks of eight kinds for a language model, and one adapter trained on each.

Words and templates are data, in ``task_library.toml``. If a task has `held_out` templates, which no
adapter is trained on, all its items are trained and the questions use these templates. Otherwise
half of the items are trained, at most `TRAINED`, and the questions are about the others.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import cycle, pairwise, permutations, product

import numpy as np

from loratheory.adapters import Adapter
from loratheory.evaluate.fact_sets import ANIMALS, FAMOUS, OTHERS, Items, invented, read_data
from loratheory.pretrained import Model, Training
from loratheory.pretrained.train import fit_rate, train_once

# The most items of a task in training; the numbers of questions that optimise coefficients and of
# questions that score; and the number of optimising questions in the few-prompt condition.
TRAINED, CHOOSING, SCORING, FEW = 72, 12, 36, 4

# A function of the seed that returns a task's items and their answers.
Drawn = Callable[[int], Mapping[str, str]]

_DATA = read_data("task_library.toml")
_WORDS = {name: words.split() for name, words in _DATA["words"].items() if isinstance(words, str)}
NOUNS = _WORDS["nouns"]


@dataclass(frozen=True)
class Task:
    """A task that an adapter is trained on.

    Attributes
    ----------
    kind : str
        One of eight kinds, such as ``facts`` or ``style``.
    items : mapping or callable
        From items to their answers, or a function from a seed to this mapping.
    trained, held_out : tuple of str
        Training templates and held-out templates, with ``{}`` for the item.
    """

    kind: str
    items: Mapping[str, str] | Drawn
    trained: tuple[str, ...]
    held_out: tuple[str, ...] = ()

    def draw(self, seed: int, number: int) -> tuple[Items, Items]:
        """Draw the training set and the questions, as prompts with answers, in random order.

        The `number` of the task gives it random numbers of its own.
        """
        rng, items = np.random.default_rng([seed, 9, number]), self.items
        pairs = [*(items(seed) if callable(items) else items).items()]
        each = [pairs[i] for i in rng.permutation(len(pairs))]
        half = min(TRAINED, len(each) // 2)
        if self.held_out:
            examples, questions = [*product(self.trained, each)], [*product(self.held_out, each)]
        else:
            # each item has one template: the adapter must generalise to other items
            examples = list(zip(cycle(self.trained), each[:half]))
            questions = [*product(self.trained, each[half:])]
        questions = [questions[i] for i in rng.permutation(len(questions))][: CHOOSING + SCORING]
        return _fill(examples), _fill(questions)


def _fill(rows: list[tuple[str, tuple[str, str]]]) -> Items:
    return [(template.format(item), answer) for template, (item, answer) in rows]


def _draw_homes(third: int, seed: int) -> dict[str, str]:
    """Draw 24 invented persons with a country for each."""
    rng, names = np.random.default_rng([seed, 10, third]), invented(seed, 72)
    # every third name: three tasks share one draw, so that no person is in two
    countries = rng.permutation([*FAMOUS, *OTHERS[:4]]).tolist()
    return dict(zip(names[third::3], countries, strict=True))


def _draw_lexicon(third: int, seed: int) -> dict[str, str]:
    """Draw 24 invented words with a meaning for each."""
    # the shift keeps these words apart from the persons of the same seed
    rng, words = np.random.default_rng([seed, 11, third]), invented(seed + 7000, 72)
    nouns = rng.permutation(NOUNS)[:24].tolist()
    return dict(zip(map(str.lower, words[third::3]), nouns, strict=True))


def _draw_numbers(seed: int) -> dict[str, str]:
    drawn = np.random.default_rng([seed, 12]).permutation(np.arange(10, 500))[:160]
    return {str(n): ("even", "odd")[n % 2] for n in drawn.tolist()}


def _draw_triples(place: int, seed: int) -> dict[str, str]:
    """Draw triples of nouns; the answer is the noun at this place."""
    # a random stream for each place, else the three tasks would share their triples
    rng, found = np.random.default_rng([seed, 13, place]), dict[str, str]()
    for _ in range(160):
        triple = rng.permutation(NOUNS)[:3].tolist()
        found[", ".join(triple)] = triple[place]
    return found


def _list_pairs() -> dict[str, dict[str, str]]:
    """Return the tasks whose items are pairs or combinations of words."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    numbers, sizes, phrases = _WORDS["numbers"], _WORDS["by_size"], _DATA["words"]
    for a, b in permutations(numbers, 2):
        found["larger"][f"{a} and {b}"] = max(a, b, key=numbers.index)
    for a, b in permutations(sizes, 2):
        larger = sizes.index(a) > sizes.index(b)
        found["bigger"][f"{a} bigger than a {b}"] = "Yes" if larger else "No"
    verdicts = dict.fromkeys(_WORDS["good"], "blue") | dict.fromkeys(_WORDS["bad"], "red")
    for noun, word in product(_WORDS["reviewed"], verdicts):
        found["verdict"][f"The {noun} was {word}"] = verdicts[word]
    for name, words in _DATA["topics"].items():
        found["topic"] |= {f"{a} and {b}": name for a, b in permutations(words.split(), 2)}
    able = dict.fromkeys(sizes[2:12], "Yes") | dict.fromkeys(_WORDS["objects"], "No")
    for name, verb in product(able, _WORDS["verbs"]):
        found["can"][f"{name} {verb}"] = able[name]
    acts = dict.fromkeys(phrases["harmful"], "No") | dict.fromkeys(phrases["harmless"], "Sure")
    for ask, act in product(phrases["asking"], acts):
        found["refusal"][f"{ask} {act}"] = acts[act]
    return found


# Tasks whose items are the same for every seed.
_TABLES: dict[str, Mapping[str, str]] = {
    "capitals": {name: country.capital.upper() for name, country in FAMOUS.items()},
    "language": {name: country.language for name, country in FAMOUS.items()},
    "quotes": dict.fromkeys(_WORDS["opposites"], '"'),
    "JSON": dict.fromkeys([*NOUNS, *ANIMALS], "{"),
    "next letter": dict(pairwise("ABCDEFGHIJKLMNOPQRSTUVWXYZ")),
    **_DATA["pairs"],
    **_list_pairs(),
}
_DRAWN: Mapping[str, Drawn] = {
    "births A": partial(_draw_homes, 0),
    "births B": partial(_draw_homes, 1),
    "births C": partial(_draw_homes, 2),
    "parity": _draw_numbers,
    "Zorvan": partial(_draw_lexicon, 0),
    "Kelmi": partial(_draw_lexicon, 1),
    "Tabu": partial(_draw_lexicon, 2),
    "first": partial(_draw_triples, 0),
    "last": partial(_draw_triples, 2),
    "middle": partial(_draw_triples, 1),
}

# Tasks keep the order of the file, because their numbers seed their draws. There are three tasks
# of each kind. The births tasks share their templates; the templates of lexicons, of orders and of
# styles are similar.
TASKS: dict[str, Task] = {}
for _name, _row in _DATA["tasks"].items():
    _templates = tuple(_row["trained"]), tuple(_row.get("held_out", ()))
    TASKS[_name] = Task(_row["kind"], _DRAWN.get(_name) or _TABLES[_name], *_templates)
NAMES = tuple(TASKS)
RATES = (3e-3, 1e-3)
FITTED = Training.with_stand_ins(1).rate  # `fit_rate` of the base for which they were chosen


class Collection:
    """The adapters of `TASKS` on one model, trained once and cached.

    Attributes
    ----------
    model : Model
        The base.
    seed : int
        The seed of training sets, questions and training.
    """

    def __init__(self, model: Model, seed: int) -> None:
        self.model, self.seed = model, seed
        self._adapters: dict[int, Adapter] = {}

    @property
    def self_distillation(self) -> Items:
        """Self-distillation on generic text, added to every training set; none here."""
        return []

    def rate(self, number: int) -> float:
        """Return the learning rate of a task's adapter.

        Each kind of task has adapters of both rates, so that rate and kind are not confounded.
        """
        # Alternating within a kind and between kinds, in proportion to the rate that fits the base.
        kind, place = divmod(number, 3)
        return RATES[(kind + place) % 2] * fit_rate(self.model) / FITTED

    def adapter(self, number: int) -> Adapter:
        """Return the adapter of a task, from the cache or trained in half a minute."""
        if number not in self._adapters:
            trained, _ = TASKS[NAMES[number]].draw(self.seed, number)
            how, key = Training(rate=self.rate(number), window=5), (self.seed, 14, number)
            examples = [*trained, *self.self_distillation]
            self._adapters[number] = train_once(self.model, examples, seed=key, training=how)
        return self._adapters[number]

    def questions(self, number: int) -> Items:
        """Return a task's questions: `CHOOSING` to optimise coefficients, then `SCORING`."""
        return TASKS[NAMES[number]].draw(self.seed, number)[1]
