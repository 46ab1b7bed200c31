"""The site from the package itself: theorems, course, reference, figures; nothing typed twice."""

from loratheory.site._commands import commands as commands
from loratheory.site._course import course as course
from loratheory.site._gallery import gallery as gallery
from loratheory.site._home import home as home
from loratheory.site._laws import law_pages as law_pages
from loratheory.site._links import broken as broken
from loratheory.site._reference import reference as reference
from loratheory.site._rest import escaped as escaped
from loratheory.site._rest import grid as grid
from loratheory.site._rest import linked as linked
from loratheory.site._theorems import theorem_pages as theorem_pages
