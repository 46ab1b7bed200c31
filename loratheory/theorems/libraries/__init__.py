"""Libraries: many adapters side by side.

A library holds adapters that were trained apart. These results say how they disturb each other when
they are added up, what coefficients can repair, and how many of them sums and gates can hold.
"""
