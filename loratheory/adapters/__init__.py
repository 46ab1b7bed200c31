"""Adapters as mappings from modules to low-rank updates: reading, writing, merging, routing."""

from loratheory.adapters.adapter import Adapter as Adapter
from loratheory.adapters.adapter import AdapterError as AdapterError
from loratheory.adapters.adapter import AdapterOrPath as AdapterOrPath
from loratheory.adapters.adapter import Aligned as Aligned
from loratheory.adapters.adapter import Info as Info
from loratheory.adapters.adapter import aligned as aligned
from loratheory.adapters.interference import crosstalk as crosstalk
from loratheory.adapters.interference import crosstalk_bound as crosstalk_bound
from loratheory.adapters.interference import frobenius_cosine as frobenius_cosine
from loratheory.adapters.interference import interference as interference
from loratheory.adapters.laws import LAWS as LAWS
from loratheory.adapters.laws import LawCase as LawCase
from loratheory.adapters.laws import laws as laws
from loratheory.adapters.merging import MERGE_METHODS as MERGE_METHODS
from loratheory.adapters.merging import DisjointWarning as DisjointWarning
from loratheory.adapters.merging import MergeError as MergeError
from loratheory.adapters.merging import Method as Method
from loratheory.adapters.merging import Options as Options
from loratheory.adapters.merging import merge as merge
from loratheory.adapters.merging import read_moments as read_moments
from loratheory.adapters.merging import roots as roots
from loratheory.adapters.peft_io import read_adapter as read_adapter
from loratheory.adapters.peft_io import read_all as read_all
from loratheory.adapters.peft_io import write_adapter as write_adapter
from loratheory.adapters.routing import Gates as Gates
from loratheory.adapters.routing import Router as Router
from loratheory.adapters.routing import Scores as Scores
from loratheory.adapters.routing import arrow_scores as arrow_scores
from loratheory.adapters.routing import calibrate as calibrate
from loratheory.adapters.routing import calibrate_z as calibrate_z
from loratheory.adapters.routing import forward as forward
from loratheory.adapters.routing import response_norms as response_norms
from loratheory.adapters.routing import softmax_weights as softmax_weights
from loratheory.adapters.routing import standardised as standardised
from loratheory.adapters.routing import subspace_scores as subspace_scores
from loratheory.arguments import check_arguments as _check_arguments

_check_arguments(globals())
