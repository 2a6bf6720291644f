"""The asset synthetic_qa with a language model behind a server of our own: cost, account, key, dry run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from lex_assets import pipeline
from lex_assets.assets.assemble import citation_graph, split
from lex_assets.assets.ingest import passages
from lex_assets.assets.questions import synthetic_qa
from lex_assets.definitions import resources
from lex_assets.io_managers.parquet import read_tables, write_tables
from lex_assets.queries.split import SplitConfig
from lex_assets.schemas import CITATIONS, PASSAGES, QRELS, QUERIES, REJECTED
from lex_assets_tests.llm.server import KEY, Answer, Behaviour, LlmServer
from lex_assets_tests.queries.writer import documents, passage, writes

pytestmark = pytest.mark.xdist_group("pipeline")
NUMBER = 24
ALL_TRAIN = SplitConfig(train=1, valid=0, promotion=0, test=0, held_out=0)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store in which everything before synthetic_qa was made."""
    place = tmp_path / "store"
    monkeypatch.setenv("LEX_STORE", str(place))
    monkeypatch.setenv("LEX_GPU_PROFILE", "cpu")
    for name in ("BASE_URL", "MODEL", "API_KEY", "JUDGE_BASE_URL", "JUDGE_MODEL", "JUDGE_API_KEY"):
        monkeypatch.delenv(f"LEX_LLM_{name}", raising=False)
    tables = place / "tables"
    write_tables(tables / "passages" / "finance", {"passages": PASSAGES.frame(passage(n * 16) for n in range(NUMBER))})
    empty = {"queries": QUERIES.frame([]), "qrels": QRELS.frame([])}
    write_tables(tables / "split", empty | {"settings": pl.DataFrame([ALL_TRAIN.model_dump()])})
    source, target = passage(16), passage(32)
    cited = (source["passage_id"], source["doc_id"], "in_text", 0, "제1조", target["parent_id"], None, "resolved")
    write_tables(
        tables / "citation_graph", {"citations": CITATIONS.frame([dict(zip(CITATIONS.names, cited, strict=True))])}
    )
    return place


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Any:
    def configure(server: LlmServer) -> None:
        for name, value in {"BASE_URL": server.base_url, "MODEL": "solar-pro2", "API_KEY": KEY}.items():
            monkeypatch.setenv(f"LEX_LLM_{name}", value)

    return configure


def made(config: dict[str, Any], llm: dict[str, Any] | None = None) -> dg.ExecuteInProcessResult:
    sources = [asset.to_source_asset() for asset in (passages, split, citation_graph)]
    run_config: dict[str, Any] = {"ops": {"synthetic_qa": {"config": config}}}
    if llm:
        run_config["resources"] = {"llm": {"config": llm}}
    return dg.materialize(
        [*sources, synthetic_qa],
        selection=[synthetic_qa],
        partition_key="finance",
        resources=resources(),
        run_config=run_config,
        raise_on_error=False,
    )


def shown(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    (event,) = result.asset_materializations_for_node("synthetic_qa")
    return {name: str(value.value) for name, value in event.metadata.items()}


def cause(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    return pipeline._cause(result)


def judged(body: dict[str, Any]) -> Behaviour:
    if "질문:" in str(body["messages"]) or "입력한 말" in str(body["messages"]):
        return Answer('{"answerable": true, "self_contained": true, "natural": true, "reason": ""}', usage=(700, 30))
    return writes(body)


PRICES = {"input_price": 0.25, "output_price": 1.0}


def test_the_default_needs_no_model(store: Path) -> None:
    result = made({})
    assert result.success
    assert "rules-5" in shown(result)["비용과 수율 · cost and yield"]


def test_cost_yield_and_examples_are_shown_and_the_rerun_is_free(
    store: Path, endpoint: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    config = {"generator": "llm", "max_comparisons": 5, "judge": True, "judge_sample": 10, "max_characters": 28}
    llm = {"budget_money": 1.0, "concurrency": 4, "judge_input_price": 1.0, "judge_output_price": 1.0}
    with LlmServer(judged) as server:
        endpoint(server)
        result = made(config, llm | PRICES)
        assert result.success, cause(result)
        asked = len(server.seen)
        again = made(config, llm | PRICES)
        assert again.success and len(server.seen) == asked
    tables = {
        name: frame.collect() for name, frame in read_tables(store / "tables" / "synthetic_qa" / "finance").items()
    }
    queries, rejected = QUERIES.validate(tables["queries"]), REJECTED.validate(tables["rejected"])
    meta = shown(result)
    table = meta["비용과 수율 · cost and yield"]
    writing = NUMBER + 1
    judging = asked - writing
    assert judging >= 10 and f"| 요청 · requests | {asked} |" in table
    money = (writing * (800 * 0.25 + 120) + judging * 730) / 1e6
    assert f"| 비용 · money | {money:.4f} |" in table and f"| 남은 질문 · kept | {queries.height} |" in table
    assert "judge's agreement | 1.0000" in table and f"| 단락 · passages | {NUMBER} |" in table
    assert f"| length | {rejected.height} | {queries.height} |" in meta["필터를 지나며 · through the filters"]
    assert "data:image/svg+xml" in meta["그림 · plots"]
    drops = meta["필터별 탈락 · rejected by filter"]
    assert set(rejected["filter"]) == {"length"} and "length" in drops and rejected["text"][0][:20] in drops
    assert "comparison" in meta["종류별 · by kind"] or "comparison" in set(rejected["kind"])
    rerun = shown(again)["비용과 수율 · cost and yield"]
    assert "| 요청 · requests | 0 |" in rerun and f"paid before for cached answers | {money:.4f} |" in rerun
    captured = capfd.readouterr()
    log = captured.out + captured.err
    assert "예상 · estimate" in log and "비용 · cost" in log and "ETA" in log
    everything = [log, repr(meta), *(repr(event) for event in result.all_events)]
    assert not [text for text in everything if KEY in text]
    assert not [path for path in store.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_a_dry_run_asks_nothing_and_leaves_the_tables(store: Path, endpoint: Any) -> None:
    assert made({}).success
    before = (store / "tables" / "synthetic_qa" / "finance" / "CURRENT").read_text()
    with LlmServer(writes) as server:
        endpoint(server)
        config = {"generator": "llm", "dry_run": True, "judge": True, "judge_sample": 5}
        line = cause(made(config, PRICES))
        assert f"requests {NUMBER} (저장된 답 · cached 0)" in line and "nothing was asked" in line
        assert f"judging, at most: 예상 · estimate: 요청 · requests {3 * NUMBER + 5} (" in line
        assert not server.seen
    assert (store / "tables" / "synthetic_qa" / "finance" / "CURRENT").read_text() == before


def test_what_ran_out_of_budget_is_in_the_account(store: Path, endpoint: Any) -> None:
    with LlmServer(writes) as server:
        endpoint(server)
        result = made({"generator": "llm", "round_trip": "lexical"}, {"budget_requests": 7})
        assert result.success, cause(result)
        assert len(server.seen) == 7
        assert "the budget of 7 requests is used up" in shown(result)["필터별 탈락 · rejected by filter"]
    rejected = read_tables(store / "tables" / "synthetic_qa" / "finance")["rejected"].collect()
    assert rejected.filter(pl.col("filter") == "budget").height == NUMBER - 7


@pytest.mark.parametrize(
    ("config", "llm", "message"),
    [
        ({"generator": "llm"}, None, "no address of a language model; set LEX_LLM_BASE_URL"),
        ({"generator": "poet"}, None, "generator 'poet' is not known; choose from rules, llm"),
        ({"round_trip": "magic"}, None, "round_trip 'magic' is not known; choose from off, lexical, hybrid"),
        ({"skip": ["magic"]}, None, "filter 'magic' is not known"),
        ({"generator": "llm", "kinds": ["poem"]}, None, "kind 'poem' is not known"),
        ({"generator": "llm"}, {"budget_money": 1.0}, "needs the price"),
    ],
)
def test_bad_settings_in_one_line(
    config: dict[str, Any], llm: dict[str, Any] | None, message: str, store: Path, endpoint: Any
) -> None:
    if llm:
        with LlmServer(writes) as server:
            endpoint(server)
    assert message in cause(made(config, llm))


def test_a_wrong_key_fails_the_run_at_once(store: Path, endpoint: Any) -> None:
    from lex_assets_tests.llm.server import error

    with LlmServer(lambda body: error(401, f"bad key {KEY}")) as server:
        endpoint(server)
        line = cause(made({"generator": "llm"}))
        assert "check LEX_LLM_API_KEY" in line and KEY not in line
        assert len(server.seen) == 1 and documents(server.seen[0].body)
