"""The site from the package itself: theorems, course, reference, figures; nothing typed twice."""

from website.commands import commands as commands
from website.course import course as course
from website.gallery import gallery as gallery
from website.home import home as home
from website.keywords import with_keywords as with_keywords
from website.laws import law_pages as law_pages
from website.links import broken as broken
from website.reference import reference as reference
from website.rest import escaped as escaped
from website.rest import grid as grid
from website.rest import linked as linked
from website.theorems import graph as graph
from website.theorems import theorem_pages as theorem_pages
