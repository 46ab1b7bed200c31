"""The paper, built from the stored tables: no number, statement or figure is typed by hand."""

from loratheory.paper._build import built as built
from loratheory.paper._build import complaints as complaints
from loratheory.paper._build import typeset as typeset
from loratheory.paper._numbers import numbers as numbers
from loratheory.paper._sources import PaperError as PaperError
from loratheory.paper._sources import typed as typed
from loratheory.paper._sources import written as written
