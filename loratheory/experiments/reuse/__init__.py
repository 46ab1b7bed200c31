"""What the experiments on small transformers share: bases, shelves of adapters, rules and marks.

Needs PyTorch, so it is imported where used.
"""

from loratheory.experiments.reuse._bases import Bases as Bases
from loratheory.experiments.reuse._bases import Setting as Setting
from loratheory.experiments.reuse._bases import bases as bases
from loratheory.experiments.reuse._block import BlockGates as BlockGates
from loratheory.experiments.reuse._block import block_gates as block_gates
from loratheory.experiments.reuse._detection import detection as detection
from loratheory.experiments.reuse._marks import leads as leads
from loratheory.experiments.reuse._marks import marks as marks
from loratheory.experiments.reuse._rules import mean as mean
from loratheory.experiments.reuse._rules import merged as merged
from loratheory.experiments.reuse._rules import oracle as oracle
from loratheory.experiments.reuse._rules import routed as routed
from loratheory.experiments.reuse._rules import summed as summed
from loratheory.experiments.reuse._shelves import Shelf as Shelf
from loratheory.experiments.reuse._shelves import Teaching as Teaching
from loratheory.experiments.reuse._shelves import shelf as shelf
