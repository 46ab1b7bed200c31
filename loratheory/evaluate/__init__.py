"""Evaluate a user's combination method: a merge or a router, given as one function."""

from loratheory.evaluate.exact import card as card
from loratheory.evaluate.exact import laws as laws
from loratheory.evaluate.exact import survival as survival
from loratheory.evaluate.own_rule import OwnRule as OwnRule
from loratheory.evaluate.own_rule import RuleError as RuleError
from loratheory.evaluate.own_rule import rule_named as rule_named
