"""Hard negatives: candidate pools, exclusions, false-negative filters, selection, and the audit of all four."""
