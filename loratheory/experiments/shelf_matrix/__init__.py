"""Who disturbs whom on a large shelf of adapters: all pairs, in blocks, by any executor."""

from loratheory.experiments.shelf_matrix._blocks import Block as Block
from loratheory.experiments.shelf_matrix._blocks import cell as cell
from loratheory.experiments.shelf_matrix._blocks import members as members
from loratheory.experiments.shelf_matrix._shelf import sweep as sweep
