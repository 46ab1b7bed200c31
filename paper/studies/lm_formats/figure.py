"""New facts in another adapter's answer format, by format, base model, training and use."""

from paper.style import Figure, by, dots, finish, panels
from paper.tables import read_table

FORMATS = {name: name for name in ("capitals", "JSON", "French")}
BASES = {"SmolLM2-135M-Instruct": "SmolLM2-135M", "gemma-3-270m": "gemma-3-270m"}
SERIES = {
    f"{method}, {rule}": f"{method}, {rule}"
    for method in ("standard", "stand-ins")
    for rule in ("sum", "layer split")
}


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("lm_formats/formats")
    table = table.assign(series=table["method"] + ", " + table["rule"])
    figure, axes = panels(2, 2.6)
    for panel, (base, rows) in zip(axes, by(table, "base", BASES).items(), strict=True):
        groups = {}
        for name, some in by(rows, "answer_format", FORMATS).items():
            wide = some.pivot_table(index="seed", columns="series", values="both")
            groups[name] = wide.reindex(columns=[*SERIES]).reset_index()
        dots(panel, groups, SERIES)
        panel.set_title(base)
    axes[1].set_yticklabels([])
    title = "With stand-ins, facts in lower layers and a format in upper ones compose"
    return finish(figure, title)
