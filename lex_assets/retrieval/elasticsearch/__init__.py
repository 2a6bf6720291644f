"""Keyword search on an Elasticsearch server: the same face as `lexical`, from a server of major version 8 or 9.

Address and credentials come from the environment alone: they are in no configuration, log or error. Nothing here
imports the client at import.
"""

from lex_assets.retrieval.elasticsearch.analysis import DECOMPOUND_MODES, Cut, GivenTerms, Nori
from lex_assets.retrieval.elasticsearch.index import ElasticsearchIndex
from lex_assets.retrieval.elasticsearch.server import Server

__all__ = ["DECOMPOUND_MODES", "Cut", "ElasticsearchIndex", "GivenTerms", "Nori", "Server"]
