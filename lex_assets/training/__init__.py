"""Adapters: losses, sampling, the training loop, and the folders that it writes. Nothing here is imported by itself."""
