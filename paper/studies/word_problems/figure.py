"""Word problems of two skills solved, by what pretraining had and by shared templates."""

from paper.style import LOOKS, Figure, accuracy_axis, curve, finish, panels, percent
from paper.tables import read_table

METHODS = {"base": "base", "mean": "mean", "sum": "sum", "composed": "adapter of the pair itself"}


def draw() -> Figure:
    """Draw the figure."""
    seen = read_table("word_problems/skill_coverage")
    shared = read_table("word_problems/template_overlap")
    seen = seen[seen["seen"] == "pairs"]
    shared = shared[shared["bridge"] == "own"]
    figure, (left, right) = panels(2, 3.2, sharey=True)
    for look, (rule, name) in zip(LOOKS, METHODS.items(), strict=False):
        curve(left, seen[seen["rule"] == rule], "coverage", "stepwise", name, look)
        curve(right, shared[shared["rule"] == rule], "share", "stepwise", name, look)
    # The axis must show zero and shares that differ by factors of three.
    left.set_xscale("symlog", linthresh=0.004)
    left.set(xlabel="share of the pair in pretraining", title="pretraining", xlim=(-0.0005, 0.4))
    left.set_xticks([0, 0.01, 0.1], ["0", "1%", "10%"])
    right.set(xlabel="share of two-step training examples", title="own skill in two steps")
    accuracy_axis(left)
    rare = seen[seen["coverage"].round(4) == 0.0124]
    base, merged = rare[rare["rule"] == "base"], rare[rare["rule"] == "sum"]
    title = (
        f"With the pair at 1.2%, the sum solves {percent(merged, 'stepwise')}, "
        f"the base {percent(base, 'stepwise')}"
    )
    return finish(figure, title)
