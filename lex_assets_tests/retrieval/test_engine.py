"""One choice of engine for everything that searches by keywords: what is built, what it is keyed by, who follows it."""

from __future__ import annotations

import json
import shutil

import pytest

from lex_assets.definitions import resources
from lex_assets.passages.stored import read_corpus
from lex_assets.pipeline import read_run_config
from lex_assets.retrieval.elasticsearch import failures
from lex_assets.retrieval.engine import ENGINES, LexicalConfig
from lex_assets.retrieval.lexical import LexicalIndex
from lex_assets.schemas import LexError
from lex_assets_tests.commands import done, refused
from lex_assets_tests.retrieval.elasticsearch.conftest import BODIES, IDS, LIVE, MAJOR, ids_of
from lex_assets_tests.retrieval.elasticsearch.double import Double
from lex_assets_tests.retrieval.elasticsearch.front import Front, opened

pytestmark = pytest.mark.skipif(bool(LIVE), reason="the double shows what was sent")


@pytest.fixture
def server(monkeypatch):
    front = Front(Double(MAJOR), MAJOR)
    with opened(front) as url:
        monkeypatch.setenv("LEX_ES_URL", url)
        monkeypatch.delenv("LEX_ES_API_KEY", raising=False)
        yield front.behind


def test_the_engine_that_is_asked_for_is_built(server, tmp_path):
    assert isinstance(LexicalConfig().build("law", IDS, BODIES, tmp_path), LexicalIndex)
    words = tmp_path / "words.txt"
    words.write_text("# 약칭\n재산분할\n", "utf-8")
    config = LexicalConfig(engine="elasticsearch", index_prefix="test", user_dictionary=str(words))
    index = config.build("law", IDS, BODIES)
    assert server.indices[index.index].aliases == {"test-law"}
    tokenizer = server.indices[index.index].settings["analysis"]["tokenizer"]["korean"]
    assert tokenizer["user_dictionary_rules"] == ["재산분할"]


def test_the_server_ranks_our_terms_when_asked_to(server):
    config = LexicalConfig(engine="elasticsearch", server_analyzer="given")
    index = config.build("law", IDS, BODIES)
    assert "tokenizer" not in server.indices[index.index].settings["analysis"]
    assert ids_of(index.search(["과실상"], 5)) == [["p3", "p4"]], "pairs of characters, which nori does not make"


@pytest.mark.parametrize(
    ("name", "known", "unknown"),
    [("abbreviations", {"특금법"}, {"재산분할청구권"}), ("legal", {"특금법", "재산분할청구권"}, set())],
)
def test_nori_is_given_the_bundled_words(server, name, known, unknown):
    index = LexicalConfig(engine="elasticsearch", user_dictionary=name).build("law", IDS, BODIES)
    tokenizer = server.indices[index.index].settings["analysis"]["tokenizer"]["korean"]
    assert known <= set(tokenizer["user_dictionary_rules"]) and not unknown & set(tokenizer["user_dictionary_rules"])


def test_a_stage_made_by_one_engine_is_not_reused_for_another():
    made = [
        LexicalConfig(),
        LexicalConfig(analyzer="bigram+kiwi"),
        LexicalConfig(engine="elasticsearch"),
        LexicalConfig(engine="elasticsearch", decompound_mode="mixed"),
        LexicalConfig(engine="elasticsearch", user_dictionary="legal"),
        LexicalConfig(engine="elasticsearch", user_dictionary=""),
        LexicalConfig(engine="elasticsearch", server_analyzer="given"),
    ]
    assert len({config.version() for config in made}) == len(made)


def test_settings_that_cannot_work_say_why(tmp_path):
    with pytest.raises(LexError, match="set LEX_LEXICAL_ENGINE to embedded or elasticsearch"):
        LexicalConfig(engine="solr").version()
    with pytest.raises(LexError, match="user dictionary cannot be read"):
        LexicalConfig(engine="elasticsearch", user_dictionary=str(tmp_path / "none")).version()
    with pytest.raises(LexError, match="server_analyzer 'standard' is not nori or given"):
        LexicalConfig(engine="elasticsearch", server_analyzer="standard").version()
    with pytest.raises(LexError, match="index_prefix 'Lex' must be"):
        LexicalConfig(engine="elasticsearch", index_prefix="Lex").build("law", IDS, BODIES)


def test_the_environment_chooses_for_the_pipeline_and_a_recipe_for_both(server, monkeypatch, tmp_path):
    assert resources()["lexical"].engine == "embedded"
    monkeypatch.setenv("LEX_LEXICAL_ANALYZER", "kiwi")
    monkeypatch.setenv("LEX_LEXICAL_ENGINE", "elasticsearch")
    assert (resources()["lexical"].engine, resources()["lexical"].analyzer) == ("elasticsearch", "kiwi")
    monkeypatch.setattr("os.environ", {"LEX_LEXICAL_ANALYZER": "kiwi"})
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("kind: retriever\nlexical: {engine: elasticsearch, analyzer: bigram}\n", "utf-8")
    read_run_config(recipe)
    chosen = LexicalConfig.from_environment()
    assert (chosen.engine, chosen.analyzer) == ("elasticsearch", "kiwi"), "what is set already stays"


def test_a_server_that_is_down_is_known_before_hours_are_spent(monkeypatch):
    monkeypatch.setattr(failures, "BACKOFF_S", (0.01,))
    monkeypatch.setenv("LEX_ES_URL", "http://127.0.0.1:9")
    assert LexicalConfig().verified() == LexicalConfig(), "the embedded engine needs no server"
    with pytest.raises(LexError, match=r"127\.0\.0\.1:9: no answer .* start the server"):
        LexicalConfig(engine="elasticsearch").verified()


@pytest.fixture
def files(tmp_path):
    """Names of a corpus of laws and of queries about it."""
    rows = {"corpus": zip(IDS, BODIES, strict=True), "queries": [("q1", "이혼 재산분할"), ("q2", "과실상계")]}
    for name, texts in rows.items():
        lines = (json.dumps({"id": i, "text": text}, ensure_ascii=False) for i, text in texts)
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), "utf-8")
    return [part for name in rows for part in (f"--{name}", tmp_path / f"{name}.jsonl")]


def test_the_command_searches_with_either_engine(server, files, tmp_path, monkeypatch):
    monkeypatch.setenv("LEX_LEXICAL_SERVER_ANALYZER", "given")
    runs = [tmp_path / f"{engine}.trec" for engine in ENGINES]
    for engine, run in zip(ENGINES, runs, strict=True):
        done("search", *files, "--out", run, "--engine", engine)
    assert [ranks(run) for run in runs] == [ranks(runs[0])] * 2
    assert {"lex-assets-cli"} == set().union(*(index.aliases for index in server.indices.values()))
    monkeypatch.setenv("LEX_LEXICAL_ENGINE", "solr")
    assert "lexical engine 'solr' is not known" in refused("search", *files, "--out", runs[0])


def ranks(run):
    return [line.split()[:4] for line in run.read_text("utf-8").splitlines()]


def test_mining_finds_the_same_negatives_with_either_engine(server, sample_dir, tmp_path):
    (tmp_path / "raw").mkdir()
    shutil.copy(sample_dir / "laws" / "900204.json", tmp_path / "raw")
    done("ingest", tmp_path / "raw", "--store", tmp_path / "store")
    some = read_corpus(tmp_path / "store").head(25).select(id="passage_id", title="context", text="text")
    corpus, made = tmp_path / "corpus.jsonl", [tmp_path / f"{engine}.jsonl" for engine in ENGINES]
    some.write_ndjson(corpus)
    for engine, rows in zip(ENGINES, made, strict=True):
        done(
            "prepare", "--corpus", corpus, "--out", rows, "--cache", tmp_path / "cache",
            "questions.per_passage=1", "mining.hard=1", f"lexical.engine={engine}", "lexical.server_analyzer=given",
        )  # fmt: skip
    assert made[0].read_bytes() == made[1].read_bytes() and made[0].stat().st_size
    assert len(server.indices) == 1
