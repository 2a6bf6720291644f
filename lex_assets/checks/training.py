"""Checks of what the training side hands over."""

TRAINING_CHECKS: list = []
