"""Which engine answers keyword searches."""

import dagster as dg

from lex_assets.retrieval.engine import LexicalConfig


class LexicalSearchResource(dg.ConfigurableResource, LexicalConfig):
    """BM25 in this process, or on an Elasticsearch server whose address and key are in the environment (LEX_ES_…).

    Run config replaces all fields at once, so that what belongs to a machine is better left to its environment.
    """
