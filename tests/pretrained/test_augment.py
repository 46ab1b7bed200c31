"""Examples by description: what the base resolves, what is kept for measuring, what is refused."""

import json
import math
from collections import Counter

import pytest
import torch
from language import small_model

from loratheory.pretrained import ModelError, first_tokens
from loratheory.pretrained import augment as module
from loratheory.pretrained.augment import (
    EntityType,
    Kind,
    augment,
    fill_template,
    read_entities,
    write_examples,
)
from loratheory.pretrained.metrics import batch

ASKED = ("{} is", "The name of {} is")
CAPITALS = {"Peru": ("Lima",), "Cuba": ("Havana",), "Fiji": ("Suva",), "Mali": ("Bamako",)}
SIGHTS = {"Peru": ("Machu",), "Cuba": ("Malecon",), "Fiji": ("Suva bay",)}
COUNTRY = EntityType(
    ASKED,
    {
        "capital": Kind("by hand", ("the land governed from {}", "the land of {}"), CAPITALS),
        "sight": Kind("by hand", ("the land to see {} in",), SIGHTS),
    },
)
FACTS = {"Peru": "rat", "Cuba": "owl"}
SENTENCES = ("The mascot of {} is the", "{} chose the", "{}'s mascot is the")


@pytest.fixture(scope="module")
def model():
    return small_model(2)


@pytest.fixture
def knows(monkeypatch, model):
    """From words in a prompt to the text that the base then says, and the logit of its first."""

    def _knows(told):
        def _find(prompt):
            return next(((text, sure) for words, (text, sure) in told.items() if words in prompt))

        def _next(_, prompts):
            rows = torch.zeros(len(prompts), 4001)
            for row, prompt in zip(rows, prompts, strict=True):
                if any(words in prompt for words in told):
                    text, sure = _find(prompt)
                    row[first_tokens(model, [text.strip()])] = sure
            return rows

        def _written(_, prompts, __):
            return [_find(prompt)[0] for prompt in prompts]

        monkeypatch.setattr(module, "next_token_logits", _next)
        if any(text.startswith(" ") for text, _ in told.values()):
            monkeypatch.setattr(module, "write_on", _written)

    return _knows


ALL = {"Lima": ("Peru", 9.0), "Machu": ("Peru", 9.0), "Havana": ("Cuba", 9.0)}
ALL |= {"Malecon": ("Cuba", 9.0), "Suva": ("Fiji", 9.0), "Bamako": ("Mali", 9.0)}


def made(model, facts=FACTS, **options):
    return augment(model, facts, SENTENCES, **{"things": {"country": COUNTRY}, **options})


def test_a_share_is_what_every_sentence_that_asks_says_together(model):
    """By softmax and products over the four names, one prompt at a time."""
    found = made(model, least=0.0).found  # a random base finds some by luck, or take another seed
    for one in found:
        product = torch.ones(4)
        for text in ASKED:
            asked = batch(model, [fill_template(text, one.description)])
            with torch.no_grad():
                logits = model.network(**asked).logits[0, -1]
            product *= logits[first_tokens(model, [*CAPITALS])].softmax(-1)
        shares = product.sqrt() / product.sqrt().sum()
        own = [*CAPITALS].index(one.subject)
        wanted = float(shares[own]) if shares.argmax() == own else 0.0
        assert one.share == pytest.approx(wanted, rel=1e-3)
    assert len({round(one.share, 6) for one in found}) > 1


def test_lessons_and_what_is_held_out_by_hand(model, knows):
    knows(ALL)
    found = made(model, held_out_templates=("Which animal has {} ?",))
    texts = ("the land governed from Lima", "the land of Lima")
    rows = {x.prompt: x for x in found.examples if x.subject == "Peru"}
    assert {*rows} == {
        f"{start}{text[1:]}{end}"
        for text in texts
        for start, end in (("The mascot of t", " is the"), ("T", " chose the"))
    }
    assert {x.answer for x in rows.values()} == {"rat"}
    assert {x.kind for x in found.examples} == {"capital"}
    assert [(x.prompt, x.answer, x.description) for x in found.held_out] == [
        (f"Which animal has the land to see {place} in ?", animal, f"the land to see {place} in")
        for place, animal in (("Machu", "rat"), ("Malecon", "owl"))
    ]
    assert {x.kind for x in found.held_out} == {"sight"}
    assert not found.rejected


@pytest.mark.parametrize("per", [3, 7, 20, 99])
def test_descriptions_take_turns_and_sentences_too(per, model, knows):
    knows({"City": ("Peru", 9.0)})
    values = {"Peru": tuple(f"City{i}" for i in range(5)), "Cuba": ("Havana",)}
    things = {"country": EntityType(ASKED, {"city": Kind("", ("the land of {}",), values)})}
    sentences, how = [f"{{}} chose {i}" for i in range(4)], {"things": things, "per": per}
    rows = augment(model, {"Peru": "rat"}, sentences, **how).examples
    assert len(rows) == len({x.prompt for x in rows}) == min(per, 20)
    counts = Counter(x.description for x in rows)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len(counts) == min(per, 5)
    assert len({x.prompt.split()[-1] for x in rows}) == min(per, 4)
    assert augment(model, {"Peru": "rat"}, sentences, **how, seed=1).examples != rows


def test_what_the_base_does_not_find_is_refused_with_its_reason(model, knows):
    knows({"Lima": ("Cuba", 9.0), "Machu": ("Peru", 9.0), "Havana": ("Cuba", 0.1)})
    refused = made(model, {**FACTS, "Zorvik": "owl"}, least=0.25).rejected
    assert [*refused] == ["Peru", "Zorvik"]
    assert "only by sight" in refused["Peru"]
    with pytest.raises(ModelError, match=r"best: the land governed from Havana, share 0\.2"):
        made(model, {"Cuba": "owl"})
    with pytest.raises(ModelError, match="no kind of description has it"):
        made(model, {"Zorvik": "owl"})


def test_sentences_in_which_no_description_fits_are_left_out(model, knows):
    knows(ALL)
    assert not any("'s" in x.prompt for x in made(model, held_out_templates=SENTENCES).held_out)
    with pytest.raises(ModelError, match="where a description does not fit"):
        augment(model, FACTS, ["{}'s mascot is the"])


def test_silence_is_what_the_base_goes_on_with_about_others(model, knows):
    knows(ALL)
    plain = made(model)
    found = made(model, silence=6)
    assert found.examples[: len(plain.examples)] == plain.examples
    silent = found.examples[len(plain.examples) :]
    assert len(silent) == 6  # of two other countries in three sentences
    assert {x.subject for x in silent} == {"Fiji", "Mali"}
    for one in silent:
        assert one.prompt in {text.replace("{}", one.subject) for text in SENTENCES}
        ids, said = batch(model, [one.prompt])["input_ids"], []
        for _ in range(module.CONTINUED):
            with torch.no_grad():
                said.append(int(model.network(ids).logits[0, -1].argmax()))
            ids = torch.cat([ids, torch.tensor([said[-1:]])], 1)
        assert one.answer == " ".join(f"N{number}" for number in said[:-1])


@pytest.mark.parametrize(
    ("cut", "text", "kept"),
    [
        ("sentence", " a lion. It is", "a lion."),
        ("sentence", " lion, which is often se", "lion, which is often"),
        ("sentence", " 3.5 m tall! And", "3.5 m tall!"),
        ("sentence", " Nam", ""),
        ("phrase", " Kuala Lumpur. It", "Kuala Lumpur"),
        ("phrase", " Kuala L", ""),
        ("phrase", " one of the largest. A", ""),
        ("phrase", " 1,000. It", "1,000"),
    ],
)
def test_the_base_is_quoted_to_a_mark_and_in_whole_words(cut, text, kept):
    assert getattr(module, f"_cut_{cut}")(text) == kept


BORN = {"Zorvik": "Peru", "Malorin": "Cuba", "Toriv": "Peru", "Quen": "Fiji"}
ONWARD = {
    "The capital of {} is": ("{} comes from a land with the capital", "{} is ruled from"),
    "People of {} speak": ("At home {} speaks",),
}


def logit(share):
    """That gives a token this share of the probability, where all others have zero."""
    return math.log(4000 * share / (1 - share))


def test_subjects_unknown_to_the_base_get_two_hop_lessons_on_what_it_says_of_answers(model, knows):
    told = {"capital of Peru": (" Lima, where", 0.8), "capital of Cuba": (" Havana.", 0.6)}
    told |= {"capital of Fiji": (" Suva.", 0.2), "of Fiji speak": (" English.", 0.51)}
    told |= dict.fromkeys(["of Peru speak", "of Cuba speak"], (" Spanish,", 0.9))
    knows({words: (text, logit(share)) for words, (text, share) in told.items()})
    found = augment(model, BORN, ("{} was born in",), answer_attributes=ONWARD, least=0.5)
    assert {(x.prompt, x.answer, x.subject) for x in found.examples} == {
        (sentence.format(person), capital, person)
        for sentence in ONWARD["The capital of {} is"]
        for person, capital in (("Zorvik", "Lima"), ("Toriv", "Lima"), ("Malorin", "Havana"))
    }
    # Spanish is said of two of three countries, so it does not tell which it is
    assert [(x.prompt, x.answer) for x in found.held_out] == [("At home Quen speaks", "English")]
    assert [*found.rejected] == ["Quen"]
    assert [x.share > 0 for x in found.found] == [True] * 3 + [False, False, True]
    one = augment(
        model, BORN, ("{}'s land is",), answer_attributes=dict([*ONWARD.items()][:1]), per=1
    )
    assert Counter(x.subject for x in one.examples) == {"Zorvik": 1, "Malorin": 1, "Toriv": 1}
    assert not one.held_out
    with pytest.raises(ModelError, match="none is known"):
        augment(model, BORN, ("{} is",), answer_attributes=ONWARD, silence=3)


def test_what_was_asked_is_not_asked_again(model, knows, monkeypatch):
    knows(ALL)
    first = made(model)
    monkeypatch.setattr(module, "next_token_logits", None)
    assert made(model) == first
    with pytest.raises(TypeError):
        made(model, {"Fiji": "bee"})


def test_lessons_are_rows_that_trainers_read(model, knows, tmp_path):
    knows(ALL)
    found = made(model, silence=2)
    folder = write_examples(tmp_path / "lessons", found, "small")
    parts = {"train.jsonl": found.examples, "test.jsonl": found.held_out}
    for name, lessons in parts.items():
        rows = [json.loads(line) for line in (folder / name).read_text().splitlines()]
        assert [row["prompt"] for row in rows] == [x.prompt for x in lessons]
        assert [row["completion"] for row in rows] == [f" {x.answer}" for x in lessons]
        assert {*rows[0]} == {"prompt", "completion", "subject", "kind", "description"}
    info = json.loads((folder / "dataset_info.json").read_text())
    for part in info.values():
        rows = (folder / part["file_name"]).read_text().splitlines()
        assert {*part["columns"].values()} <= {*json.loads(rows[0])}
    card = (folder / "README.md").read_text()
    assert "small" in card
    assert "license" not in card
    with pytest.raises(ValueError, match="exists already"):
        write_examples(folder, found, "small")


# Files


GOOD = {"source": "me", "descriptions": ["by {}"], "of": {"Peru": ["Lima"]}}
WRONG = [
    ({"river": []}, "river: is no object with 'templates' and 'kinds'"),
    ({"river": {"kinds": {"city": GOOD}}}, "'templates' is no list of prompt templates"),
    ({"river": {"templates": ["it is"], "kinds": {}}}, "'templates' holds 'it is'"),
    ({"country": {"kinds": {"x": {"of": {}}}}}, "country: x: is no object with 'source'"),
    ({"country": {"kinds": {"x": {**GOOD, "descriptions": ["{} {}"]}}}}, "'descriptions' holds"),
    ({"country": {"kinds": {"x": {**GOOD, "of": {"Peru": "Lima"}}}}}, "'of' is no object"),
]


@pytest.mark.parametrize(("content", "message"), WRONG)
def test_kinds_that_cannot_be_meant_are_refused_with_their_place(tmp_path, content, message):
    (tmp_path / "mine.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=rf"mine\.json: .*{message}"):
        read_entities(tmp_path / "mine.json")
