"""What Elasticsearch's REST interface takes: paths, parameters and fields, from its published specification (8.19 and 9).

Only the part that the package may use; whatever is not listed here is refused as the server refuses it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

WHICH_INDICES = {"ignore_unavailable", "allow_no_indices", "expand_wildcards"}
WAITING = {"timeout", "master_timeout"}
ALWAYS = {"pretty", "human", "error_trace", "filter_path"}

SEARCH = {
    "aggregations", "aggs", "collapse", "docvalue_fields", "explain", "ext", "fields", "from", "highlight", "indices_boost",
    "knn", "min_score", "pit", "post_filter", "profile", "query", "rank", "rescore", "retriever", "runtime_mappings",
    "script_fields", "search_after", "seq_no_primary_term", "size", "slice", "sort", "_source", "stats", "stored_fields",
    "suggest", "terminate_after", "timeout", "track_scores", "track_total_hits", "version",
}  # fmt: skip
SEARCH_HEADER = WHICH_INDICES | {
    "index", "preference", "request_cache", "routing", "search_type", "ccs_minimize_roundtrips", "allow_partial_search_results",
}  # fmt: skip
BULK_ACTION = {
    "_index", "_id", "routing", "if_primary_term", "if_seq_no", "version", "version_type", "dynamic_templates", "pipeline",
    "require_alias", "require_data_stream", "list_executed_pipelines",
}  # fmt: skip
ALIAS_ACTIONS = {
    "add": {
        "alias", "aliases", "filter", "index", "indices", "index_routing", "is_hidden", "is_write_index", "routing",
        "search_routing", "must_exist",
    },
    "remove": {"alias", "aliases", "index", "indices", "must_exist"},
    "remove_index": {"index", "indices", "must_exist"},
}  # fmt: skip
MAPPING = {
    "date_detection", "dynamic", "dynamic_date_formats", "dynamic_templates", "_field_names", "_meta", "numeric_detection",
    "properties", "_routing", "_source", "runtime",
}  # fmt: skip
FIELD = {
    "keyword": {
        "type", "ignore_above", "doc_values", "norms", "index", "store", "similarity", "null_value", "index_options",
        "eager_global_ordinals", "split_queries_on_whitespace", "copy_to", "fields", "meta", "normalizer", "script",
    },
    "text": {
        "type", "analyzer", "search_analyzer", "search_quote_analyzer", "similarity", "index_options", "norms", "index", "store",
        "fields", "fielddata", "index_prefixes", "index_phrases", "term_vector", "position_increment_gap", "copy_to", "meta",
    },
}  # fmt: skip
SETTINGS = {
    "number_of_shards", "number_of_replicas", "analysis", "similarity", "refresh_interval", "max_result_window", "blocks", "hidden",
    "codec", "routing", "mapping", "auto_expand_replicas", "sort", "query", "translog", "merge",
}  # fmt: skip
SIMILARITY = {"BM25": {"type", "k1", "b", "discount_overlaps"}}
TOKENIZER = {
    "nori_tokenizer": {
        "type", "decompound_mode", "discard_punctuation", "user_dictionary", "user_dictionary_rules", "lenient",
    },
    "whitespace": {"type", "max_token_length"},
}  # fmt: skip
CUSTOM_ANALYZER = {"type", "tokenizer", "filter", "char_filter", "position_increment_gap", "position_offset_gap"}
FILTERS = {"lowercase", "nori_part_of_speech", "nori_readingform", "nori_number"}
QUERY = {
    "bool": {"must", "must_not", "filter", "should", "minimum_should_match", "boost", "_name"},
    "ids": {"values", "boost", "_name"},
    "match_all": {"boost", "_name"},
}
MATCH = {
    "query", "analyzer", "auto_generate_synonyms_phrase_query", "fuzziness", "fuzzy_rewrite", "fuzzy_transpositions", "lenient",
    "max_expansions", "minimum_should_match", "operator", "prefix_length", "zero_terms_query", "boost", "_name",
}  # fmt: skip
SORT = {"order", "missing", "mode", "nested", "numeric_type", "unmapped_type", "format"}
SCORE_SORT = {"order"}


class Refused(Exception):  # noqa: N818
    """An error answer. cause: the error that it wraps, if any."""

    def __init__(self, status, kind, reason, cause=None):
        super().__init__(reason)
        self.status, self.error, self.cause = status, {"type": kind, "reason": reason}, cause

    @property
    def whole(self):
        return self.error | ({"caused_by": self.cause} if self.cause else {})

    def body(self):
        return {"error": {"root_cause": [self.error], **self.whole}, "status": self.status}

    def of_shard(self, index):
        """As a search answers it: the root of it, and the causes only where the shards are told of."""
        failed = {"shard": 0, "index": index, "node": "x", "reason": self.whole}
        error = {
            "type": "search_phase_execution_exception",
            "reason": "all shards failed",
            "phase": "query",
            "grouped": True,
        }
        return {"error": {"root_cause": [self.error], **error, "failed_shards": [failed]}, "status": self.status}


def only(given, known, kind, reason):
    """`given`, if all its names are `known`; `reason` says with {} what is not."""
    for name in given:
        if name not in known:
            raise Refused(400, kind, reason.format(name))
    return given


@dataclass(frozen=True)
class Endpoint:
    """handler: the double's method · methods, path: of the request · params: in its URL · lines: whether it takes NDJSON."""

    handler: str
    methods: str
    path: str
    params: frozenset[str]
    lines: bool = False


def _endpoint(handler, methods, path, params=(), lines=False):
    return Endpoint(handler, methods, path, frozenset(params) | ALWAYS, lines)


INDEX = r"([^/_][^/]*)"
ENDPOINTS = (
    _endpoint("info", "GET HEAD", "/"),
    _endpoint("bulk", "POST PUT", "/_bulk", {
        "refresh", "routing", "timeout", "wait_for_active_shards", "pipeline", "require_alias", "require_data_stream", "_source",
        "_source_excludes", "_source_includes", "list_executed_pipelines", "include_source_on_error",
    }, lines=True),
    _endpoint("msearch", "POST GET", "/_msearch", WHICH_INDICES | {
        "ccs_minimize_roundtrips", "ignore_throttled", "include_named_queries_score", "max_concurrent_searches",
        "max_concurrent_shard_requests", "pre_filter_shard_size", "rest_total_hits_as_int", "routing", "search_type", "typed_keys",
    }, lines=True),
    _endpoint("aliases", "POST", "/_aliases", WAITING),
    _endpoint("create", "PUT", f"/{INDEX}", WAITING | {"wait_for_active_shards"}),
    _endpoint("get", "GET", f"/{INDEX}", WHICH_INDICES | {
        "local", "features", "flat_settings", "include_defaults", "master_timeout"
    }),
    _endpoint("delete", "DELETE", f"/{INDEX}", WHICH_INDICES | WAITING),
    _endpoint("put_mapping", "PUT POST", f"/{INDEX}/_mapping", WHICH_INDICES | WAITING | {"write_index_only"}),
    _endpoint("put_settings", "PUT", f"/{INDEX}/_settings", WHICH_INDICES | WAITING | {
        "preserve_existing", "flat_settings", "reopen"
    }),
    _endpoint("refresh", "POST GET", f"/{INDEX}/_refresh", WHICH_INDICES),
    _endpoint("count", "POST GET", f"/{INDEX}/_count", WHICH_INDICES | {
        "q", "routing", "preference", "terminate_after", "min_score", "lenient", "df", "analyzer", "analyze_wildcard",
        "default_operator", "ignore_throttled",
    }),
)  # fmt: skip


def endpoint_of(method, path, params):
    """(endpoint, what its path names)."""
    allowed = []
    for endpoint in ENDPOINTS:
        found = re.fullmatch(endpoint.path, path)
        if found and method in endpoint.methods.split():
            only(params, endpoint.params, "illegal_argument_exception",
                 f"request [{path}] contains unrecognized parameter: [{{}}]")  # fmt: skip
            return endpoint, found.groups()
        allowed += endpoint.methods.split() if found else []
    if allowed:
        raise Refused(405, "method_not_allowed", f"Incorrect HTTP method for uri [{path}] and method [{method}]")
    raise Refused(400, "invalid_request", f"no handler found for uri [{path}] and method [{method}]")
