"""The README and the pages of `docs` say what the code says."""

import re
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
import torch

from paper.tables import parse_query, percent, read_table, value

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = ROOT / "docs"
FILES = [*DOCS.glob("*.md"), *DOCS.glob("how-to/*.md"), *DOCS.glob("reference/*.md")]
PAGES = {
    file.relative_to(DOCS).with_suffix("").as_posix(): file.read_text(encoding="utf-8")
    for file in FILES
}
TEXT = "\n".join([README, *PAGES.values()])


def test_the_first_page_is_short_and_leads_to_every_other():
    assert len(README.encode()) <= 9000
    for name in PAGES:
        assert f"(docs/{name}.md)" in README


PAIRS = {
    "people, countries, mascots": "birth, mascot",
    "ships, flag states, flowers": "ship, flower",
    "people, employers, tools": "employer, tool",
    "people, pets, instruments": "pet, instrument",
    "people, professions, fruits": "trade, fruit",
}
TRAIN = PAGES["how-to/train"]
TEXTS = "fresh stand-ins, self-distillation, 384 texts"
WHOLE = "fresh stand-ins, whole answers, self-distillation, 384 texts"
ON_SMALL, ON_GEMMA = "base=SmolLM2-135M-Instruct", "base=gemma-3-270m"
FRESH, STANDARD, HOP_2 = "fresh stand-ins", "standard, 180 steps", "fresh stand-ins, hop 2"
SETS = "401|402|403|404|405|406|407|408|409"


def shown(query, mode="", level="S0"):
    """Return a mean, or the `mode` of means, as the pages write it."""
    text = f"{mode} lm_strangers/{query}; rule=sum; level={level}"
    return f"{percent(value(parse_query(text)).middle)}%"


def cells(text, row):
    """Return the cells of the one row of a table that begins so."""
    [line] = [line for line in text.splitlines() if line.startswith(f"| {row}")]
    return [cell.strip(" *") for cell in line.split("|")[1:-1]]


@pytest.mark.parametrize(("row", "pair"), PAIRS.items())
def test_what_was_found_is_in_the_stored_tables(row, pair):
    first = pair == "birth, mascot"
    parts = {ON_SMALL: "rivals" if first else "matched", ON_GEMMA: "matched"}
    expected = []
    for base, part in parts.items():
        expected.append(shown(f"{part}: two_hop; pair={pair}; method={STANDARD}; {base}"))
        part = "more_texts" if first else "many_texts"
        expected.append(shown(f"{part}: two_hop; pair={pair}; method={TEXTS}; {base}"))
    assert cells(PAGES["index"], row)[1:] == expected


@pytest.mark.parametrize("base", [ON_SMALL, ON_GEMMA])
@pytest.mark.parametrize("method", [TEXTS, STANDARD])
def test_the_first_table_has_means_over_the_same_fact_sets_with_equal_steps(method, base):
    row = "stand-in training with texts" if method == TEXTS else "standard training, no texts"
    row = f"{row}, {base[5:].split('-')[0]}"
    part = "sets_texts" if method == TEXTS else "fact_sets"
    where = f"{{}}; method={method}; {base}; seed={SETS}"
    expected = [shown(f"{part}: {where.format(one)}") for one in ("hop_1", "hop_2", "two_hop")]
    drift = value(parse_query(f"lm_strangers/{part}: {where.format('drift')}; rule=sum")).middle
    assert cells(README, row)[1:] == [*expected, f"{drift:.1f}"]
    sentence = PAGES["index"].split("On nine other fact sets")[1].split("Without")[0]
    assert re.search(rf"gives( | .* and\s){expected[2]}", sentence, flags=re.S)


def test_what_examples_without_stand_ins_give_is_in_the_stored_tables():
    found = []
    for method in ("completed examples", "completed examples, late layers"):
        parts = ("more_rivals", "gemma_rivals")
        found += [shown(f"{part}: two_hop; method={method}") for part in parts]
    text = (
        "without stand-ins answers {} (SmolLM2) and {} (gemma), with hop 2 in the top third of the "
    )
    long = f"{STANDARD}, self-distillation, 384 texts"
    asked = (f"many_texts: two_hop; method={long}; {base}" for base in (ON_SMALL, ON_GEMMA))
    said = "and answers {} and {} (stand-ins:".format(*map(shown, asked))
    assert said in " ".join(README.split())
    known = [shown(f"more_texts: two_hop; {base}") for base in (ON_SMALL, ON_GEMMA)]
    assert "(stand-ins: {} and {})".format(*known) in " ".join(README.split())
    query = f"lm_strangers/many_texts: drift; rule=sum; method={long}; "
    drifts = [value(parse_query(query + base)).middle for base in (ON_SMALL, ON_GEMMA)]
    assert "drifts by {:.1f} and {:.1f} and answers".format(*drifts) in " ".join(README.split())
    assert f"{text}layers {{}} and {{}}".format(*found) in " ".join(README.split())


def test_how_much_fact_sets_differ_is_in_the_stored_table():
    part = "{} lm_strangers/fact_sets: two_hop by seed; rule=sum; method={}; {}"
    found = []
    for mode, method, base in (
        *(("spread", FRESH, base) for base in (ON_SMALL, ON_GEMMA)),
        *((end, FRESH, ON_GEMMA) for end in ("least", "most")),
        *(("spread", STANDARD, base) for base in (ON_SMALL, ON_GEMMA)),
    ):
        found.append(percent(value(parse_query(part.format(mode, method, base))).middle))
    text = "by {} (SmolLM2) and {} points (gemma; {}% to {}%), with standard training by {} "
    assert f"{text}and {{}} (standard deviations)".format(*found) in " ".join(README.split())


def test_the_ranges_over_the_pairs_are_in_the_stored_tables():
    ends = []
    for base in (ON_SMALL, ON_GEMMA):
        ends.append(shown(f"many_texts: two_hop by pair; method={TEXTS}; {base}", "least"))
        ends.append(shown(f"more_texts: two_hop; {base}"))
    text = "the sum answers {} to {} (SmolLM2) and {} to {} (gemma)"
    assert text.format(*ends) in " ".join(README.split())


ALONE, LEVEL_SETS = ("rivals", "gemma_partners"), ("level_sets", "more_level_sets")
# A row's parts on both bases, its training and its level.
WAYS = {
    "fresh stand-ins | fresh stand-ins": ("fresh", "rule_by_depth", FRESH, "S0"),
    "fresh stand-ins | PEFT": ("fresh", "gemma_levels", FRESH, "S4, other trainer"),
    "standard training | fresh": ("rivals", "hop_2_alone", HOP_2, "S0"),
    "fresh stand-ins | standard training of": (*ALONE, "fresh stand-ins, late layers", "S0"),
    "fresh stand-ins | standard training |": (*ALONE, "fresh stand-ins, hop 1", "S0"),
    "standard training | standard": ("rivals", "matched", STANDARD, "S0"),
}
ROWS = ("nothing", "half", "prompt", "answers", "rank", "relations", "all of these", "these four")
LEVELS = ("S0", "S1", "S2", "S3", "S4", "S5", "S6", "S2 to S5")
APART = {**dict(zip(ROWS, LEVELS, strict=True)), "the trainer": "S4, other trainer"}


def of(part, base, method, level, column="two_hop"):
    """Return an accuracy of the first pair."""
    where = f"{column}; method={method}; pair=birth, mascot; {base}"
    return shown(f"{part}: {where}", level=level)


def test_who_has_to_train_how_is_in_the_stored_tables():
    for row, (small, gemma, *which) in WAYS.items():
        found = [of(small, ON_SMALL, *which), of(small, ON_SMALL, *which, "hop_1")]
        assert cells(TRAIN, row)[2:] == [*found, of(gemma, ON_GEMMA, *which)]
    for row, level in APART.items():
        part = {"S0": "more_texts", "S1": "many_texts", "S2": "many_texts", "S3": "many_texts"}
        found = []
        for base in (ON_SMALL, ON_GEMMA):
            which = (part.get(level, "levels_texts"), base, TEXTS, level)
            where = f"lm_strangers/{which[0]}: drift; rule=sum; method={TEXTS}; level={level}; "
            drift = value(parse_query(f"{where}{base}; pair=birth, mascot")).middle
            found += [of(*which), of(*which, "hop_1"), f"{drift:.1f}"]
        assert cells(TRAIN, row)[1:] == found


def promises(parts, method):
    """Return means by condition, how far sums exceed promises, and where bridges are missing."""
    rows = pd.concat(read_table(f"lm_strangers/{name}").assign(part=name) for name in parts)
    rows = rows[(rows["rule"] == "sum") & (rows["method"] == method)]
    rows = rows[rows["level"] != "S4, other trainer"]
    means = rows.groupby(["part", "base", "pair", "level", "seed"])
    means = means[["two_hop", "promise_1", "promise_2"]].mean()
    gaps = means[["two_hop"]].to_numpy() - means[["promise_1", "promise_2"]].to_numpy()
    return means, gaps, means.index.get_level_values("level").isin(["S1", "S6"])


def test_the_promise_was_too_careful_as_often_as_the_pages_say():
    """Every author with fresh stand-ins whose partner has them, too."""
    names = ("fresh", "twice_the_rate", "gemma_levels", "rule_by_depth", "fact_sets", "sizes")
    names += ("invented_bridges", "other_pairs", "second_sets", "one_difference", *LEVEL_SETS)
    means, gaps, missing = promises(names, FRESH)
    worse = ((gaps < 0).sum(), (gaps[missing] < 0).sum())
    paper = (ROOT / "paper/main.tex").read_text(encoding="utf-8")
    hop_1 = gaps[missing][:, 0]
    assert rf"\computed{{{(hop_1 < 0).sum()}}} of \computed{{{len(hop_1)}}} conditions" in paper
    assert (gaps.size, *worse, round(100 * gaps.mean())) == (198, 19, 16, 34)
    assert cells(TRAIN, "without texts | 198")[2:] == [*map(str, worse), "34 points"]
    words = " ".join((ROOT / "paper/studies/lm_strangers/results.md").read_text().split())
    assert re.search(r"Of the 198 adapters .* nineteen do, sixteen of", words)
    assert "average they answer 34 points more" in words
    names = ("more_texts", "many_texts", "sets_texts", "levels_texts", "further_sets_texts")
    means, gaps, missing = promises((*names, "second_sets_texts", "other_pairs_texts"), TEXTS)
    lost = gaps[missing]
    assert (gaps.size, (gaps < 0).sum(), lost.size, (lost < 0).sum()) == (216, 16, 36, 16)
    worst = means.loc[("levels_texts", "gemma-3-270m", "birth, mascot", "S6", 400)]
    said = f"of them measured {percent(worst['promise_1'])}%, and the real sum answered "
    assert f"{said}{percent(worst['two_hop'])}%" in " ".join(TRAIN.split())
    counts = [str(gaps.size), str((gaps < 0).sum()), str((lost < 0).sum())]
    assert cells(TRAIN, "with texts")[1:] == [*counts, f"{100 * gaps.mean():.0f} points"]


def test_limits_of_other_relations_and_skills_are_those_of_the_tables():
    words = " ".join(README.split())
    asked = product((FRESH, "standard, 180 steps"), (ON_SMALL, ON_GEMMA))
    queries = [f"sizes: two_hop; method={method}; {base}" for method, base in asked]
    many = [shown(query, level="S4, many facts") for query in queries]
    text = "the sum answers {} (SmolLM2) and {} (gemma), with standard training {} and {};"
    assert text.format(*many) in words
    text = (
        "four differences leave {} to {} (SmolLM2; {} to {} if all is shared) and {} to {} (gemma;"
    )
    text += " {} to {}), examples of half of the entities between the facts {} to {} (SmolLM2)"
    bases, ends = (ON_SMALL, ON_GEMMA), []
    rows = [("other_pairs_texts", "S2 to S5"), ("many_texts", "S0")]
    rows = [*product(bases, rows), *product(bases, [("other_pairs_texts", "S1")])]
    for base, (part, level) in rows:
        query = f"{part}: two_hop by pair; method={TEXTS}; {base}"
        ends += [shown(query, mode, level) for mode in ("least", "most")]
    assert f"{text} and {{}} to {{}} (gemma).".format(*ends) in words
    skills = [
        ("both_open", "standard; rule=sum"),
        ("both", "stand-ins at half of the steps; rule=sum"),
        ("both", "stand-ins at half of the steps; rule=mean"),
        ("constant", "standard"),
        ("both", "one adapter of both skills"),
    ]
    found = list[str]()
    for column, method in skills:
        for base in (ON_SMALL, ON_GEMMA):
            query = parse_query(f"lm_formats/skills: {column}; method={method}; {base}")
            found.append(percent(value(query).middle))
    text = "hardly combine: sums solve {}% and {}%, with two trained stand-ins of other skills at "
    text += "half of the steps {}% and {}%, the mean {}% and {}% (a constant answer {}%, one "
    assert (text + "adapter of both skills {}% and {}%;").format(*found[:7], *found[8:]) in words


def test_gating_keeps_answers_and_other_text_as_the_pages_say():
    gate, plain = "rule=per-matrix gating, z = 2", "rule=coefficients; first={0}; second={0}"
    rows = {"plain sum": plain.format(1), "mean": plain.format(0.5), "per-matrix gating": gate}
    for end, part in ((" |", "merges_texts"), (", no texts", "merges_fresh")):
        for row, rule in rows.items():
            found = []
            for base in (ON_SMALL, ON_GEMMA):
                where = f"lm_strangers/{part}: {{}}; {rule}; {base}"
                columns = ("two_hop", "hop_1", "drift")
                means = [value(parse_query(where.format(one))).middle for one in columns]
                found += [f"{percent(means[0])}%", f"{percent(means[1])}%", f"{means[2]:.1f}"]
            assert cells(TRAIN, row + end)[1:] == found
    best = "most lm_strangers/merges: two_hop by rule; layer=-1; rule!=coefficients; "
    found = [percent(value(parse_query(best + base)).middle) for base in (ON_SMALL, ON_GEMMA)]
    assert "answers {}% (SmolLM2) and {}% (gemma), the mean of three pairs".format(*found) in (
        " ".join(README.split())
    )


def test_two_trainings_of_a_condition_differ_as_the_page_says():
    again = read_table("lm_strangers/merges_fresh")
    again = again[
        (again["rule"] == "coefficients") & (again["first"] == 1) & (again["second"] == 1)
    ]
    first = pd.concat([read_table("lm_strangers/fresh"), read_table("lm_strangers/rule_by_depth")])
    first = first[(first["rule"] == "sum") & (first["level"] == "S0")]
    first = first[first["method"] == FRESH].groupby(["base", "pair", "rate"])["two_hop"].mean()
    gaps = again.set_index(["base", "pair", "rate"])["two_hop"] - first
    gaps, page = 100 * gaps.dropna(), (ROOT / "paper/studies/lm_strangers/results.md").read_text()
    assert len(gaps) == 10
    assert f"differ by up to {gaps.abs().max():.0f} points of two-hop accuracy" in page
    noise = (gaps**2 / 2).mean() ** 0.5
    assert f"a standard deviation of {noise:.0f} points for one" in page
    paper = (ROOT / "paper/main.tex").read_text(encoding="utf-8")
    # A difference has the square root of two of it, and 95% lie within two of these.
    assert rf"\computed{{{noise:.0f}}}, so differences" in paper
    assert rf"below \computed{{{8**0.5 * noise:.0f}}} may be noise" in paper


def test_what_invented_bridges_leave_is_in_the_stored_table():
    parts = (f"invented_bridges: two_hop; method={FRESH}; {base}" for base in (ON_SMALL, ON_GEMMA))
    one, two = (shown(part, level="invented bridges") for part in parts)
    assert f"fresh stand-ins answer {one} and {two}" in " ".join(README.split())
    assert f"answer {one} (SmolLM2) and {two} (gemma)" in " ".join(PAGES["index"].split())
    assert f"answers {one} on SmolLM2-135M and {two} on gemma" in " ".join(TRAIN.split())


def test_what_further_fact_sets_of_three_levels_give_is_in_the_stored_table():
    rows = {"without half": "S1", "with other templates": "S2", "with other answers": "S3"}
    sets = ([TEXTS, "second_sets_texts", *["further_sets_texts"] * 2], [FRESH, *LEVEL_SETS])
    for row, level in rows.items():
        found = []
        for (method, *names), base in product(sets, (ON_SMALL, ON_GEMMA)):
            where = f"two_hop; method={method}; {base}; seed="
            asked = (f"{name}: {where}{401 + n}" for n, name in enumerate(names))
            found.append(", ".join(shown(query, level=level) for query in asked))
        assert cells(TRAIN, row)[1:] == found


def test_what_a_second_fact_set_gives_is_in_the_stored_table():
    part, ends = "second_sets: two_hop by pair; method={}; {}", []
    for base, method in product((ON_SMALL, ON_GEMMA), ("standard, 180 steps", FRESH)):
        least, most = (shown(part.format(method, base), end) for end in ("least", "most"))
        ends.append(f"{least} to {most}")
    text = "other rows give {} and {} (SmolLM2), {} and {} (gemma)"
    assert text.format(*ends) in " ".join(PAGES["index"].split())


def test_how_far_a_sum_drifts_is_in_the_stored_tables():
    ends = (
        f"least lm_strangers/sizes: drift by level; {ON_SMALL}",
        "most lm_strangers/gemma_levels: drift by level",
    )
    low, high = (value(parse_query(f"{end}; rule=sum; method={FRESH}")).middle for end in ends)
    for text in (TRAIN, PAGES["index"]):
        assert f"by {low:.0f} to {high:.0f}" in " ".join(text.split())


def test_what_self_distillation_gives_is_in_the_stored_tables():
    drifts, checked = [], []
    words, ends = " ".join(README.split()), []
    for base in (ON_SMALL, ON_GEMMA):
        sums = read_table("lm_strangers/merges_texts")
        sums = sums[(sums["rule"] == "coefficients") & (sums["first"] == 1) & (sums["second"] == 1)]
        sums = sums[sums["base"] == base[5:]]
        drifts += [sums["drift"].min(), sums["drift"].max()]
        ends += [percent(sums["two_hop"].min()), percent(sums["two_hop"].max())]
        for method in (TEXTS, FRESH):
            query = f"mean lm_strangers/other_texts: drift_check; rule=sum; method={method}; {base}"
            checked.append(f"{value(parse_query(query)).middle:.1f}")
    assert f"at a drift of {min(drifts):.1f} to {max(drifts):.1f}." in words
    assert "answers {}% to {}% (SmolLM2) and {}% to {}% (gemma)".format(*ends) in words
    where = f"lm_strangers/fact_sets: {{}}; rule=sum; method={FRESH}; {{}}; seed={SETS}"
    means = [
        value(parse_query(where.format(column, base))).middle
        for column in ("two_hop", "drift")
        for base in (ON_SMALL, ON_GEMMA)
    ]
    said = f"answer {percent(means[0])}% and {percent(means[1])}% and drift by {means[2]:.1f} and "
    assert f"{said}{means[3]:.1f} (" in words
    assert "the sentences of `check` one pair drifts by {0} and {2}".format(*checked) in words
    rows = {"no texts, first": FRESH, "texts, first": TEXTS, "texts, whole": WHOLE}
    for row, method in rows.items():
        found = []
        for base, column in product((ON_SMALL, ON_GEMMA), ("drift", "drift_check")):
            query = f"mean lm_strangers/other_texts: {column}; rule=sum; method={method}; {base}"
            found.append(f"{value(parse_query(query)).middle:.1f}")
        assert cells(TRAIN, row)[1:] == found
    found, bases = {}, (ON_SMALL, ON_GEMMA)
    half = [shown(f"many_texts: two_hop; method={TEXTS}; {one}", "", "S1") for one in bases]
    assert "half of the countries, {} and {};".format(*half) in words
    for level in ("S2 to S5", "S4, other trainer"):
        found[level] = [shown(f"levels_texts: two_hop; {one}", level=level) for one in bases]
        for one in bases:
            query = f"lm_strangers/levels_texts: drift; rule=sum; level={level}; {one}"
            found[level].append(value(parse_query(query)).middle)
    said = "settings at once leave {} and {} (drift {:.1f} and {:.1f});"
    assert said.format(*found["S2 to S5"]) in words
    said = "a PEFT partner, {} and {} at a drift of {:.0f} and {:.0f}"
    assert said.format(*found["S4, other trainer"]) in words
    sets = ("many_texts", "second_sets_texts", "further_sets_texts")
    wanted = f"part in {sets} and rule == 'sum' and level == 'S0' and method == {TEXTS!r}"
    rows = read_table("lm_strangers").query(wanted)
    means = rows.groupby(["pair", "base", "seed"])[["two_hop", "hop_1"]].mean()
    others = means.drop(index=400, level="seed")["two_hop"]
    found = [*map(percent, (others.min(), others.max(), others.mean()))]
    assert "on four others {}% to {}% (mean {}%), at".format(*found) in words
    hop_1, said, names = means["hop_1"], " ".join(TRAIN.split()), ("employer, tool", "trade, fruit")
    few, least = ([*map(percent, hop_1[pair, ON_SMALL[5:]])] for pair in names)
    assert "employers keep {}%, {}%, {}%, {}% and {}% on five".format(*few) in said
    assert "professions {}%, {}%, {}%, {}% and {}% (without".format(*least) in said
    assert f"keep {min(least)}% to {max(least)}% of the hop-1" in words
    rest = hop_1.drop(index=("trade, fruit", ON_SMALL[5:]))
    assert f"others {percent(rest.min())}% or more" in words
    found = [percent(end(rest["trade, fruit", ON_GEMMA[5:]])) for end in (min, max)]
    assert "On gemma professions keep {}% to {}%.".format(*found) in said


def test_what_templates_with_other_ends_keep_is_in_the_stored_tables():
    parts = ("open_templates", "second_sets_texts")
    rows = pd.concat(read_table(f"lm_strangers/{part}") for part in parts)
    rows = rows[rows["base"].str.startswith("SmolLM2") & (rows["pair"] == "trade, fruit")]
    rows = rows[~rows["method"].str.contains("whole")]
    means = rows.groupby(["rule", "level", "method", "seed"])["hop_1"].mean()
    ends = list[str]()
    for level in ("S0", "closed templates", "open templates"):
        least, most = (percent(end(means["hop 1 alone", level])) for end in (min, max))
        ends.append(f"{least}% to {most}%")
    assert "answer {} of their own facts".format(*ends) in " ".join(TRAIN.split())
    assert "too, it is {1}, with three that end in other words {2} (".format(*ends) in TRAIN
    least, most = (percent(end(means["sum", "open templates", TEXTS])) for end in (min, max))
    assert f"({least}% to {most}% if templates" in " ".join(README.split())


def test_what_one_author_alone_brings_is_in_the_stored_tables():
    parts = (f"hop_2_alone: two_hop by pair; {base}" for base in (ON_SMALL, ON_GEMMA))
    ends = [shown(part, end) for part in parts for end in ("least", "most")]
    text = "the sum answers {} to {} (SmolLM2) and {} to {} (gemma) over the five pairs"
    assert text.format(*ends) in " ".join(README.split())
    assert "{} to {} on SmolLM2".format(*ends) in " ".join(TRAIN.split())


def test_every_make_target_it_names_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):.*##", makefile, flags=re.M))
    named = set(re.findall(r"(?:\$ |`)make ([\w-]+)", TEXT))
    assert {"reproduce", "test"} <= named <= targets


@pytest.mark.slow
@pytest.mark.usefixtures("smollm2")
def test_the_example_on_a_real_model_runs(capsys):
    """The two adapters' own words: the mascot that one teaches, and another without it."""
    text = PAGES["how-to/another_model"].split("```python\n")[1].split("```")[0]
    with torch.no_grad():
        exec(compile(text, "another_model.md", "exec"), {})
    assert capsys.readouterr().out == "[1, 1]  owl\n[0.5, 0.5]  owl\n[1, 0]  lion\n"


def test_its_own_rules_get_a_card(tmp_path, monkeypatch):
    """The examples are found, obey what they should, and survive where theory says."""
    from loratheory.evaluate import laws, rule_named, survival

    page = PAGES["how-to/check_your_method"]
    text = page.split("In a file `my_rules.py`:\n\n```python\n")[1].split("```")[0]
    (tmp_path / "rules_of_the_page.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    half, largest = (
        rule_named(f"rules_of_the_page:{name}") for name in ("half", "largest_response")
    )
    assert {law.name for law in laws(half) if not law.holds} == {"exact", "idempotent"}
    assert abs(survival(half).starts["two_hop"] - (5**0.5 - 1)) < 1e-6
    assert all(law.holds for law in laws(largest))
