"""Citations to exact articles: 참조조문, 참조판례 and citations in statute text, with versions; the citation graph."""

from lex_assets.citations.parse import parse_citations
from lex_assets.citations.resolve import ArticleIndex, citation_graph
from lex_assets.citations.units import Citation

__all__ = ["ArticleIndex", "Citation", "citation_graph", "parse_citations"]
