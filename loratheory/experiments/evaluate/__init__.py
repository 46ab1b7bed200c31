"""Report cards and a leaderboard for rules of reuse, the package's and your own."""

from loratheory.experiments.evaluate._board import board as board
from loratheory.experiments.evaluate._board import markdown as markdown
from loratheory.experiments.evaluate._card import Card as Card
from loratheory.experiments.evaluate._card import Mark as Mark
from loratheory.experiments.evaluate._card import Profile as Profile
from loratheory.experiments.evaluate._card import card as card
from loratheory.experiments.evaluate._exact import Law as Law
from loratheory.experiments.evaluate._exact import Survival as Survival
from loratheory.experiments.evaluate._exact import laws as laws
from loratheory.experiments.evaluate._exact import survival as survival
from loratheory.experiments.evaluate._known import KNOWN as KNOWN
from loratheory.experiments.evaluate._language import LanguageMark as LanguageMark
from loratheory.experiments.evaluate._rule import OwnRule as OwnRule
from loratheory.experiments.evaluate._rule import RuleError as RuleError
from loratheory.experiments.evaluate._rule import rule_named as rule_named
