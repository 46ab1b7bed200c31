"""Wrong input to any command: one paragraph with the remedy, exit code 2, nothing written."""

from pathlib import Path

import pytest
from folders import folder

PAIR = "merge one two -o out"
REFUSED = {
    # theorems
    "theorems merge-flor": "did you mean merge-floor",
    "theorems --json no/x.json": "there is no folder no",
    "theorems --at hops=3": "--at evaluates one theorem: name it",
    "theorems two-read-region --at hop=3": "KEY one of hops, pattern",
    "theorems two-read-region --at hops=x": "hops=x is not a whole number: write hops=3",
    "theorems two-read-region --at hops": "write KEY=VALUE",
    "theorems two-read-region --at hops=0": "threshold is not defined there",
    "theorems two-read-region --at hops=-1": "hops=-1 is below 0",
    "theorems gate-detection --at facts=3": "is not enough: thm:gate-detection computes",
    "theorems gate-detection --at facts=3,threshold=2": "threshold=2 is not between 0 and 1",
    "theorems merge-floor --at rank=3": "thm:merge-floor has no numbers to give",
    "verify nonsense": "there is no theorem 'nonsense'",
    "verify --backend jax": "there is no backend 'jax'",
    # adapters
    "inspect nowhere": "nowhere: there is no such folder",
    "inspect one --figure x.bmp --json t.json": ".pdf, .png, .svg",
    "inspect one --json no/x.json": "there is no folder no",
    "inspect one --json two": "two is a folder: name a file in it",
    f"{PAIR} --method magic": "no merge method 'magic'",
    f"{PAIR} --device toaster": "--device toaster cannot be used",
    f"{PAIR} --device cuda:99": "take cpu, cuda, cuda:1, … or auto",
    f"{PAIR} --device meta": "--device meta cannot be used",
    f"{PAIR} --weights=a,b --method cat": "--weights=a,b is not a list of numbers",
    f"{PAIR} --weights=1,2": "mean takes no weights",
    f"{PAIR} --method svd": "needs rank",
    f"{PAIR} --dtype=": "dtype: is ''; choose one of float16",
    f"{PAIR} --json out": "--json out is the place to write",
    "merge one two -o one": "one exists: choose another place, or add --force",
    "merge one two -o no/x": "there is no folder no",
    "diagnose one": "at least two",
    # models
    "check-model --layers a": "--layers=a is no list of layers",
    "check-model --layers 0-99999999999": "no model has so many layers",
    "check-model --facts x.json": "name the adapters too",
    "check-model --figure no/such/x.png": "there is no folder",
    "check-model --model=": "--model is empty: name one, or leave the option out",
    "check-model --revision=": "--revision is empty",
    "check-model --model /no/such": "there is no such folder",
    # rules
    "evaluate no_such_module_x:rule": "cannot be imported",
    "evaluate my_rules:haf": "module my_rules has no haf",
    "evaluate half": "write package.module:rule",
    "evaluate my_rules:three": "a merge is rule(updates, weights)",
    "evaluate my_rules:narrow": "return the shape of the updates",
    "evaluate my_rules:nan": "NaN or infinity",
    "evaluate my_rules:raising": "raised IndexError",
    "evaluate my_rules:short": "one number per token and adapter",
    "evaluate my_rules:half --profile fast": "there is no profile 'fast'",
    "evaluate my_rules:half --json no/card.json": "there is no folder",
    # data
    "data word-problems -o d --skills add,sing": "unknown skills: 'sing'; choose from add,",
    "data word-problems -o d --split luck": "split is 'luck'; choose one of pair, template,",
    "data word-problems -o d --pair add,rate": "--pair add,rate goes with --split pair",
    "data word-problems -o d --skills rate --split pair": "leaves no problem for testing",
    "data word-problems -o d --split pair --pair add,add": "name two different skills",
    "data word-problems -o d --prime 9": "numbers modulo 9 are asked for; choose a prime of",
    "data word-problems -o d --prime 5 --skills percent": "100 is 0 modulo 5",
    "data word-problems -o d --prime 2 --skills add --split wording": "no new numbers for",
    "data word-problems -o d --distractors 12": "quantities would need names",
    "data word-problems -o d --n 1000001": "less than or equal to 1000000",
    "data word-problems -o no/where": "there is no folder no for where",
    "data word-problems -o taken --skills sing --overwrite": "taken is not only data, but holds",
    "data two-hop -o d --split 1": "--split 1 leaves no question for testing: ask for a smaller",
    "data two-hop -o d --style haiku": "style is 'haiku'; choose one of cloze, question",
    "data two-hop -o d --n 20 --split 0.01": "coverage 0.01 is out of reach",
    "data two-hop -o no/where": "there is no folder no for where",
    "data two-hop -o taken --style haiku --overwrite": "taken is not only data, but holds mine",
}


@pytest.mark.parametrize("line", REFUSED)
def test_it_is_said_in_one_paragraph_and_nothing_is_left(line, run, tmp_path):
    for name in ("one", "two", "lib/one", "lib/two", "mixed/one"):
        folder(tmp_path / name)
    folder(tmp_path / "mixed2" / "one", revision="one")
    folder(tmp_path / "mixed" / "other", base_model_name_or_path="other")
    folder(tmp_path / "mixed2" / "other", revision="other")
    files = {"file": "", "empty": "\n", "taken/mine.txt": "mine", "s.jsonl": '{"template": "a"}\n'}
    for name, text in {**files, "other/window/table.csv": "a\n1\n"}.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    Path("binary").write_bytes(bytes(range(256)))
    Path("cut.csv.gz").write_bytes(b"\x1f\x8b\x08\x00abc")
    before = sorted(Path().rglob("*"))
    code, out, err = run(*line.split())
    assert (code, out) == (2, "")
    assert REFUSED[line] in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err
    assert "\n\n" not in err
    assert sorted(Path().rglob("*")) == before
