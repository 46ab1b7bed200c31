"""The table of rules that your own rule is compared with, on all models."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

from loratheory.adapters import (
    MERGE_METHODS,
    Adapter,
    Options,
    Router,
    arrow_scores,
    calibrate,
    calibrate_z,
    response_norms,
)
from loratheory.adapters import laws as table_of_laws
from loratheory.bench.crossings import Crossings, hop_gates, subject_gates
from loratheory.bench.rules import Act, Reuse, layer_split, routed, rule
from loratheory.evaluate._exact import Law
from loratheory.evaluate._rule import OwnRule

DENSITY, BUDGET = 0.3, 0.3


@dataclass(frozen=True)
class Known:
    """A known rule, in the forms that each test of it needs.

    `asked` is the rule as a function of one module's updates; `small` acts on small transformers
    and `language` on language models. Each is None where the rule has no such form. `told` says
    that the rule is given which adapters a question needs, or in which order. `crossed` makes a
    rule for which it must be known which adapters are first hops, or what each is about.
    """

    name: str
    asked: OwnRule | None = None
    small: Act | None = None
    language: Act | None = None
    told: bool = False
    crossed: Callable[[Crossings], Act] | None = None
    method: tuple[str, str] = ("", "full")  # of `MERGE_METHODS`, and the space

    @property
    def laws(self) -> list[Law]:
        """Which laws a merge obeys, decided with the options that it takes."""
        rows = [row for row in _table() if (row.method, row.space) == self.method]
        return [
            Law(name, "", holds=cell.holds, gap=cell.gap, seed=cell.seed)
            for row in rows
            for name, cell in row.cells.items()
            if cell.holds is not None
        ]


_table = cache(table_of_laws)


def reused(asked: OwnRule) -> Act:
    """Return a rule for models that applies a merge or router module by module."""
    if asked.form == "router":

        def _decide(updates: Any, x: Any) -> Any:
            weigher = asked.route(updates, x)
            return SimpleNamespace(weights=lambda t: t.new_tensor(weigher.weights(t)))

        return routed(_decide)

    def _one(group: Any) -> Adapter:
        weights = [1.0] * len(group)
        return Adapter.of({n: asked.merge([one[n] for one in group], weights) for n in group[0]})

    return lambda adapted: Reuse(adapted.merged_by(_one), lambda *_: [1.0])


def _merge(name: str, method: str, space: str = "full", **options: Any) -> Known:
    """A merge of `MERGE_METHODS`; what it is to be cut to is the rank of its widest adapter."""
    kept = MERGE_METHODS[method]

    def _rule(updates: Any, weights: Any) -> Any:
        rank = max(low.width for low in updates) if "rank" in kept.required else None
        return kept.rule(updates, weights, Options(space=space, rank=rank, **options))

    asked = OwnRule(name, "merge", _rule)
    act = reused(asked)
    return Known(name, asked, act, act, method=(method, space))


def _router(name: str, of: str, make: Callable[..., Any]) -> Known:
    return Known(name, OwnRule(name, "router", make), rule(of), rule(of))


def _one_at_a_time(library: Any) -> Reuse:
    """Prompt gates that choose one adapter, not a pair."""
    library.hops = 1
    return rule("largest response norm")(library)


def _halves(library: Any) -> Reuse:
    return layer_split(library.reads // 2)(library)


def _told(name: str, small: str, language: Act | None = None) -> Known:
    return Known(name, None, rule(small), language or rule(small), told=True)


_ROWS = (
    Known("base", None, rule("base"), rule("base")),
    _told("first adapter alone", "hop 1 alone"),
    _told("second adapter alone", "hop 2 alone"),
    _merge("mean", "mean"),
    _merge("sum", "sum"),
    _merge("svd, rank of one", "svd"),
    _merge("TIES in KnOTS' axes", "ties", "knots", density=DENSITY),
    _merge("DARE in KnOTS' axes", "dare", "knots", density=DENSITY),
    _merge("magnitude in KnOTS' axes", "magnitude", "knots", density=DENSITY),
    _merge("iso", "iso"),
    _merge("tsv", "tsv"),
    _merge("interpolate", "interpolate"),
    _merge("chebyshev", "chebyshev"),
    _merge("factor-mean", "factor-mean"),
    _router("Arrow", "arrow", lambda updates, _: Router(arrow_scores(updates))),
    _router("largest norm", "norm", lambda updates, _: Router(response_norms(updates))),
    _router("gates on maps", "gates", partial(calibrate, budget=BUDGET)),
    _router("gates on maps, z = 2", "gates, z = 2", partial(calibrate_z, z=2)),
    Known("block gates", None, rule("block gates, z = 2")),
    Known("prompt gates", None, None, _one_at_a_time),
    Known("hop gates", crossed=lambda _: hop_gates("divergence")),
    Known("subject gates", crossed=subject_gates),
    _told("placed in order", "oracle placement", _halves),
)
KNOWN: Mapping[str, Known] = {row.name: row for row in _ROWS}
"""Every known rule by name. RegMean is left out, since it needs inputs of each adapter; block gates
on a language model, since they pass each prompt eight times for six adapters."""
