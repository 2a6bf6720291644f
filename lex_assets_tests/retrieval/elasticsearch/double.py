"""A server that keeps indices and answers as Elasticsearch does, for what the package asks; what it does not know it refuses.

It is as strict as the real one and as small as the real one may be: 1,024 terms in a query, nothing found before a refresh.
"""

from __future__ import annotations

import json
import re
import time
from fnmatch import fnmatch

from lex_assets_tests.retrieval.elasticsearch import rest
from lex_assets_tests.retrieval.elasticsearch.analysis import Searchable, terms_of
from lex_assets_tests.retrieval.elasticsearch.rest import Refused, only

MAX_CLAUSES = 1024
JSON, LINES = ("application/json", "+json"), ("application/x-ndjson", "application/json", "+x-ndjson", "+json")


class Index:
    def __init__(self, settings, mappings, has_nori=True):
        self.settings = only(
            settings.get("index", settings), rest.SETTINGS, "illegal_argument_exception",
            "unknown setting [index.{}] please check that any required plugins are installed, or check the breaking changes "
            "documentation for removed settings",
        )  # fmt: skip
        self.mappings = {"properties": {}}
        check_analysis(self.settings.get("analysis", {}), has_nori)
        check_similarities(self.settings.get("similarity", {}))
        self.map(mappings)
        self.aliases, self.pending = set(), {}
        self.searchable = Searchable({}, self.terms)
        self.created_ms = int(time.time() * 1000)

    def map(self, mappings):
        only(mappings, rest.MAPPING, "mapper_parsing_exception",
             "Root mapping definition has unsupported parameters: [{} : ...]")  # fmt: skip
        properties = mappings.get("properties", {})
        for name, field in properties.items():
            self.check_field(name, field)
        self.mappings |= mappings | {"properties": self.mappings["properties"] | properties}

    def check_field(self, name, field):
        if field["type"] not in rest.FIELD:
            refuse_mapping(f"No handler for type [{field['type']}] declared on field [{name}]")
        only(field, rest.FIELD[field["type"]], "mapper_parsing_exception",
             f"unknown parameter [{{}}] on mapper [{name}] of type [{field['type']}]")  # fmt: skip
        if field.get("analyzer", "standard") not in {
            "standard",
            *self.settings.get("analysis", {}).get("analyzer", {}),
        }:
            refuse_mapping(f"analyzer [{field['analyzer']}] has not been configured in mappings")
        if field.get("similarity", "BM25") not in {"BM25", "boolean", *self.settings.get("similarity", {})}:
            refuse_mapping(f"Unknown Similarity type [{field['similarity']}] for field [{name}]")
        had = self.mappings["properties"].get(name)
        if had and had["type"] != field["type"]:
            raise Refused(400, "illegal_argument_exception",
                          f"mapper [{name}] cannot be changed from type [{had['type']}] to [{field['type']}]")  # fmt: skip
        if had and had.get("analyzer") != field.get("analyzer"):
            raise Refused(400, "illegal_argument_exception",
                          f"Mapper for [{name}] conflicts with existing mapper: Cannot update parameter [analyzer]")  # fmt: skip

    def terms(self, source):
        return self.cut(source["text"]) if "text" in source else []

    def cut(self, text):
        analyzer = self.mappings["properties"]["text"].get("analyzer")
        return terms_of(self.settings["analysis"], analyzer, text) if analyzer else text.lower().split()

    def put(self, document_id, source):
        blocks = self.settings.get("blocks", {})
        if blocks.get("write"):
            raise Refused(403, "cluster_block_exception", "index [x] blocked by: [FORBIDDEN/8/index write (api)];")
        if blocks.get("read_only_allow_delete"):  # a full disk: asked to come again, as when busy
            raise Refused(429, "cluster_block_exception",
                          "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has "
                          "read-only-allow-delete block];")  # fmt: skip
        for name in set(source) - set(self.mappings["properties"]):
            if self.mappings.get("dynamic") == "strict":
                raise Refused(400, "strict_dynamic_mapping_exception",
                              f"[1:2] mapping set to strict, dynamic introduction of [{name}] within [_doc] is not allowed")  # fmt: skip
            self.mappings["properties"][name] = {"type": "text", "fields": {"keyword": {"type": "keyword"}}}
        self.pending[document_id] = source

    def described(self):
        kept = {name: str(value) if isinstance(value, int) else value for name, value in self.settings.items()}
        return {
            "aliases": {alias: {} for alias in sorted(self.aliases)},
            "mappings": self.mappings,
            "settings": {"index": kept | {"creation_date": str(self.created_ms)}},
        }

    def refresh(self):
        self.searchable = Searchable(self.pending, self.terms)

    def search(self, body):
        if body.get("from", 0) + body.get("size", 10) > 10_000:
            raise Refused(
                400, "illegal_argument_exception", "Result window is too large, from + size must be <= [10000]"
            )
        found = self.matched(body["query"])
        order = sorted(found, key=lambda i: self.sort_key(i, found[i], body.get("sort", [])))
        hits = [
            {"_index": "x", "_id": i, "_score": found[i], "sort": [found[i], i]} for i in order[: body.get("size", 10)]
        ]
        return {
            "took": 1, "timed_out": False, "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
            "hits": {"max_score": None, "hits": hits}, "status": 200,
        }  # fmt: skip

    def sort_key(self, document_id, score, sorts):
        key = []
        for [(name, options)] in (sort.items() for sort in sorts):
            if name == "_score":
                only(options, rest.SCORE_SORT, "parsing_exception", "[_score] unknown field [{}]")
                key.append(-score if options.get("order", "desc") == "desc" else score)
                continue
            only(options, rest.SORT, "x_content_parse_exception", "[1:2] [field_sort] unknown field [{}]")
            if name not in self.mappings["properties"]:
                raise Refused(400, "query_shard_exception", f"No mapping found for [{name}] in order to sort on")
            if self.mappings["properties"][name]["type"] == "text":
                raise Refused(400, "illegal_argument_exception", f"Fielddata is disabled on [{name}] in [x].")
            assert options.get("order", "asc") == "asc", "the double sorts fields upwards only"
            key.append(self.searchable.documents[document_id][name].encode())
        return key

    def matched(self, query):
        """id → score of what a query finds."""
        [(kind, clause)] = query.items()
        if kind == "match":
            [(field, options)] = clause.items()
            only(options, rest.MATCH, "parsing_exception", "[match] query does not support [{}]")
            terms = self.cut(options["query"])
            if len(terms) > MAX_CLAUSES:
                limit = f"maxClauseCount is set to {MAX_CLAUSES}"
                cause = {"type": "too_many_clauses", "reason": limit}
                raise Refused(400, "query_shard_exception", f"failed to create query: {limit}", cause)
            similarity = self.settings["similarity"][self.mappings["properties"][field]["similarity"]]
            return self.searchable.scores(terms, similarity["k1"], similarity["b"])
        only({kind: 0}, rest.QUERY, "parsing_exception", "unknown query [{}]")
        only(clause, rest.QUERY[kind], "parsing_exception", f"[{kind}] query does not support [{{}}]")
        if kind == "ids":
            return {i: 1.0 for i in clause["values"] if i in self.searchable.documents}
        assert kind == "bool" and set(clause) <= {"must", "must_not"}, "the double knows no other query"
        [found] = [self.matched(one) for one in clause["must"]]
        banned = {i for one in clause.get("must_not", []) for i in self.matched(one)}
        return {i: score for i, score in found.items() if i not in banned}


def refuse_mapping(reason):
    raise Refused(400, "mapper_parsing_exception", f"Failed to parse mapping: {reason}")


def check_analysis(analysis, has_nori):
    only(analysis, {"tokenizer", "analyzer", "filter", "char_filter", "normalizer"}, "illegal_argument_exception", "{}")
    tokenizers = {"whitespace"}
    for name, tokenizer in analysis.get("tokenizer", {}).items():
        known = {"whitespace", "nori_tokenizer"} if has_nori else {"whitespace"}
        only([tokenizer["type"]], known, "illegal_argument_exception", f"Unknown tokenizer type [{{}}] for [{name}]")
        only(
            tokenizer, rest.TOKENIZER[tokenizer["type"]], "illegal_argument_exception", "unknown tokenizer setting [{}]"
        )
        only([tokenizer.get("decompound_mode", "discard")], {"none", "discard", "mixed"}, "illegal_argument_exception",
             "No enum constant org.apache.lucene.analysis.ko.KoreanTokenizer.DecompoundMode.{}")  # fmt: skip
        tokenizers.add(name)
    for name, analyzer in analysis.get("analyzer", {}).items():
        only(analyzer, rest.CUSTOM_ANALYZER, "illegal_argument_exception", "unknown analyzer setting [{}]")
        only([analyzer["tokenizer"]], tokenizers, "illegal_argument_exception",
             f"Custom Analyzer [{name}] failed to find tokenizer under name [{{}}]")  # fmt: skip
        only(analyzer.get("filter", []), rest.FILTERS, "illegal_argument_exception",
             f"Custom Analyzer [{name}] failed to find filter under name [{{}}]")  # fmt: skip


def check_similarities(similarities):
    for name, similarity in similarities.items():
        only(
            [similarity["type"]],
            rest.SIMILARITY,
            "illegal_argument_exception",
            f"Unknown Similarity type [{{}}] for [{name}]",
        )
        only(similarity, rest.SIMILARITY[similarity["type"]], "illegal_argument_exception",
             "Unknown settings for similarity of type [BM25]: [{}]")  # fmt: skip


class Double:
    """The whole server. api_key: what must be sent, if anything · has_nori: whether the plugin is there."""

    def __init__(self, major):
        self.major, self.api_key, self.has_nori = major, "", True
        self.indices: dict[str, Index] = {}

    def answer(self, method, path, params, headers, raw):
        """(status, JSON body)."""
        try:
            self.admit(headers, raw)
            endpoint, names = rest.endpoint_of(method, path, params)
            body = self.read(endpoint, headers, raw)
            return 200, getattr(self, endpoint.handler)(*names, body)
        except Refused as refused:
            return refused.status, refused.body()
        except Unsupported as unsupported:
            return 406, {"error": str(unsupported), "status": 406}

    def admit(self, headers, raw):
        for header in ("Accept", "Content-Type"):
            asked = re.search(r"compatible-with=(\d+)", headers.get(header) or "")
            if asked and int(asked[1]) not in (self.major, self.major - 1):
                raise Refused(400, "media_type_header_exception",
                              f"Invalid media-type value on headers [{header}]: A compatible version is required")  # fmt: skip
        if raw and not headers.get("Content-Type"):
            raise Unsupported("Content-Type header is missing")
        if self.api_key and headers.get("Authorization") != f"ApiKey {self.api_key}":
            raise Refused(401, "security_exception", "missing authentication credentials for REST request")

    def read(self, endpoint, headers, raw):
        kind = (headers.get("Content-Type") or "").partition(";")[0].strip()
        if raw and not kind.endswith(LINES if endpoint.lines else JSON):
            raise Unsupported(f"Content-Type header [{kind}] is not supported")
        if not endpoint.lines:
            return json.loads(raw) if raw else {}
        if not raw.endswith(b"\n"):
            raise Refused(400, "illegal_argument_exception", "The request must be terminated by a newline [\\n]")
        return [json.loads(line) for line in raw.decode().splitlines()]

    def named(self, name):
        found = [index for own, index in self.indices.items() if own == name or name in index.aliases]
        if not found:
            raise Refused(404, "index_not_found_exception", f"no such index [{name}]")
        return found

    def info(self, _):
        return {
            "name": "double", "cluster_name": "double", "cluster_uuid": "x", "tagline": "You Know, for Search",
            "version": {"number": f"{self.major}.1.0", "build_flavor": "default", "lucene_version": "9.12.0"},
        }  # fmt: skip

    def create(self, name, body):
        only(body, {"aliases", "mappings", "settings"}, "parse_exception", "unknown key [{}] for create index")
        if not re.fullmatch(r"[^A-Z_+\-.\\/*?\"<>| ,#:][^A-Z\\/*?\"<>| ,#:]{0,254}", name):
            raise Refused(400, "invalid_index_name_exception", f"Invalid index name [{name}]")
        if name in self.indices:
            raise Refused(400, "resource_already_exists_exception", f"index [{name}/x] already exists")
        self.indices[name] = Index(body.get("settings", {}), body.get("mappings", {}), self.has_nori)
        return {"acknowledged": True, "shards_acknowledged": True, "index": name}

    def get(self, pattern, _):
        if "*" in pattern:
            return {name: index.described() for name, index in self.indices.items() if fnmatch(name, pattern)}
        return {name: index.described() for name, index in self.indices.items() if index in self.named(pattern)}

    def delete(self, name, _):
        if name not in self.indices:
            raise Refused(404, "index_not_found_exception", f"no such index [{name}]")
        del self.indices[name]
        return {"acknowledged": True}

    def put_mapping(self, name, body):
        for index in self.named(name):
            index.map(body)
        return {"acknowledged": True}

    def put_settings(self, name, body):
        for index in self.named(name):
            index.settings |= only(body.get("index", body), {"blocks"}, "illegal_argument_exception",
                                   "Can't update non dynamic settings [[index.{}]]")  # fmt: skip
        return {"acknowledged": True}

    def refresh(self, name, _):
        for index in self.named(name):
            index.refresh()
        return {"_shards": {"total": 1, "successful": 1, "failed": 0}}

    def count(self, name, body):
        only(body, {"query"}, "parsing_exception", "request does not support [{}]")
        return {"count": sum(len(index.searchable.documents) for index in self.named(name)), "_shards": {"failed": 0}}

    def aliases(self, body):
        only(body, {"actions"}, "x_content_parse_exception", "[1:2] [aliases] unknown field [{}]")
        moves = [next(iter(action.items())) for action in body["actions"]]
        for verb, move in moves:  # all are looked at before any is made
            only([verb], rest.ALIAS_ACTIONS, "x_content_parse_exception", "[alias_action] unknown field [{}]")
            only(move, rest.ALIAS_ACTIONS[verb], "x_content_parse_exception", f"[{verb}] unknown field [{{}}]")
            self.named(move["index"])
            if verb == "add" and move["alias"] in self.indices:
                raise Refused(400, "invalid_alias_name_exception",
                              f"Invalid alias name [{move['alias']}]: an index or data stream exists with the same name")  # fmt: skip
        due = [(verb, move) for verb, move in moves if verb != "remove" or move["alias"] in self.held_by(move)]
        if not due:
            raise Refused(404, "aliases_not_found_exception", f"aliases [{moves[0][1]['alias']}] missing")
        for verb, move in due:
            self.held_by(move).add(move["alias"]) if verb == "add" else self.held_by(move).discard(move["alias"])
        return {"acknowledged": True, "errors": len(due) < len(moves)}

    def held_by(self, move):
        """The aliases of the index that an action names."""
        return self.named(move["index"])[0].aliases

    def bulk(self, lines):
        items, waiting = [], iter(lines)
        for action in waiting:
            [(verb, at)] = only(action, {"index", "delete"}, "illegal_argument_exception",
                                "Malformed action/metadata line, found [{}]").items()  # fmt: skip
            only(at, rest.BULK_ACTION, "illegal_argument_exception",
                 "Action/metadata line [1] contains an unknown parameter [{}]")  # fmt: skip
            if not 1 <= len(at["_id"].encode()) <= 512:
                raise Refused(400, "action_request_validation_exception", "Validation Failed: 1: id is too long;")
            items.append({verb: self.done(verb, at, next(waiting) if verb == "index" else None)})
        return {"took": 1, "errors": any("error" in next(iter(item.values())) for item in items), "items": items}

    def done(self, verb, at, source):
        result = {"_index": at["_index"], "_id": at["_id"], "status": 201}
        try:
            if verb == "delete":
                self.named(at["_index"])[0].pending.pop(at["_id"], None)
            else:  # an index that is missing is made, as the real one does unless told not to
                self.indices.setdefault(at["_index"], Index({}, {})).put(at["_id"], source)
        except Refused as refused:
            result |= {"status": refused.status, "error": refused.error}
        return result

    def msearch(self, lines):
        searches = list(zip(lines[::2], lines[1::2], strict=True))
        for header, body in searches:  # all are parsed before any is made
            only(
                header,
                rest.SEARCH_HEADER,
                "illegal_argument_exception",
                "key [{}] is not supported in the metadata section",
            )
            only(body, rest.SEARCH, "parsing_exception", "unknown key [{}] in the search body")
        answers = []
        for header, body in searches:
            try:
                [index] = self.named(header["index"])
            except Refused as refused:
                answers.append(refused.body())
                continue
            try:
                answers.append(index.search(body))
            except Refused as refused:
                answers.append(refused.of_shard(header["index"]))
        return {"took": 1, "responses": answers}


class Unsupported(Exception):  # noqa: N818
    """A media type that the server does not read; its error is a string, not an object."""
