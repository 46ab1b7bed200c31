"""Two adapters trained anew on the language model, and their chains held against the paper's."""

import shutil
from pathlib import Path

from loratheory.report._section import Section, command

TITLE = "Two hops on a language model"
NAME = "real_two_hop"
SAME = ("seed", "taught", "way", "first", "second", "layer")
APART = 0.16  # two standard errors of 40 questions


def language_model(build: Path, results: Path = Path("paper/results")) -> Section:
    """Run the quick profile of `real_two_hop` and compare it with the stored table."""
    from loratheory.experiments import table
    from loratheory.pretrained import ModelError
    from loratheory.pretrained._embedded import embedded

    try:
        embedded()
    except ModelError as error:
        told = f"Not run: {error}."
        return Section(TITLE, told, deviated=("Two hops on the language model were not tried.",))
    made = build / "results"
    shutil.rmtree(made / NAME, ignore_errors=True)
    command("run", NAME, "-o", made)
    stored = {
        tuple(row[key] for key in SAME): row["chains"]
        for row in table(results / NAME / "table.csv")
    }
    found = table(made / NAME / "table.csv")
    rows = []
    for row in found:
        before = stored.get(tuple(row[key] for key in SAME), float("nan"))
        marks = (row["hop_1"], row["hop_2"], row["chains"], before)
        rows.append((row["taught"], row["way"], row["first"], row["second"], *marks))
    known = [row for row in rows if row[-1] == row[-1]]
    off = [row for row in known if abs(row[-2] - row[-1]) > APART]
    line = (
        f"{len(known)} ways of using two adapters on SmolLM2-135M answer chains as in the paper's "
        f"table, to {APART}."
    )
    return Section(
        TITLE,
        "An adapter each for invented persons' countries and these countries' mascots, trained "
        "anew where none are kept, on SmolLM2-135M-Instruct dequantised from 4 bits. Chains ask "
        "for the mascot from the person; one answer in twenty is right by chance.",
        ("taught", "way", "first", "second", "hop 1", "hop 2", "chains", "in the paper"),
        tuple(rows),
        confirmed=(line,) if known and not off else (),
        deviated=tuple(
            f"{way} ({taught}, {c1:g}, {c2:g}): chains {now:.2f}, stored {before:.2f}"
            for taught, way, c1, c2, _, _, now, before in off
        ),
    )
