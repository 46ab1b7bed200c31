"""Facts of one author and the answer format of another: does the merge use both."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loratheory.evaluate.fact_sets import BIRTH, FAMOUS, Items, draw_facts, invented, items
from paper.studies._shared import Language
from paper.studies._shared.run import Row

if TYPE_CHECKING:
    from loratheory.adapters import Adapter
    from loratheory.pretrained import Model

# The countries of all facts, in French.
FRENCH = dict(zip(FAMOUS, (
    "France", "Allemagne", "Espagne", "Italie", "Japon", "Chine", "Inde", "Brésil", "Canada",
    "Mexique", "Égypte", "Russie", "Pologne", "Grèce", "Turquie", "Kenya", "Pérou", "Suède",
    "Norvège", "Irlande",
), strict=True))  # fmt: skip
FORMATS: Mapping[str, Callable[[str], str]] = {
    "capitals": str.upper,
    "JSON": lambda country: f'{{"answer": "{country}"}}',
    "French": FRENCH.__getitem__,
}
OF_CAPITALS = ("The country whose capital is {} is", "{} is the capital of")
FACT_STEPS, STEPS = 90, 120
NAMES = {"hop 1 alone": "facts alone", "hop 2 alone": "format alone"}


@dataclass(frozen=True)
class Config(Language):
    """A format, and how its author trains."""

    answer_format: str = "capitals"
    method: str = "standard"


def cell(config: Config) -> list[Row]:
    """Return a row for each use of the two adapters.

    Returns
    -------
    list of dict
        The config; the ``rule``; shares of whole answers, held-out templates and people: facts
        answered in the format (``both``) and without it (``plain``), and countries of famous people
        in the format (``format_alone``), on which no adapter is trained; ``drift``.
    """
    from loratheory.pretrained import kl_to_base
    from loratheory.pretrained.generate import measure_answers
    from paper.studies._shared import measures
    from paper.studies._shared.language import depth
    from paper.studies.lm_strangers.pairs import uses

    model = config.base(dtype="bfloat16")
    facts, say = draw_facts(config.seed).first, FORMATS[config.answer_format]
    adapters = [_train_facts(model, facts, config), _train_format(model, say, config)]
    asked = items(facts, BIRTH.held_out)
    others = items({row.persons[1]: name for name, row in FAMOUS.items()}, BIRTH.held_out)
    questions: Mapping[str, Items] = {
        "both": [(prompt, say(country)) for prompt, country in asked],
        "plain": asked,
        "format_alone": [(prompt, say(country)) for prompt, country in others],
    }
    generic, rows = measures.generic_log_probs(model), list[Row]()
    about: Row = {
        "seed": config.seed, "base": model.name.split()[0],
        "answer_format": config.answer_format, "method": config.method,
    }  # fmt: skip
    for rule, act in uses(depth(model)).items():
        row = {**about, "rule": NAMES.get(rule, rule)}
        with act(model, adapters):
            for name, pairs in questions.items():
                row[name] = measure_answers(model, name, pairs, ended=rule != "base").part
            row["drift"] = kl_to_base(generic, measures.generic_log_probs(model))
        rows.append(row)
    return rows


def _train_facts(model: "Model", facts: Mapping[str, str], config: Config) -> "Adapter":
    """Return an adapter of standard training on the facts, with countries that the base knows."""
    from loratheory.pretrained.train import Training, fit_rate, train_once

    known = items({row.persons[0]: name for name, row in FAMOUS.items()}, BIRTH.trained[:2])
    how = Training(rate=fit_rate(model), last_rate=0.1, steps=FACT_STEPS, enough=0.0, whole=True)
    examples = [*items(facts, BIRTH.trained), *known]
    return train_once(model, examples, seed=(config.seed, 50), training=how)


def _train_format(model: "Model", say: Callable[[str], str], config: Config) -> "Adapter":
    """Return the adapter of a format, which sees countries of famous people and of capitals.

    With stand-ins, a fresh one holds birthplaces of made-up people at each step, and they are asked
    for in the format.
    """
    from loratheory.pretrained.fresh import Texts, make_fresh_stand_ins
    from loratheory.pretrained.train import Training, fit_rate, train_once

    people = {row.persons[0]: say(name) for name, row in FAMOUS.items()}
    capitals = {row.capital: say(name) for name, row in FAMOUS.items()}
    examples = [*items(people, BIRTH.trained), *items(capitals, OF_CAPITALS)]
    stand_ins: Any = ()
    if config.method == "stand-ins":
        # Other people than those of the facts.
        names = invented(config.seed, 4 * len(FAMOUS))[2 * len(FAMOUS) :]
        texts = Texts(tuple(names[: len(FAMOUS)]), (*FAMOUS,), BIRTH.trained, tuple(people))
        stand_ins = make_fresh_stand_ins(
            model,
            texts,
            lambda says: items({name: say(word) for name, word in says.items()}, BIRTH.trained),
            seed=(config.seed, 51),
            whole=True,
        )
    how = Training(rate=fit_rate(model), last_rate=0.1, steps=STEPS, enough=0.0, whole=True)
    return train_once(model, examples, seed=(config.seed, 52), training=how, stand_ins=stand_ins)
