"""Check theorems on the layers of a real model: verdicts, or the hypothesis that fails there."""

from loratheory.pretrained.check._checked import Line as Line
from loratheory.pretrained.check._checked import ModelCheck as ModelCheck
from loratheory.pretrained.check._checked import checked as checked
from loratheory.pretrained.check._checked import summary as summary
from loratheory.pretrained.check._facts import Facts as Facts
from loratheory.pretrained.check._facts import Kept as Kept
from loratheory.pretrained.check._facts import facts_in as facts_in
from loratheory.pretrained.check._facts import grouped as grouped
from loratheory.pretrained.check._forecast import Forecast as Forecast
from loratheory.pretrained.check._forecast import forecast as forecast
from loratheory.pretrained.check._reading import Reading as Reading
from loratheory.pretrained.check._reading import judged as judged
from loratheory.pretrained.check._weights import Basis as Basis
from loratheory.pretrained.check._weights import Intruders as Intruders
from loratheory.pretrained.check._weights import Noise as Noise
from loratheory.pretrained.check._weights import basis as basis
from loratheory.pretrained.check._weights import intruders as intruders
from loratheory.pretrained.check._weights import noise as noise
