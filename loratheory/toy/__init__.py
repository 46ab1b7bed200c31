"""Linear models small enough to solve by hand: their outputs follow from theorems, untrained."""

from loratheory.arguments import check_arguments as _check_arguments
from loratheory.toy.attention import AttentionHead as AttentionHead
from loratheory.toy.linear_chain import Hop as Hop
from loratheory.toy.linear_chain import LinearChain as LinearChain
from loratheory.toy.linear_chain import branching as branching
from loratheory.toy.linear_chain import chain as chain
from loratheory.toy.linear_chain import interpolating as interpolating
from loratheory.toy.linear_chain import miss as miss
from loratheory.toy.memory import AssociativeMemory as AssociativeMemory
from loratheory.toy.memory import Rule as Rule
from loratheory.toy.memory import TwoHop as TwoHop
from loratheory.toy.memory import added as added
from loratheory.toy.memory import chosen as chosen
from loratheory.toy.memory import coded as coded
from loratheory.toy.memory import composed as composed
from loratheory.toy.memory import crossed as crossed
from loratheory.toy.memory import flattened as flattened
from loratheory.toy.memory import gated as gated
from loratheory.toy.memory import relu_keys as relu_keys
from loratheory.toy.memory import responsive as responsive
from loratheory.toy.memory import two_hop as two_hop

_check_arguments(globals())
