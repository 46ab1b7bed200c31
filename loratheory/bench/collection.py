"""Twenty-four adapters for eight kinds of tasks on one language model, and how groups of them act.

An answer is right if its first token is the most likely of the whole vocabulary.
"""

from loratheory.adapters import Adapter
from loratheory.bench.language import Items
from loratheory.bench.tasks import NAMES, TASKS
from loratheory.pretrained import Model, Training
from loratheory.pretrained.train import train_once

SIZE = len(TASKS)
RATES = (3e-3, 1e-3)


class Collection:
    """The adapters of `TASKS` on one model, trained once and cached; groups of them can act.

    Attributes
    ----------
    model : Model
        The base.
    seed : int
        The seed of lessons, questions and training.
    """

    def __init__(self, model: Model, seed: int) -> None:
        self.model, self.seed = model, seed
        self._adapters: dict[int, Adapter] = {}

    @property
    def silence(self) -> Items:
        """Lessons of self-distillation on generic text; none here."""
        return []

    def rate(self, number: int) -> float:
        """Return the learning rate of a task's adapter.

        Each kind of task has adapters of both rates, so that rate and kind are told apart.
        """
        kind, place = divmod(number, 3)
        return RATES[(kind + place) % 2]

    def adapter(self, number: int) -> Adapter:
        """Return the adapter of a task, from the cache or trained in half a minute."""
        if number not in self._adapters:
            lessons, _ = TASKS[NAMES[number]].drawn(self.seed, number)
            self._adapters[number] = train_once(
                self.model,
                [*lessons, *self.silence],
                seed=(self.seed, 14, number),
                training=Training(rate=self.rate(number), window=5, enough=0.1),
            )
        return self._adapters[number]

    def questions(self, number: int) -> Items:
        """Return a task's questions: first those that choose coefficients, then scoring ones."""
        return TASKS[NAMES[number]].drawn(self.seed, number)[1]
