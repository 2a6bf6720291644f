"""Every command of `lex-assets` on small files: what goes in comes out under its own id, what is wrong is said in one line."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl
import pytest

from lex_assets.io_managers.parquet import write_tables
from lex_assets.schemas import STATUTE_TYPES
from lex_assets_tests.commands import done, invoke, refused
from lex_assets_tests.evaluation import made_up
from lex_assets_tests.models.conftest import tiny_retriever  # noqa: F401
from lex_assets_tests.sources import raw as made

COMMANDS = ("download", "ingest", "split", "search", "cite", "evaluate", "embed", "report", "champion")
CORPUS = [
    {"id": "민법-1", "law": "민법", "title": "제750조", "text": "고의로 손해를 가한 자는 배상한다."},
    {"id": "상법-2", "law": "상법", "title": "제24조", "text": "명의를 빌려준 자는 연대하여 변제한다."},
    {"id": 3, "text": "예금자가 청구하면 은행은 예금을 반환한다."},
]
QUERIES = [{"id": "q1", "text": "손해를 가한 자의 배상"}, {"id": 2, "text": "은행 예금 반환"}]


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def ranked(path: Path) -> list[tuple[str, str]]:
    """(query id, passage id) in the order of a TREC run."""
    return [(fields[0], fields[2]) for fields in map(str.split, path.read_text("utf-8").splitlines())]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {
        "corpus": jsonl(tmp_path / "corpus.jsonl", CORPUS),
        "queries": jsonl(tmp_path / "queries.jsonl", QUERIES),
        "out": tmp_path / "run.trec",
    }


def search(files: dict[str, Path], *options: Any) -> list[tuple[str, str]]:
    places = [part for name, path in files.items() for part in (f"--{name}", path)]
    done("search", *places, *options)
    return ranked(files["out"])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_speaks_korean_and_english(command: str) -> None:
    text = done(command, "--help")
    options = text.split("Options:")[1]
    assert "·" in text and any("가" <= letter <= "힣" for letter in options)
    assert any(word in text for word in ("folder", "run to", "passages", "report"))


def test_the_installed_command_lists_all_commands() -> None:
    script = Path(sys.executable).with_name("lex-assets")
    text = subprocess.run([script, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert all(command in text for command in COMMANDS)
    assert subprocess.run([script, "nope"], capture_output=True, timeout=60).returncode == 2


def test_ingest_of_the_sample_then_search(sample_dir: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert "167" in done("ingest", sample_dir, "--store", store)
    before = {path.name: path.read_bytes() for path in store.iterdir()}
    assert set(before) == {"documents.parquet", "corpus.parquet", "quarantine.parquet"}
    done("ingest", sample_dir, "--store", store)
    assert {path.name: path.read_bytes() for path in store.iterdir()} == before
    corpus = pl.read_parquet(store / "corpus.parquet")
    asked = corpus.filter(pl.col("source_type") == "law", pl.col("text").str.len_chars() > 40).row(5, named=True)
    queries = jsonl(tmp_path / "q.jsonl", [{"id": "q", "text": asked["text"]}])
    found = search({"corpus": store, "queries": queries, "out": tmp_path / "run.trec"}, "--top-k", 5)
    assert found[0] == ("q", asked["passage_id"])
    assert len(found) == 5


def test_ingest_as_of_a_day_names_the_statutes_that_it_leaves_out(sample_dir: Path, tmp_path: Path) -> None:
    result = invoke("ingest", sample_dir, "--store", tmp_path, "--as-of", "20100101")
    assert result.exit_code == 0 and "12 statutes took effect later" in result.stderr and "LAW_900101" in result.stderr
    corpus = pl.read_parquet(tmp_path / "corpus.parquet")
    assert not corpus["source_type"].is_in(STATUTE_TYPES).any() and corpus.height
    assert "write a day as YYYYMMDD" in refused("ingest", sample_dir, "--store", tmp_path, "--as-of", "20101301")


def test_split_by_group_and_by_time(sample_dir: Path, tmp_path: Path) -> None:
    assert "ingest RAW" in refused("split", "--store", tmp_path)
    done("ingest", sample_dir, "--store", tmp_path)
    hashes = [
        done("split", "--store", tmp_path, *options).split("split hash ")[1][:16]
        for options in ((), ("--by", "group"), ("--split", "time"))
    ]
    assert hashes[0] == hashes[1] != hashes[2]
    queries = pl.read_parquet(tmp_path / "queries.parquet").filter(pl.col("decided") != "")
    newest = queries.group_by("split_group", "set").agg(pl.col("decided").max())
    assert (
        newest.filter(pl.col("set") == "test")["decided"].min()
        > newest.filter(pl.col("set") == "train")["decided"].max()
    )
    assert pl.read_parquet(tmp_path / "settings.parquet").item(0, "by") == "time"


def test_ingest_keeps_the_good_and_names_the_bad(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "good.json").write_text(json.dumps(made.decision(판시사항="[1] 보관료의 지급", 판결요지="[1] 지급한다.")))
    (folder / "bad.json").write_text("{")
    result = invoke("ingest", folder, "--store", tmp_path / "store")
    assert result.exit_code == 0
    assert "bad.json" in result.stderr and "not JSON" in result.stderr
    assert pl.read_parquet(tmp_path / "store" / "quarantine.parquet")["source_path"].to_list() == ["bad.json"]
    assert pl.read_parquet(tmp_path / "store" / "corpus.parquet").height == 1


def test_ingest_with_a_format_set_by_hand(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    jsonl(folder / "faq.txt", [{"id": "1", "text": "보관료는 달마다 냅니다."}])
    store = tmp_path / "store"
    assert "not a known format" in refused("ingest", folder, "--store", store)
    done("ingest", folder, "--store", store, "--format", "*.txt=record")
    assert pl.read_parquet(store / "corpus.parquet")["passage_id"].to_list() == ["DOC_1_1"]
    assert "law, admin_rule" in refused("ingest", folder, "--store", store, "--format", "*.txt=tax")


def test_ids_pass_through_and_law_and_title_are_searched(files: dict[str, Path]) -> None:
    found = search(files)
    assert [next(p for q, p in found if q == query) for query in ("q1", "2")] == ["민법-1", "3"]
    jsonl(files["queries"], [{"id": "이름", "text": "상법 제24조"}])
    assert search(files)[0] == ("이름", "상법-2")


def test_excluded_passages_are_not_answered(files: dict[str, Path]) -> None:
    jsonl(files["queries"], [QUERIES[0] | {"exclude": ["민법-1"]}, QUERIES[1] | {"exclude": [3]}])
    assert not {("q1", "민법-1"), ("2", "3")} & set(search(files))


def test_gzipped_input_and_output_are_the_same(files: dict[str, Path], tmp_path: Path) -> None:
    plain = search(files)
    packed = {
        "corpus": jsonl(tmp_path / "c.jsonl.gz", CORPUS),
        "queries": jsonl(tmp_path / "q.jsonl.gz", QUERIES),
        "out": tmp_path / "run.trec.gz",
    }
    done("search", *(part for name, path in packed.items() for part in (f"--{name}", path)))
    assert gzip.decompress(packed["out"].read_bytes()) == files["out"].read_bytes()
    assert plain


@pytest.mark.parametrize("mode", ["dense", "hybrid"])
def test_dense_and_hybrid_search_answer_every_query(
    files: dict[str, Path],
    tiny_retriever: Path,  # noqa: F811
    mode: str,
) -> None:
    found = search(files, "--mode", mode, "--retriever", tiny_retriever, "--top-k", 2)
    assert [query for query, _ in found] == ["2", "2", "q1", "q1"]


def test_a_hybrid_may_go_by_ranks(files: dict[str, Path], tiny_retriever: Path) -> None:  # noqa: F811
    options = ("--mode", "hybrid", "--retriever", tiny_retriever, "--fusion")
    found = search(files, *options, "rrf")
    scores = [float(line.split()[4]) for line in files["out"].read_text("utf-8").splitlines()]
    assert found and max(scores) <= 1 / 61 + 1e-9
    paths = [part for name, path in files.items() for part in (f"--{name}", path)]
    assert "fusion borda is not known; use one of minmax, zscore, rrf" in refused("search", *paths, *options, "borda")


@pytest.mark.parametrize("kind", ["query", "passage"])
@pytest.mark.parametrize("layout", ["npz", "npy"])
def test_embeddings_are_read_without_pickle(
    files: dict[str, Path],
    tiny_retriever: Path,  # noqa: F811
    kind: str,
    layout: str,
) -> None:
    outdir = files["out"].parent / "vectors"
    options = ("--type", kind, "--format", layout, "--batch-size", 2, "--prefix", "e", "--template", "bge")
    done("embed", "--model", tiny_retriever, "--input", files["corpus"], "--outdir", outdir, *options)
    if layout == "npz":
        loaded = np.load(outdir / "e.npz", allow_pickle=False)
        ids, vectors = loaded["ids"], loaded["embeddings"]
    else:
        ids, vectors = (np.load(outdir / f"e_{name}.npy", allow_pickle=False) for name in ("ids", "embeds"))
    assert ids.tolist() == ["민법-1", "상법-2", "3"]
    assert vectors.shape == (3, 16) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert not list(outdir.glob(".*"))


def test_report_shows_the_published_report(tmp_path: Path) -> None:
    folder = tmp_path / "stages" / "eval_report" / "abc" / "report"
    folder.parent.mkdir(parents=True)
    made_up.report(n=60).write(folder)
    write_tables(
        tmp_path / "tables" / "eval_report" / "law",
        {"report": pl.DataFrame({"path": [str(folder.relative_to(tmp_path))]})},
    )
    assert done("report", "--store", tmp_path, "--domain", "law", "--open-path").strip() == str(folder / "report.html")
    text = done("report", "--store", tmp_path, "--domain", "law")
    assert "NDCG@10" in text and str(folder / "report.html") in text


def test_a_report_that_is_not_there(tmp_path: Path) -> None:
    assert "--select eval_report --partition law" in refused("report", "--store", tmp_path, "--domain", "law")
    assert "finance, law, precedent" in refused("report", "--store", tmp_path, "--domain", "tax")


BAD_LINES = {
    "not JSON": b"{",
    "id is missing": b'{"text": "x"}',
    "text is missing": b'{"id": 1, "text": null}',
    "text is a list": b'{"id": 1, "text": ["x"]}',
    "id is a dict": b'{"id": {}, "text": "x"}',
    "not UTF-8": '{"id": 1, "text": "예금"}'.encode("cp949"),
    "exclude of query 1 is not a list": b'{"id": 1, "text": "x", "exclude": "p1"}',
    "occurs twice": b'{"id": 1, "text": "x"}\n{"id": "1", "text": "y"}',
    "holds no query": b"\n",
}


@pytest.mark.parametrize("reason", BAD_LINES)
def test_bad_queries_are_named(files: dict[str, Path], reason: str) -> None:
    files["queries"].write_bytes(BAD_LINES[reason])
    line = refused("search", *(part for name, path in files.items() for part in (f"--{name}", path)))
    assert reason in line and str(files["queries"]) in line
    assert not files["out"].exists()


def test_bad_places_are_named(files: dict[str, Path], tmp_path: Path) -> None:
    corpus, queries = ("--corpus", files["corpus"]), ("--queries", files["queries"])
    below_a_file = files["corpus"] / "x"
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(jsonl(tmp_path / "q.jsonl.gz", QUERIES).read_bytes()[:-20])
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "corpus.parquet").write_bytes(b"PAR1")
    out = ("--out", tmp_path / "x.trec")
    for arguments, reason in {
        ("search", "--corpus", tmp_path / "nowhere", *queries, *out): "no such file or folder",
        ("search", "--corpus", tmp_path, *queries, *out): "lex-assets ingest RAW --store",
        ("search", "--corpus", broken, *queries, *out): "cannot read the table",
        ("search", *corpus, "--queries", tmp_path / "no.jsonl", *out): "no such file",
        ("search", *corpus, "--queries", cut, *out): "cannot read",
        ("search", *corpus, *queries, "--out", below_a_file / "run.trec"): "choose another with --out",
        ("ingest", tmp_path / "nowhere", "--store", tmp_path / "s"): "does not exist",
        ("ingest", broken, "--store", tmp_path / "s"): "no document could be read",
        ("evaluate", "--qrels", tmp_path / "no.tsv", "--run", tmp_path / "no.trec"): "no such file",
        ("embed", "--model", "./nowhere", "--input", files["corpus"], "--outdir", tmp_path): "no model folder at",
        (
            "embed",
            "--model",
            "builtin",
            "--input",
            files["corpus"],
            "--outdir",
            tmp_path,
            "--format",
            "x",
        ): "npz or npy",
    }.items():
        assert reason in refused(*arguments), arguments
    assert not (tmp_path / "s").exists() and not (tmp_path / "x.trec").exists()


def test_a_store_that_cannot_be_written(sample_dir: Path, files: dict[str, Path]) -> None:
    assert "choose another with --store" in refused("ingest", sample_dir / "jsonl", "--store", files["corpus"] / "s")


def test_interrupted_ingest_leaves_the_store_as_it_was(
    sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    done("ingest", sample_dir / "jsonl", "--store", store)
    before = {path.name: path.read_bytes() for path in store.iterdir()}
    write, written = pl.DataFrame.write_parquet, []

    def interrupted(frame: pl.DataFrame, *arguments: Any, **options: Any) -> None:
        written.append(frame)
        if len(written) == 2:
            raise KeyboardInterrupt
        write(frame, *arguments, **options)

    monkeypatch.setattr(pl.DataFrame, "write_parquet", interrupted)
    assert invoke("ingest", sample_dir / "laws", "--store", store).exit_code == 130
    assert {path.name: path.read_bytes() for path in store.iterdir()} == before


def test_unknown_options_are_usage_errors(files: dict[str, Path]) -> None:
    assert invoke("search", "--mode", "magic").exit_code == click.UsageError.exit_code
