"""The theorems, in a package for each chapter; `registry` holds their names and loads them.

`theorem` looks one up, `verify` checks it on random cases. ``verify(theorem("merge-floor"))``
loads the module that states this floor and no other.
"""

from loratheory.theorems._cited import Cited as Cited
from loratheory.theorems._cited import load_cited as load_cited
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
from loratheory.theorems.registry import FACTORED as FACTORED
from loratheory.theorems.registry import LABELS as LABELS
from loratheory.theorems.registry import load_theorems as load_theorems
from loratheory.theorems.registry import theorem as theorem
