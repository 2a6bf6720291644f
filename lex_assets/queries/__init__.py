"""Labelled and synthetic queries, their quality filters and the split."""
