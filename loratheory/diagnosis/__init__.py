"""What the theorems say of a user's own adapters; each sentence names the theorem it rests on."""

from loratheory.diagnosis._audit import ModuleAudit as ModuleAudit
from loratheory.diagnosis._audit import audit as audit
from loratheory.diagnosis._audit import audited as audited
from loratheory.diagnosis._diagnose import Diagnosis as Diagnosis
from loratheory.diagnosis._diagnose import DiagnosisError as DiagnosisError
from loratheory.diagnosis._diagnose import SolutionsError as SolutionsError
from loratheory.diagnosis._diagnose import diagnose as diagnose
from loratheory.diagnosis._diagnose import distinct as distinct
from loratheory.diagnosis._diagnose import solution_overlaps as solution_overlaps
from loratheory.diagnosis._diagnose import solution_templates as solution_templates
from loratheory.diagnosis._diagnose import weight_likeness as weight_likeness
from loratheory.diagnosis._findings import LIBRARY as LIBRARY
from loratheory.diagnosis._findings import Finding as Finding
from loratheory.diagnosis._findings import Record as Record
from loratheory.diagnosis._findings import findings as findings
from loratheory.diagnosis._findings import kept_beside as kept_beside
from loratheory.diagnosis._findings import library_record as library_record
from loratheory.diagnosis._findings import records as records
from loratheory.diagnosis._findings import template_findings as template_findings
from loratheory.diagnosis._module import ModuleDiagnosis as ModuleDiagnosis
from loratheory.diagnosis._module import ModuleSpectrum as ModuleSpectrum
from loratheory.diagnosis._module import examined as examined
from loratheory.diagnosis._module import examined_module as examined_module
from loratheory.diagnosis._module import kind_of as kind_of
from loratheory.diagnosis._module import layer_of as layer_of
from loratheory.diagnosis._module import spectra as spectra
