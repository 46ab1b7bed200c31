"""A report card for a rule of reuse that somebody else wrote: a merge or a router."""

from loratheory.experiments.evaluate._card import Card as Card
from loratheory.experiments.evaluate._card import Law as Law
from loratheory.experiments.evaluate._card import Mark as Mark
from loratheory.experiments.evaluate._card import card as card
from loratheory.experiments.evaluate._rule import Asked as Asked
from loratheory.experiments.evaluate._rule import RuleError as RuleError
from loratheory.experiments.evaluate._rule import found as found
