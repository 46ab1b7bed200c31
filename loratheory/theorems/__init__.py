"""The theorems, in a package for each chapter; `registry` holds their names and loads them.

`theorem` looks one up, `verify` checks it on random cases, `check` on one of your own.
``verify("merge-floor")`` loads the module that states this floor and no other. Each theorem is also
an attribute, such as ``merge_floor``.
"""

from typing import TYPE_CHECKING

from loratheory.arguments import check_arguments as _check_arguments
from loratheory.theorems._stored import Cited as Cited
from loratheory.theorems._stored import Witness as Witness
from loratheory.theorems._stored import list_witnesses as list_witnesses
from loratheory.theorems._stored import load_cited as load_cited
from loratheory.theorems._stored import load_witness as load_witness
from loratheory.theorems._theorem import SAFETY as SAFETY
from loratheory.theorems._theorem import Assumption as Assumption
from loratheory.theorems._theorem import AssumptionError as AssumptionError
from loratheory.theorems._theorem import Control as Control
from loratheory.theorems._theorem import Theorem as Theorem
from loratheory.theorems._theorem import Verdict as Verdict
from loratheory.theorems._theorem import parts as parts
from loratheory.theorems._verify import Report as Report
from loratheory.theorems._verify import Sensitivity as Sensitivity
from loratheory.theorems._verify import sensitivity as sensitivity
from loratheory.theorems._verify import verify as verify
from loratheory.theorems._verify import verify_all as verify_all
from loratheory.theorems.registry import CHAPTERS as CHAPTERS
from loratheory.theorems.registry import LABELS as LABELS
from loratheory.theorems.registry import check as check
from loratheory.theorems.registry import load_theorems as load_theorems
from loratheory.theorems.registry import theorem as theorem

_check_arguments(globals())

# `dir` shows every theorem, and none is loaded before it is used. A type checker would then take
# any name for a theorem.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if f"thm:{name.replace('_', '-')}" in LABELS:
            return theorem(name)
        message = f"there is no theorem {name!r}; dir(loratheory.theorems) lists all"
        raise AttributeError(message)

    def __dir__() -> list[str]:
        labels = {label.removeprefix("thm:").replace("-", "_") for label in LABELS}
        names = {name for name in globals() if name[0] != "_" and name != "TYPE_CHECKING"}
        return sorted(labels | names)
