"""Composition: answers that need facts from several adapters.

A two-hop question needs a fact from one adapter and then a fact from another. These results say
when merged, routed or placed adapters answer it, and why success on each fact alone does not show
that.
"""
