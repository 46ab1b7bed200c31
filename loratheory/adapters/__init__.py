"""Adapters as mappings from module to low-rank update: files, merging, routing, interference."""

from loratheory.adapters._adapter import Adapter as Adapter
from loratheory.adapters._adapter import Info as Info
from loratheory.adapters._adapter import Lazy as Lazy
