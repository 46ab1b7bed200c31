"""Low-rank matrices kept as factors: exact algebra, spectra and subspaces without a dense array.

What concerns one matrix is a property or a method of `LowRank`; functions take several matrices.
"""

from loratheory.lowrank._array import EPS as EPS
from loratheory.lowrank._array import Array as Array
from loratheory.lowrank._array import NotFiniteError as NotFiniteError
from loratheory.lowrank._array import Svd as Svd
from loratheory.lowrank._array import array_namespace as array_namespace
from loratheory.lowrank._array import device as device
from loratheory.lowrank._array import double as double
from loratheory.lowrank._array import finite as finite
from loratheory.lowrank._array import host as host
from loratheory.lowrank._array import largest_cosine as largest_cosine
from loratheory.lowrank._array import principal_angles as principal_angles
from loratheory.lowrank._array import project as project
from loratheory.lowrank._array import signs as signs
from loratheory.lowrank._array import thin_svd as thin_svd
from loratheory.lowrank._factored import Grams as Grams
from loratheory.lowrank._factored import LowRank as LowRank
from loratheory.lowrank._factored import from_dense as from_dense
from loratheory.lowrank._factored import grams as grams
from loratheory.lowrank._factored import in_common_frames as in_common_frames
from loratheory.lowrank._factored import total as total
from loratheory.lowrank._factored import truncate as truncate
from loratheory.lowrank._random import gaussian as gaussian
from loratheory.lowrank._random import orthonormal as orthonormal
from loratheory.lowrank._random import subspaces_at as subspaces_at
from loratheory.lowrank._random import with_spectrum as with_spectrum
