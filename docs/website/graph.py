"""Which theorem rests on which: a drawing by chapter in which every name is a link."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from loratheory.theorems import Theorem

COLUMNS = (("expressiveness", "editing"), ("merging", "libraries"), ("routing", "composition"))
WIDTH, ROW, TOP = 280, 25, 20  # of a column, of a line, of the first line's base; in pixels
LETTER = 7.8  # about the width of one
SCRIPT = """
<script>
for (const name of document.querySelectorAll(".theorem-graph a"))
  for (const [event, on] of [["mouseenter", 1], ["focus", 1], ["mouseleave", 0], ["blur", 0]])
    name.addEventListener(event, () => document
      .querySelectorAll(`.theorem-graph path.${name.id}`)
      .forEach((path) => path.classList.toggle("on", on)));
</script>
"""


def graph(theorems: Sequence[Theorem[Any, Any]]) -> str:
    """Return HTML with a drawing: chapters as lists, a line from each theorem to what uses it.

    Clauses stand on the pages of their theorems and are left out here; a line to or from one
    leads to its theorem.
    """
    parent = {t.label: t.part_of for t in theorems}

    def _whole(label: str) -> str:
        return _whole(parent[label]) if parent.get(label) else label

    shown = [t for t in theorems if t.kind != "clause"]
    places, heads = _places(shown)
    pairs = {(_whole(used), _whole(t.label)) for t in theorems for used in t.uses}
    lines = [_line(p, places) for p in sorted(pairs) if p[0] != p[1] and places.keys() >= set(p)]
    names = [_name(t, *places[t.label]) for t in shown]
    height = max(y for _, y in [*places.values(), *heads.values()]) + ROW
    titles = [f'<text class="head" x="{x}" y="{y}">{name}</text>' for name, (x, y) in heads.items()]
    label = "Theorems by chapter; a line leads from each to those that rest on it"
    opening = f'<svg class="theorem-graph" viewBox="0 0 {3 * WIDTH} {height}" role="group" '
    drawn = "\n".join([*lines, *titles, *names])
    return f'{opening}aria-label="{label}">\n{drawn}\n</svg>{SCRIPT}'


def _places(
    shown: Sequence[Theorem[Any, Any]],
) -> tuple[dict[str, tuple[int, int]], dict[str, tuple[int, int]]]:
    """Where each label and each chapter's head stands."""
    places, heads = {}, {}
    for column, chapters in enumerate(COLUMNS):
        x, y = column * WIDTH + 40, TOP
        for name in chapters:
            labels = [t.label for t in shown if t.chapter == name]
            if not labels:
                continue
            heads[name.capitalize()] = (x, y)
            places |= {label: (x, y + ROW * (n + 1)) for n, label in enumerate(labels)}
            y += ROW * (len(labels) + 2)
    return places, heads


def _name(theorem: Theorem[Any, Any], x: int, y: int) -> str:
    name = theorem.label.removeprefix("thm:")
    title = " ".join(theorem.document.strip().partition("\n\n")[0].split()).replace("`", "")
    hint, words = f"<title>{escape(title)}</title>", name.replace("-", " ")
    return f'<a id="on-{name}" href="{name}.html">{hint}<text x="{x}" y="{y}">{words}</text></a>'


def _line(pair: tuple[str, str], places: Mapping[str, tuple[int, int]]) -> str:
    """A curve between two names: on the left of both in one column, else from side to side."""
    (x, y), (to_x, to_y) = (places[label] for label in pair)
    right, to_right = (
        round(p + LETTER * (len(n) - 4)) for p, n in zip((x, to_x), pair, strict=True)
    )
    start, end = (right if to_x > x else x - 6), (to_right if to_x < x else to_x - 6)
    out = min(34, 8 + abs(y - to_y) // 6)
    bends = (start - out, end - out) if x == to_x else [(start + end) // 2] * 2
    points = f"{bends[0]},{y - 5} {bends[1]},{to_y - 5} {end},{to_y - 5}"
    classes = " ".join(f"on-{label.removeprefix('thm:')}" for label in pair)
    return f'<path class="{classes}" d="M{start},{y - 5} C{points}"/>'
