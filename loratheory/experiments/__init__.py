"""Small exact simulations: a frozen config and a generator in, a table and its provenance out."""

from loratheory.experiments._record import EXPERIMENTS as EXPERIMENTS
from loratheory.experiments._record import MEASURED as MEASURED
from loratheory.experiments._record import Row as Row
from loratheory.experiments._record import csv_text as csv_text
from loratheory.experiments._record import record as record
from loratheory.experiments._record import rows as rows
