"""Passages: document trees ─► retrievable units with stable ids, and the corpus made of them.

Here: ids, labels, cutting at structural boundaries, equivalence. Not here: reading of raw formats, citations, search.
"""
