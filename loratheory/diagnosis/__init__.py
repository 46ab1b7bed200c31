"""Verdicts on a user's own adapters: theorems applied, each sentence with its label."""

from loratheory.diagnosis._audit import ModuleAudit as ModuleAudit
from loratheory.diagnosis._audit import audited as audited
from loratheory.diagnosis._spectrum import ModuleSpectrum as ModuleSpectrum
from loratheory.diagnosis._spectrum import kind_of as kind_of
from loratheory.diagnosis._spectrum import layer_of as layer_of
from loratheory.diagnosis._spectrum import spectra as spectra
