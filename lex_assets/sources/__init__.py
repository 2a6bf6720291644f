"""Readers: one module per raw format, each giving `Document` trees.

Here: formats, cleaning of source text, domain rules, quarantine. Not here: passages, citations, anything that searches.
"""
