"""Partitions: one per domain. The set is static so that a schedule, CI and the UI name the same keys."""

import dagster as dg

from lex_assets.schemas import DOMAINS

domain_partitions = dg.StaticPartitionsDefinition(list(DOMAINS))
