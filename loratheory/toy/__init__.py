"""Models small enough to solve by hand: their answers follow from theorems, without training."""

from loratheory.toy._one_read import Merge as Merge
from loratheory.toy._two_read import Chain as Chain
from loratheory.toy._two_read import Hop as Hop
from loratheory.toy._two_read import branching as branching
from loratheory.toy._two_read import chain as chain
from loratheory.toy._two_read import interpolating as interpolating
from loratheory.toy._two_read import miss as miss
