"""Report cards for rules of reuse, the package's and your own."""

from loratheory.evaluate._card import Card as Card
from loratheory.evaluate._card import Mark as Mark
from loratheory.evaluate._card import Profile as Profile
from loratheory.evaluate._card import card as card
from loratheory.evaluate._exact import Law as Law
from loratheory.evaluate._exact import Survival as Survival
from loratheory.evaluate._exact import laws as laws
from loratheory.evaluate._exact import survival as survival
from loratheory.evaluate._known import KNOWN as KNOWN
from loratheory.evaluate._language import LanguageMark as LanguageMark
from loratheory.evaluate._rule import OwnRule as OwnRule
from loratheory.evaluate._rule import RuleError as RuleError
from loratheory.evaluate._rule import rule_named as rule_named
