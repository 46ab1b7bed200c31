"""Linear models small enough to solve by hand: their outputs follow from theorems, untrained."""

from loratheory.toy._one_read import Merge as Merge
from loratheory.toy._one_read import Rule as Rule
from loratheory.toy._one_read import TwoHop as TwoHop
from loratheory.toy._one_read import added as added
from loratheory.toy._one_read import chosen as chosen
from loratheory.toy._one_read import coded as coded
from loratheory.toy._one_read import composed as composed
from loratheory.toy._one_read import crossed as crossed
from loratheory.toy._one_read import flattened as flattened
from loratheory.toy._one_read import gated as gated
from loratheory.toy._one_read import relu_keys as relu_keys
from loratheory.toy._one_read import responsive as responsive
from loratheory.toy._one_read import two_hop as two_hop
from loratheory.toy._two_read import Chain as Chain
from loratheory.toy._two_read import Hop as Hop
from loratheory.toy._two_read import branching as branching
from loratheory.toy._two_read import chain as chain
from loratheory.toy._two_read import interpolating as interpolating
from loratheory.toy._two_read import miss as miss
