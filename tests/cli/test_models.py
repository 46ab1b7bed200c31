"""Commands on a small model in a folder: what they write, and that it is what they say."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from folders import changed
from safetensors.numpy import save_file

from loratheory.adapters import Adapter, Info, merge, read_adapter, read_moments, write_adapter
from loratheory.cli._advise import Asked, _read_questions
from loratheory.cli._shared import stages
from loratheory.diagnosis import layer_of
from loratheory.pretrained import Training, attach, load_model, load_plan
from loratheory.pretrained.attach import collect_inputs
from loratheory.pretrained.methods import generate_text
from loratheory.pretrained.metrics import batch

WORDS = ["red", "green", "blue", "one", "two"]
PAIRS = [f"{a} {b}" for a in WORDS for b in WORDS]
DATA = Path(__file__).parents[1] / "data"
PLAN = {
    "facts": {"Ann": "one", "Bob": "two", "Cid": "one"},
    "templates": ["{} is"],
    "bridge": ["home of {}"],
    "partner": {"templates": ["there {}"], "answers": ["red", "green", "blue"]},
}
FACTS = {
    "facts": {"red": "one", "green": "two"},
    "templates": ["{} one"],
    "held_out_templates": ["two {}"],
}
COLOUR = {"source": "a test", "descriptions": ["three {}"], "of": {"red": ["blue"]}}
KINDS = {"colour": {"templates": ["{} two"], "kinds": {"first": COLOUR, "last": COLOUR}}}


def lines(texts, **more):
    return "".join(json.dumps({"prompt": text, **more}) + "\n" for text in texts)


@pytest.fixture(scope="module")
def given(home):
    """Beside the model and the adapters, files of prompts, facts and plans."""
    (home / "one.jsonl").write_text(lines(PAIRS[:6]))
    (home / "two.jsonl").write_text(lines(PAIRS[6:12]))
    (home / "rows.jsonl").write_text(lines(PAIRS[:8], completion=" blue"))
    facts = {name: dict.fromkeys(PAIRS[:8], "blue") for name in ("one", "two")}
    files = {"facts": facts, "plan": PLAN, "augment": FACTS, "kinds": KINDS}
    for name, content in files.items():
        (home / f"{name}.json").write_text(json.dumps(content))
    return home


@pytest.fixture
def on(given, run, monkeypatch, tmp_path):
    """Runs a command on the small model, with short trainings; its JSON, if it wrote any."""
    monkeypatch.setenv("LORATHEORY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Training, "ended", lambda _, losses: len(losses) >= 2)

    def _run(*words, json_file="result.json"):
        code, _, err = run(*words, "--model", given / "base", "--json", json_file)
        assert code == 0, err
        return json.loads(Path(json_file).read_text())

    return _run


def test_advice_is_written_and_run(given, on, run):
    pair = (given / "one", given / "two")
    prompts = ("--prompts", given / "one.jsonl", "--prompts", given / "two.jsonl")
    result = on("advise", *pair, *prompts, "--methods", "mean,prompt-level gating", "-o", "best")
    keys = {"adapters", "judged", "alone", "base", "drifts", "tried", "verdict", "notes"}
    assert set(result) == keys
    assert [one["method"] for one in result["tried"]] == ["mean", "prompt-level gating"]
    # Three prompts are too few for advice; a method that is named alone is written nevertheless.
    assert result["verdict"]["best"] == ""
    words = ("--methods", "mean,sum", "-o", "best", "--model", given / "base", "--json", "-")
    code, out, err = run("advise", *pair, *prompts, *words)
    assert (code, json.loads(out)["verdict"]["best"]) == (0, "")
    assert "best was not written: to write" in err
    assert not Path("best").exists()
    result = on("advise", *pair, *prompts, "--methods", "prompt-level gating", "-o", "best")
    card = json.loads(Path("best", "route.json").read_text())
    assert card["measured"] == result["tried"][0]
    assert card["base_digest"] == load_model(given / "base").digest
    # The adapters of a route tell their base, too, and so does a merge of them.
    merged = merge(["best/1", "best/2"], "mean")
    assert merged.info.base_digest == card["base_digest"]
    write_adapter(merged, "merged")
    assert read_adapter("merged").info.base_digest == card["base_digest"]
    model = ("--model", given / "base")
    code, out, err = run("generate", "best", "red one", "--tokens", 3, *model)
    wanted = generate_text(load_model(given / "base"), "best", "red one", tokens=3)
    assert (code, out, err) == (0, wanted + "\n", "")
    code, out, err = run("generate", "best", "red one", "--tokens", 3, *model, "--json", "-")
    expected = {"folder": "best", "prompt": "red one", "text": wanted}
    assert (code, json.loads(out), err) == (0, expected, wanted + "\n")
    merged = on("advise", *pair, *prompts, "--methods", "none", "--compare", given / "one")
    assert [one["method"] for one in merged["tried"]] == [str(given / "one")]
    # A compared folder may have a method's name.
    shutil.copytree(given / "one", "mean")
    both = on("advise", *pair, *prompts, "--methods", "mean", "--compare", "mean", "-o", "more")
    assert [one["method"] for one in both["tried"]] == ["mean", "./mean"]
    assert Path("more", "adapter_config.json").exists()


def test_how_texts_are_judged_and_progress_in_a_log(given, on, run, capsys):
    pair = (given / "one", given / "two", "--methods", "mean")
    prompts = ("--prompts", given / "one.jsonl", "--prompts", given / "two.jsonl")
    Path("scores.py").write_text("def none(*_):\n    return 0\n\ndef all(*_):\n    return 1.0\n")
    texts, first = on("advise", *pair, *prompts), on("advise", *pair, *prompts, "--first-token")
    scored = on("advise", *pair, *prompts, "--scorer", "scores:all")
    every = [one["tried"][0]["kept"] for one in (texts, first, scored)]
    rights = [sum(share["right"] for share in kept) for kept in every]
    assert rights == sorted(rights)
    assert rights[-1] == 6
    assert len({one["judged"] for one in (texts, first, scored)}) == 3
    for name, part in (("none", "right on none"), ("odd", "has no odd"), ("", "write package")):
        words = ("--scorer", f"scores:{name}", "--model", given / "base")
        code, _, err = run("advise", *pair, *prompts, *words)
        assert (code, err.count("\n"), part in err) == (2, 1, True)
    # One note for an adapter, though it is attached many times.
    shutil.copytree(given / "one", "one")
    changed(Path("one", "adapter_config.json"), base_model_name_or_path="a/b")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        _, _, err = run("advise", "one", *pair[1:], *prompts, "--model", given / "base")
    assert err.count("\n") == err.count("a/b") == 1
    with stages(2, every=0) as begin:
        begin("one")
        begin("two")
    assert capsys.readouterr().err.count("\n") == 2


def test_chats_are_prompts_by_the_models_template(given, on, run):
    rows = [[{"role": "user", "content": text}] for text in PAIRS[:4]]
    Path("chat.jsonl").write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    words = ("--prompts", "chat.jsonl", "--prompts", "chat.jsonl", "--chat", "--methods", "mean")
    code, _, err = run("advise", given / "one", given / "two", *words, "--model", given / "base")
    assert (code, "no chat template" in err) == (2, True)
    shutil.copytree(given / "base", "base")
    template = "{% for m in messages %}red {{ m['content'] }}{% endfor %}"
    Path("base", "chat_template.jinja").write_text(template)
    code, out, _ = run(
        "advise", given / "one", given / "two", *words, "--model", "base", "--json=-"
    )
    plain = lines([f"red {text}" for text in PAIRS[:4]])
    Path("plain.jsonl").write_text(plain)
    words = ("--prompts", "plain.jsonl", "--prompts", "plain.jsonl", "--methods", "mean")
    wanted = on("advise", given / "one", given / "two", *words)
    assert (code, json.loads(out)["tried"]) == (0, wanted["tried"])


def test_half_of_the_prompts_or_facts_choose_and_the_others_score(given):
    names = ("one", "two")
    library = [Adapter.of({}, Info(name=name)) for name in names]
    rows, prompts = [given / "rows.jsonl"] * 2, [given / "one.jsonl", given / "two.jsonl"]
    choosing, scoring = _read_questions(Asked(prompts), library, names)
    assert [len(part["two"]) for part in (choosing, scoring)] == [3, 3]
    assert {*choosing["two"].values(), *scoring["two"].values()} == {""}
    for facts in (rows, [given / "facts.json"]):
        choosing, scoring = _read_questions(Asked(facts=facts), library, names)
        assert [len(part["one"]) for part in (choosing, scoring)] == [4, 4]
        assert {answer.strip() for answer in scoring["one"].values()} == {"blue"}


def test_check_counts_what_is_kept(given, on):
    result = on("check", given / "one", given / "two", "--facts", given / "facts.json")
    keys = {"model", "adapters", "notes", "readings", "kept", "drifts", "predicted"}
    assert (set(result), result["adapters"]) == (keys, ["one", "two"])
    assert {reading["layer"] for reading in result["readings"]} == {0, 1, None}
    assert [row["total"] for row in result["kept"]] == [8] * 8
    rows = on("check", given / "one", "--facts", given / "rows.jsonl")
    assert [row["total"] for row in rows["kept"] if row["rule"] == "alone"] == [8]


def test_moments_of_prompts_are_those_of_what_modules_read(given, on):
    pair = (given / "one", given / "two")
    files = (given / "one.jsonl", given / "two.jsonl")
    words = ("--method", "regmean", "--ridge", 0.1)
    from_prompts = [word for file in files for word in ("--moments", file)]
    totals = on("merge", *pair, *words, *from_prompts, "-o", "m")["totals"]
    assert totals["input_energy"] > totals["input_error"] >= totals["input_floor"] > 0
    base, library = load_model(given / "base"), [read_adapter(place) for place in pair]
    roots, stored = [], []
    for number, (adapter, texts) in enumerate(zip(library, (PAIRS[:6], PAIRS[6:12]), strict=True)):
        with attach(base, [adapter]):
            fed = collect_inputs(base, [batch(base, [text]) for text in texts], [*adapter])
        roots.append({name: x.double().numpy() / len(x) ** 0.5 for name, x in fed.items()})
        save_file({k: np.float32(x) for k, x in roots[-1].items()}, f"{number}.safetensors")
        stored += ["--moments", f"{number}.safetensors"]
    wanted, merged = merge(library, "regmean", moments=roots, ridge=0.1), read_adapter("m")
    on("merge", *pair, *words, *stored, "-o", "s")
    for name in wanted:
        for found in (merged, read_adapter("s")):
            np.testing.assert_allclose(found[name].dense(), wanted[name].dense(), 1e-3, 1e-4)
    assert set(read_moments("0.safetensors")) == set(library[0])


def test_training_writes_the_adapter_and_its_card(given, on, run):
    card = on("train", given / "plan.json", "-o", "made", "--steps", 2, "--rate", 1e-4)
    assert card["settings"]["rate"] == 1e-4
    assert len(read_adapter("made")) > 0
    assert card == json.loads(Path("made", "adapter_card.json").read_text())
    assert read_adapter("made").info.base_digest == load_model(given / "base").digest
    code, _, err = run("train", given / "plan.json", "-o", "made")
    assert (code, err.count("\n")) == (2, 1)
    # Before anything is loaded: what is there would be lost.
    plan = shutil.copy(given / "plan.json", "plan.json")
    code, _, err = run("train", plan, "-o", given, "--force", "--model", "nowhere")
    assert (code, "which is no part of an adapter" in err) == (2, True)
    words = ("-o", "made", "--force", "--stand-ins", 0, "--layers", 1)
    card = on("train", given / "plan.json", *words)
    assert (card["settings"]["stand_ins"], card["settings"]["layers"]) == (0, "1-1")
    assert {layer_of(name) for name in read_adapter("made")} == {1}


def test_augmented_examples_are_trained_on_and_their_test_is_asked(given, on):
    Path("more").mkdir()
    Path("more", "train.jsonl").write_text(lines(["three red"], completion=" one"))
    Path("more", "test.jsonl").write_text(lines(["three blue"], completion=" one"))
    more = ("--augmented", "more", "--self-distillation", 4)
    card = on("train", given / "plan.json", "-o", "a", *more, "--stand-ins", 0)
    assert (card["settings"]["augmented"], card["settings"]["self_distillation"]) == (1, 4)
    assert [one["total"] for one in card["measured"] if "portability" in one["what"]] == [1]


@pytest.mark.usefixtures("on")
def test_an_example_is_written_once_and_a_draft_trains_as_its_plan(given, run):
    assert run("train", "--example", "mine.json")[0] == 0
    load_plan("mine.json").check(None, 4)
    Path("mine.json").write_text(json.dumps(PLAN))
    for words in ("--example mine.json", "mine.json --draft mine.json", "mine.json --draft b -o a"):
        code, _, err = run("train", *words.split())
        assert (code, err.count("\n")) == (2, 1)
    code, out, _ = run("train", "mine.json", "--draft", "-")
    assert json.loads(out)["two_hop_templates"] == ["there home of {}"]
    assert run("train", "mine.json", "--draft", "mine.json", "--force")[0] == 0
    assert load_plan("mine.json") == load_plan(given / "plan.json")
    code, out, err = run("train", "mine.json", "-o", "a", "--steps", 2, "--model", given / "base")
    card = json.loads(Path("a", "adapter_card.json").read_text())
    assert (code, out.splitlines()[0]) == (0, card["verdict"])
    # That there is no held-out template is said before the training.
    assert err.count("note:") == 1


@pytest.mark.parametrize(
    "words",
    [
        "--stand-ins 9",
        "--self-distillation 3",
        "--layers high",
        "--layers 9-5",
        "--layers 0,2",
        "--layers 0-99999",
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_a_model_is_loaded(given, run, words):
    words = ("-o", "x", "--model", "/no/such", *words.split())
    code, _, err = run("train", given / "plan.json", *words)
    assert (code, err.count("\n"), "there is no such folder" in err) == (2, 1, False)


def test_augment_writes_examples_and_says_which_subjects_have_none(given, on, run):
    words = (given / "augment.json", "--kinds", given / "kinds.json", "-o", "made")
    told = on("augment", *words)
    assert set(told) == {"examples", "held_out", "found", "rejected"}
    for name, kind in (("train", "first"), ("test", "last")):
        [row] = map(json.loads, Path(f"made/{name}.jsonl").read_text().splitlines())
        assert (row["completion"], row["kind"]) == (" one", kind)
    assert [one["prompt"] for one in told["examples"]] == ["Three blue one"]
    assert [*told["rejected"]] == ["green"]
    assert run("augment", *words, "--model", given / "base")[0] == 2
    on("augment", *words, "--force")


@pytest.mark.slow
@pytest.mark.usefixtures("smollm2")
def test_smollm2_with_the_adapters_in_the_documents(run):
    words = [
        "--facts",
        DATA / "questions.json",
        "--methods",
        "mean,prompt-level gating",
        "--json",
        "-",
    ]
    code, out, _ = run("advise", DATA / "persons", DATA / "mascots", *words)
    assert code == 0
    for method, least in zip(json.loads(out)["tried"], (0.7, 0.9), strict=True):
        for share in method["kept"]:
            assert share["right"] >= least * share["total"]
