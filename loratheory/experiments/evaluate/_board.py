"""The leaderboard: report cards of all known rules and of your own, as tables in Markdown."""

from collections.abc import Callable, Sequence

from loratheory.experiments.evaluate._card import Card, Mark, on_models, profile_named
from loratheory.experiments.evaluate._exact import TOP, laws, survival
from loratheory.experiments.evaluate._known import KNOWN, reused
from loratheory.experiments.evaluate._language import Exam, LanguageMark
from loratheory.experiments.evaluate._rule import OwnRule

TITLE = "# Leaderboard of rules of reuse"
COMMAND = "loratheory leaderboard --crossings -o docs/leaderboard.md"
EXACT = """\
**Laws**: of the laws that apply to a rule, those that it kept in all random trials (`loratheory
methods` and `loratheory evaluate` name them). **Exact memories**: the result of the rule is
multiplied by a coefficient; from which one on do single facts lead, the two facts of one
question, and facts of two adapters in one read? – means none up to 3. The sum has ½, .618 and ½
(`thm:two-read-region`). **Small transformers**: edited two-hop questions answered, on looped
layers (half of the two-hop questions in pretraining) and on untied ones (nine tenths), with
intervals over bases, of which there are few. One answer always given is right in {chance}."""
LANGUAGE = """\
SmolLM2-135M-Instruct, dequantised from 4 bits. **Kept**: six adapters (births, capitals in
capitals, parity, an invented lexicon, verdicts on reviews, the first of three) are asked new
prompts; the share of what each answers alone that is still answered with two of them at once and
with all six. **Two-hop**: questions that need two adapters of invented facts, taught plainly or
beside stand-ins; **facts**: their single facts, in sentences that no adapter read; **of twelve**:
those of six first and six second hops taught beside stand-ins, any of which may be needed together
(with `--crossings`). **Leak**: KL
divergence from the base on ordinary text with all six at once, nats a token. **Cost**:
multiplications of this text's passes over those with one adapter; what a router decides in NumPy
is not counted. An answer is right if its first token is the likeliest of all 49,152: chance is
nothing, and the row *base* says what is right without any adapter. Intervals are Wilson's at 95
%, over questions: of other adapters they say nothing."""
TOLD = "¹ is told which adapters a question needs, or in which order: no rule, a control."


def board(
    asked: Sequence[OwnRule] = (),
    profile: str = "quick",
    progress: Callable[[str], None] = lambda _: None,
    *,
    model: bool = True,
    crossings: bool = False,
) -> list[Card]:
    """Return the report cards of all known rules, then those of the rules in `asked`.

    With `model` the rules are also tried on the language model, where results of known rules are
    cached; with `crossings` on twelve adapters, too, which are trained first. RuleError if there is
    no such profile, or a rule fails.
    """
    how = profile_named(profile)
    small = {name: row.small for name, row in KNOWN.items() if row.small is not None}
    small |= {one.name: reused(one) for one in asked}
    exam = Exam(how.worlds, crossings) if model else None
    marks, language = on_models(asked, small, how, exam, progress)
    cards = []
    for name, row in {**KNOWN, **{one.name: None for one in asked}}.items():
        rule = row.asked if row else next(one for one in asked if one.name == name)
        progress(f"{name}: laws and exact memories")
        obeyed = row.laws if row and row.method[0] else laws(rule) if rule else []
        cards.append(
            Card(
                name,
                rule.form if rule else "control" if row and row.told else "",
                profile,
                obeyed,
                survival(rule) if rule else None,
                [mark for mark in marks if mark.rule == name],
                [mark for mark in language if mark.rule == name],
            )
        )
    return cards


def markdown(cards: Sequence[Card]) -> str:
    """Return the cards as a Markdown page of tables, best rule first and controls last."""
    marks = [mark for card in cards for mark in card.marks]
    chance = ", ".join(
        dict.fromkeys(f"{mark.chance:.2f} ({mark.base})" for mark in marks if mark.coverage)
    )
    parts = [
        TITLE,
        f"Written by `{COMMAND}`; [your own rule](own_rule.md) is added by its name there.",
    ]
    parts += ["## Exact, and on small transformers", _exact(cards)]
    parts += [EXACT.format(chance=chance)]
    if any(card.language for card in cards):
        parts += ["## On a language model", _language(cards), LANGUAGE]
    return "\n\n".join([*parts, TOLD]) + "\n"


def _exact(cards: Sequence[Card]) -> str:
    head = ["rule", "laws", "facts from", "two-hop from", "one read from"]
    head += ["two-hop, looped", "two-hop, untied", "facts, looped", "facts, untied"]
    rows = []
    asked = [card for card in cards if card.marks or card.laws]
    for card in sorted(asked, key=lambda card: (card.form == "control", -_two_hop(card))):
        held = f"{sum(law.holds for law in card.laws)}/{len(card.laws)}" if card.laws else "–"
        starts = card.memories.starts if card.memories else {}
        each = [starts.get("hop_1"), starts.get("hop_2")]
        facts_from = max(each, key=lambda start: TOP + 1 if start is None else start)
        found = [_number(x) for x in (facts_from, starts.get("two_hop"), starts.get("same_read"))]
        kinds = [_of(card, base) for base in ("looped", "untied")]
        two_hop = [
            f"{_short(m.two_hop)} ({_short(m.low)}–{_short(m.high)})" if m else "–" for m in kinds
        ]
        facts = [_short((m.hop_1 + m.hop_2) / 2) if m else "–" for m in kinds]
        rows.append((_name(card), held, *found, *two_hop, *facts))
    return _table(head, rows)


def _of(card: Card, base: str) -> Mark | None:
    """Its mark on the bases that know two hops."""
    return next((mark for mark in card.marks if mark.base == base and mark.coverage), None)


def _two_hop(card: Card) -> float:
    mark = _of(card, "looped")
    return mark.two_hop if mark else -1.0


def _language(cards: Sequence[Card]) -> str:
    head = (
        "rule",
        "kept, two",
        "kept, six",
        "two-hop, plain",
        "two-hop, taught",
        "facts",
        "two-hop, of twelve",
        "leak",
        "cost",
    )
    marked = [(card, mark) for card in cards for mark in card.language]
    rows = []
    for card, mark in sorted(marked, key=lambda one: (one[0].form == "control", -_kept(one[1]))):
        each = (mark.pairs, mark.six, mark.plain, mark.taught, mark.facts, mark.crossed)
        shares = (str(share) if share else "–" for share in each)
        rows.append((_name(card), *shares, _number(mark.leak), _number(mark.cost)))
    return _table(head, rows)


def _kept(mark: LanguageMark) -> float:
    return mark.six.part if mark.six else -1.0


def _name(card: Card) -> str:
    return card.rule + "¹" * (card.form == "control")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _short(value: float) -> str:
    return f"{value:.2f}".removeprefix("0") if value < 0.995 else "1"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
