"""Rules on a language model: different tasks at once, two-hop questions, ordinary text, cost.

The adapters are those of the studies `lm_library`, `lm_training` and `lm_all_pairs`; they are
trained once and cached. An answer is right if its first token is the most likely of the whole
vocabulary.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from loratheory.adapters import Adapter
from loratheory.bench import Language
from loratheory.bench.collection import Collection
from loratheory.bench.crossings import Crossings, crossings, parts
from loratheory.bench.language import acting, answers
from loratheory.bench.language_facts import items
from loratheory.bench.portable import Publishers, publishers, questions
from loratheory.bench.rules import Act, coefficients
from loratheory.bench.sentences import TEN, TEXT
from loratheory.bench.tasks import CHOOSING, NAMES
from loratheory.evaluate._known import KNOWN, Known, reused
from loratheory.evaluate._rule import OwnRule
from loratheory.pretrained import Model, kl_to_base
from loratheory.pretrained.metrics import Share, token_log_probs
from loratheory.store import cache_folder, code, content_hash, write_whole

SEED = 300  # of the tasks' adapters
TASKS = ("births A", "capitals", "parity", "Zorvan", "verdict", "first")  # of six kinds
EACH = 16  # questions of a task: six adapters are few, and more questions do not change that
RECIPES = {"plain": "plain", "taught": "two stand-ins"}
SENTENCES = {  # that no adapter is trained on, short ones: rules take as long as there are tokens
    "hop_1": TEN["hop_1"][2:3],
    "hop_2": TEN["hop_2"][1:2],
    "two_hop": (*TEN["two_hop"][:2], TEN["two_hop"][4]),
}


@dataclass(frozen=True)
class LanguageMark:
    """The results of one rule on a language model.

    `pairs` is the retention of six adapters, two of them acting at once, and `six` with all acting;
    both are None for rules that must be given the adapters of a question. `plain` and `taught` are
    shares of two-hop questions answered with two single-hop adapters, trained plainly or beside
    stand-ins; `facts` is that of their single facts, in sentences that no adapter was trained on.
    `leak` is the mean KL divergence from the base on ordinary text with all six adapters, in nats a
    token. `cost` is the number of multiplications on that text over that with one adapter, without
    those in NumPy. `crossed` is the share of two-hop questions answered with twelve adapters taught
    beside stand-ins, of which any first hop may be needed beside any second hop; None if they were
    not asked. All else is None for rules that only exist there.
    """

    rule: str
    pairs: Share | None = None
    six: Share | None = None
    plain: Share | None = None
    taught: Share | None = None
    facts: Share | None = None
    leak: float | None = None
    cost: float | None = None
    crossed: Share | None = None


@dataclass(frozen=True)
class Exam:
    """The language model, tasks and two-hop questions (of worlds with `seeds`) for all rules.

    With `twelve`, the crossings of six publishers of each hop are asked as well.
    """

    seeds: tuple[int, ...] = (200,)
    twelve: bool = False

    @cached_property
    def model(self) -> Model:
        """SmolLM2 in bfloat16."""
        return Language().base(dtype="bfloat16")

    @cached_property
    def tasks(self) -> Collection:
        """The tasks' adapters and questions."""
        return Collection(self.model, SEED)

    @cached_property
    def worlds(self) -> list[Publishers]:
        """The publishers whose adapters two-hop questions need, a pair for each world."""
        return [publishers(self.model, seed) for seed in self.seeds]

    @cached_property
    def crossings(self) -> Crossings:
        """The facts of six publishers of each hop."""
        return crossings(self.seeds[0])

    @cached_property
    def library(self) -> list[Adapter]:
        """Their adapters."""
        return self.crossings.adapters(self.model, RECIPES["taught"])

    def adapters(self) -> list[Adapter]:
        """Return every adapter that is asked, trained if it is not cached."""
        asked = [self.tasks.adapter(number) for number in map(NAMES.index, TASKS)]
        for one in self.worlds:
            other = publishers(self.model, one.seed + 1)
            for recipe in RECIPES.values():
                asked += [each.adapter(1, recipe) for each in (one, other)]
                asked.append(one.adapter(0, recipe))
        return asked + (self.library if self.twelve else [])

    @cached_property
    def text(self) -> tuple[Any, float]:
        """The base's log-probabilities on ordinary text, and multiplications with one adapter."""
        first = self.tasks.adapter(NAMES.index(TASKS[0]))
        with acting(self.model, [first], coefficients(1.0)):
            cost = self.passed()[1]
        return self.passed()[0], cost

    def passed(self) -> tuple[Any, float]:
        """Return log-probabilities on ordinary text with what acts now, and multiplications."""
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            said, _ = token_log_probs(self.model, TEXT, at_once=True)
        return said, counter.get_total_flops() / 2

    def mark(self, name: str, act: Act, *, told: bool = False, other: bool = False) -> LanguageMark:
        """Return a rule's results; `other` takes each second-hop adapter from another world."""
        pairs = six = leaks = cost = None
        if not told and not other:
            numbers = [NAMES.index(task) for task in TASKS]
            pairs, _ = self._kept(act, [numbers[i : i + 2] for i in range(0, len(numbers), 2)])
            six, (said, passed) = self._kept(act, [numbers])
            base, alone = self.text
            leaks, cost = kl_to_base(base, said), passed / alone
        found = {key: self._answered(act, recipe, other=other) for key, recipe in RECIPES.items()}
        facts = [sum(one) for one in zip(*(each[1] for each in found.values()), strict=True)]
        shares = {key: Share.of(key, *two_hop) for key, (two_hop, _) in found.items()}
        shares["facts"] = Share.of("facts", *facts)
        crossed = None if other else self.crossed(act, told=told)
        return LanguageMark(name, pairs, six, **shares, leak=leaks, cost=cost, crossed=crossed)

    def crossed(self, act: Act, *, told: bool = False) -> Share | None:
        """Return how many two-hop questions twelve adapters answer; if `told`, the right pair."""
        if not self.twelve:
            return None
        right = list[bool]()
        for adapters, world, _ in parts(self.crossings, self.library, told=told):
            asked = items(world.two_hop, SENTENCES["two_hop"][:1])
            with acting(self.model, adapters, act):
                right += answers(self.model, asked).vocabulary_right.tolist()
        return Share.of("crossed", sum(right), len(right))

    @cached_property
    def _alone(self) -> dict[int, Any]:
        """Which questions of its task each adapter alone answers rightly."""
        found = {}
        for number in map(NAMES.index, TASKS):
            with acting(self.model, [self.tasks.adapter(number)], coefficients(1.0)):
                found[number] = self._right(number)
        return found

    def _right(self, number: int) -> Any:
        """Which questions of a task are answered rightly with whatever acts."""
        asked = self.tasks.questions(number)[CHOOSING : CHOOSING + EACH]
        return answers(self.model, asked).vocabulary_right

    def _kept(self, act: Act, groups: Sequence[Sequence[int]]) -> tuple[Share, Any]:
        """How much is kept of what each adapter answers alone; what the last group says of text."""
        kept, asked, said = 0, 0, None
        for group in groups:
            alone = [self._alone[number] for number in group]
            with acting(self.model, [self.tasks.adapter(number) for number in group], act):
                now = [self._right(number) for number in group]
                said = self.passed() if len(group) == len(TASKS) else None
            kept += sum(int((one & other).sum()) for one, other in zip(alone, now, strict=True))
            asked += sum(int(one.sum()) for one in alone)
        return Share.of("kept", kept, asked), said

    def _answered(self, act: Act, recipe: str, *, other: bool) -> tuple[list[int], list[int]]:
        """Right and asked, of two-hop questions and of single facts, all worlds together."""
        two_hop, facts = [0, 0], [0, 0]
        for one in self.worlds:
            partner = publishers(self.model, one.seed + 1) if other else one
            asked, size = questions(one.world, SENTENCES), len(one.world.first)
            with acting(self.model, [one.adapter(0, recipe), partner.adapter(1, recipe)], act):
                for kind, sums in (("hop_1", facts), ("hop_2", facts), ("two_hop", two_hop)):
                    some = asked[kind]
                    for first in range(0, len(some), size):  # a sentence each, so of like lengths
                        right = answers(self.model, some[first : first + size]).vocabulary_right
                        sums[0] += int(right.sum())
                        sums[1] += len(right)
        return two_hop, facts


@contextmanager
def processes() -> Iterator[Executor]:
    """Yield an executor of new processes, one for each core, each with a single thread."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))  # what a new process inherits
    try:
        with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
            yield pool
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


@contextmanager
def known_apart(exam: Exam, progress: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Ask those known rules whose results are not cached in processes of their own, one for a core.

    They begin when adapters are at hand; the block does something else, on one thread, and ends
    when all of them are asked and cached.
    """
    from threadpoolctl import threadpool_limits

    if not (missing := [row.name for row in _rows(exam) if not _file(exam, row.name).exists()]):
        yield
        return
    with processes() as pool:
        progress("adapters of the language model")
        for _ in missing:  # while this process looks for adapters, all others load the model
            pool.submit(_load, exam.seeds, twelve=exam.twelve)
        exam.adapters()  # trained here, lest every process train the same
        later = {
            pool.submit(_ask, name, exam.seeds, twelve=exam.twelve): name
            for name in reversed(missing)  # the slowest first
        }
        with threadpool_limits(1):
            yield
        for number, done in enumerate(as_completed(later), 1):
            done.result()
            progress(f"{later[done]} on the language model, {number} of {len(later)} known rules")


def own_marks(
    asked: Sequence[OwnRule], exam: Exam, progress: Callable[[str], None] = lambda _: None
) -> list[LanguageMark]:
    """Return the results of rules of one's own, each followed by its control, ``rule, shuffled``.

    In the control each second-hop adapter is that of another world. Costs some 20 s of one core a
    rule.
    """
    from threadpoolctl import threadpool_limits

    marks = []
    for one in asked:
        for name, other in ((one.name, False), (f"{one.name}, shuffled", True)):
            progress(f"{name} on the language model")
            with threadpool_limits(1 if one.form == "router" else None):
                # its NumPy and PyTorch take turns, and each would spin while the other computes
                marks.append(exam.mark(name, reused(one), other=other))
    return marks


def known_marks(exam: Exam, progress: Callable[[str], None] = lambda _: None) -> list[LanguageMark]:
    """Return the results of known rules, which are cached until code changes that they run."""
    marks = []
    for row in _rows(exam):
        progress(f"{row.name} on the language model")
        marks.append(_known_mark(exam, row))
    return marks


def _rows(exam: Exam) -> list[Known]:
    """The known rules that can be asked."""
    return [row for row in KNOWN.values() if row.language or (row.crossed and exam.twelve)]


def _ask(name: str, seeds: tuple[int, ...], *, twelve: bool) -> None:
    """In another process: put the results of a known rule into the cache."""
    _known_mark(_exam(seeds, twelve), KNOWN[name])


def _load(seeds: tuple[int, ...], *, twelve: bool) -> None:
    """In another process: load the language model, once."""
    _ = _exam(seeds, twelve).model


_exam = cache(Exam)


def _file(exam: Exam, name: str) -> Path:
    """Where the results of a known rule are cached."""
    made: dict[str, Any] = {"code": code(__name__), "rule": name, "seeds": list(exam.seeds)}
    made |= {"twelve": True} if exam.twelve else {}
    return cache_folder() / "marks" / f"{content_hash(made)}.json"


def _known_mark(exam: Exam, row: Known) -> LanguageMark:
    file = _file(exam, row.name)
    if file.exists():
        values = json.loads(file.read_text("utf-8"))
        shares = {key: Share(**value) for key, value in values.items() if isinstance(value, dict)}
        return LanguageMark(**(values | shares))
    if row.language is not None:
        mark = exam.mark(row.name, row.language, told=row.told)
    else:
        assert row.crossed is not None
        mark = LanguageMark(row.name, crossed=exam.crossed(row.crossed(exam.crossings)))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps(asdict(mark)))
    return mark
