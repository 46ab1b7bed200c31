"""Libraries: many adapters side by side.

A library holds adapters that were trained apart. These results say how they disturb each other when
they are added up, how many of them a sum can hold, and what is left of earlier facts after later
adapters.
"""
