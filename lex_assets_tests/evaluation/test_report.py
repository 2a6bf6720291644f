"""The report: what it says, what it refuses, and that the page stands alone."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from lex_assets.evaluation.across import check_comparable, compare_reports
from lex_assets.evaluation.config import EvaluationConfig
from lex_assets.evaluation.metrics import metric_names, per_query, summarise
from lex_assets.evaluation.refusals import EvaluationError
from lex_assets.evaluation.report import (
    HEADLINE,
    EvalReport,
    ReportConfig,
    build_report,
    headline_table,
    read_report,
)
from lex_assets.schemas import LexError
from lex_assets_tests.evaluation import made_up


@pytest.fixture(scope="module")
def report() -> EvalReport:
    return made_up.report()


def human_test(regime: str) -> pl.DataFrame:
    asked, _ = made_up.queries()
    return asked.filter(pl.col("set") == "test", pl.col("origin") != "synthetic", pl.col("regime") == regime)


@pytest.mark.smoke
def test_the_headline_is_the_mean_over_human_test_queries_of_each_regime(report: EvalReport) -> None:
    asked, qrels = made_up.queries()
    table = report.headline()
    assert table.columns == HEADLINE.names and table.height == 18
    for regime in ("unseen_query", "unseen_law"):
        own = human_test(regime)
        run = made_up.runs(asked, qrels).join(own, on="query_id", how="semi")
        means = summarise(
            per_query(run, qrels.join(own, on="query_id", how="semi"), ["ndcg@10"], parents=made_up.corpus())
        )
        for row in means.to_dicts():
            shown = table.row(
                by_predicate=(pl.col("system") == row["system"]) & (pl.col("regime") == regime), named=True
            )
            assert json.loads(shown["scores"])["ndcg@10"] == pytest.approx(row["ndcg@10"], abs=1e-6)
            assert shown["n"] == own.height


def test_adapters_are_compared_with_their_own_base(report: EvalReport) -> None:
    pairs = dict(report.headline().select("system", "baseline").iter_rows())
    assert pairs["adapter_dense"] == "base_dense" and pairs["adapter_hybrid_rerank"] == "base_hybrid_rerank"
    assert pairs["base_dense"] is None and pairs["adapter_oracle"] is None and pairs["bm25"] == "base_dense"


def test_a_champion_in_use_is_compared_with_its_base_and_with_the_candidate() -> None:
    asked, qrels = made_up.queries()
    quality = {**made_up.QUALITY, "champion_dense": 0.5, "champion_hybrid_rerank": 0.6}
    found = made_up.report(run=made_up.runs(asked, qrels, quality))
    pairs = dict(found.headline().select("system", "baseline").iter_rows())
    assert pairs["champion_dense"] == "base_dense" and pairs["adapter_dense"] == "base_dense"
    versus = found.data["regimes"][0]["versus_champion"]
    assert (versus["baseline"], versus["system"]) == ("champion_hybrid_rerank", "adapter_hybrid_rerank")
    assert "어댑터 혼합 + 재순위 대 챔피언 혼합 + 재순위" in found.to_html()


def test_no_system_beats_the_ceiling_of_its_candidates(report: EvalReport) -> None:
    scores = {r["system"]: json.loads(r["scores"])["ndcg@10"] for r in report.headline().to_dicts()}
    for stack in ("base", "adapter"):
        assert scores[f"{stack}_oracle"] >= max(scores[f"{stack}_hybrid"], scores[f"{stack}_hybrid_rerank"])


def test_a_ceiling_sees_as_many_candidates_as_the_reranker() -> None:
    settings = EvaluationConfig(rerank_depth=1).report()
    found = made_up.report(dataclasses.replace(settings, comparison=made_up.FAST.comparison))
    scores = {r["system"]: json.loads(r["scores"]) for r in found.headline().to_dicts()}
    assert scores["adapter_oracle"]["hit@100"] == pytest.approx(scores["adapter_hybrid"]["hit@1"])
    assert "후보 1개를 완벽하게" in found.to_html()


def test_every_metric_is_there_by_article_and_by_passage(report: EvalReport) -> None:
    row = report.data["regimes"][0]["rows"][0]
    assert set(metric_names()) <= set(row["scores"]) == set(row["passage_scores"])
    assert row["scores"]["hit@10"] >= row["passage_scores"]["hit@10"]
    own = human_test("unseen_query")
    for unit, key in (("parent", "scores"), ("passage", "passage_scores")):
        kept = report.scores.filter(pl.col("unit") == unit, pl.col("system") == row["system"])
        mean = kept.join(own, on="query_id", how="semi")["map@5"].mean()
        assert row[key]["map@5"] == pytest.approx(mean, abs=1e-6)
    assert report.to_html().count("새 질의, 단락 단위") == 1 and "| 미판정 수@10 |" in report.to_markdown()


def test_an_adapter_is_better_only_when_its_seeds_agree() -> None:
    asked, qrels = made_up.queries()
    seeds = {f"{seed}_{mode}": q for seed, q in (("seed2", 0.6), ("seed3", 0.2)) for mode in ("dense", "hybrid")}
    quality = {name: q for name, q in made_up.QUALITY.items() if not name.endswith("rerank")}
    alone, with_seeds = (made_up.report(run=made_up.runs(asked, qrels, q)) for q in (quality, quality | seeds))
    part = with_seeds.data["regimes"][0]
    assert [row["system"] for row in part["seeds"]] == list(seeds) and part["n_seeds"] == 3
    assert alone.headline().filter(system="adapter_dense")["verdict"][0] == "better"
    claim = next(row for row in part["rows"] if row["system"] == "adapter_dense")
    assert (claim["verdict"], claim["reason"]) == ("insufficient", "seeds_disagree")
    assert not any(row["system"].startswith("seed") for row in part["rows"])
    assert "학습 시드 3개가 모두" in with_seeds.to_html()


def test_synthetic_queries_stand_apart(report: EvalReport) -> None:
    origins = {(row["origin"], row["regime"]): row["n"] for row in report.data["origins"]}
    asked, _ = made_up.queries()
    test = asked.filter(pl.col("set") == "test")
    assert origins == {(origin, regime): n for origin, regime, n in test.group_by("origin", "regime").len().iter_rows()}
    assert list(origins)[-1][0] == "synthetic"


def test_equal_input_gives_equal_bytes_in_any_row_order(report: EvalReport, tmp_path: Path) -> None:
    asked, qrels = made_up.queries()
    run = made_up.runs(asked, qrels).sample(fraction=1, shuffle=True, seed=4)
    again = made_up.report(run=run, queries=asked.reverse(), qrels=qrels.reverse())
    assert again.to_json() == report.to_json() and again.report_hash == report.report_hash
    assert again.to_html() == report.to_html()


def test_a_report_survives_writing_and_replaces_the_old_one(report: EvalReport, tmp_path: Path) -> None:
    folder = report.write(tmp_path / "reports" / "law")
    (folder / "stale").write_text("")
    report.write(folder)
    assert sorted(p.name for p in folder.iterdir()) == ["report.html", "report.json", "report.md", "scores.parquet"]
    back = read_report(folder)
    assert back.report_hash == report.report_hash and back.scores.equals(report.scores)
    assert headline_table(back.data).equals(report.headline()) and back.to_html() == report.to_html()
    assert [p.name for p in folder.parent.iterdir()] == ["law"]


def test_a_folder_that_is_no_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LexError, match="not a report"):
        read_report(tmp_path)
    (tmp_path / "report.json").write_text('{"schema": 1, "domain": "law"}')
    with pytest.raises(LexError, match=r"written as version 1, this is 2.*materialize eval_report again"):
        read_report(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(LexError, match="cannot write the report"):
        made_up.report().write(tmp_path / "file" / "report")


class _Page(HTMLParser):
    VOID = frozenset(["meta", "link", "br", "rect", "line", "circle", "polyline", "polygon"])

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        values = dict(attrs)
        self.links += [values[name] for name in ("href", "src", "srcset", "action") if values.get(name)]
        self.ids |= {values["id"]} if values.get("id") else set()
        assert tag not in ("script", "iframe", "object", "embed")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs) -> None:
        pass


def test_the_page_needs_no_network_and_is_well_formed(report: EvalReport) -> None:
    text = report.to_html()
    page = _Page(text)
    assert page.open == [] and len(text.encode()) < 3_000_000
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert "@import" not in text and not re.search(r"url\((?!data:)", text)
    assert 'lang="ko"' in text and "width=device-width" in text and "@media print" in text
    assert text.count("@media screen and (max-width") == text.count("(max-width"), "paper is as narrow as a tablet"
    assert "Undefined" not in text and "None" not in re.sub(r"<style>.*?</style>", "", text, flags=re.S)


def test_text_from_documents_cannot_become_markup(tmp_path: Path) -> None:
    asked, qrels = made_up.queries(120)
    evil = '<script>alert("x")</script>'
    page = made_up.report(
        queries=asked.with_columns(text=pl.lit(evil) + pl.col("text")),
        qrels=qrels,
        run=made_up.runs(asked, qrels),
        corpus=made_up.corpus().with_columns(text=pl.lit(evil) + pl.col("text"), citation=pl.lit(evil)),
        provenance={evil: evil},
    ).to_html()
    assert "<script" not in page and "&lt;script&gt;" in page


def test_absent_sections_say_so(report: EvalReport) -> None:
    page = made_up.report(training=None, mining=None, provenance=None).to_html()
    for line in ("학습 기록이 없습니다", "채굴 기록이 없습니다", "기록된 출처가 없습니다"):
        assert line in page and line not in report.to_html()


def test_a_domain_with_synthetic_queries_only_has_no_headline() -> None:
    asked, qrels = made_up.queries(120)
    asked = asked.with_columns(origin=pl.lit("synthetic"))
    only = made_up.report(queries=asked, qrels=qrels, run=made_up.runs(asked, qrels))
    assert only.headline().is_empty() and only.headline().columns == HEADLINE.names
    assert (
        "사람이 만든 시험 질의가 이 방식에 없습니다" in only.to_html() and "no human test queries" in only.to_markdown()
    )
    assert {row["origin"] for row in only.data["origins"]} == {"synthetic"}


def test_a_report_without_an_adapter_claims_nothing() -> None:
    asked, qrels = made_up.queries(120)
    page = made_up.report(run=made_up.runs(asked, qrels, {"bm25": 0.4}), queries=asked, qrels=qrels)
    assert set(page.headline()["verdict"]) == {None} and "비교할 어댑터 없음" in page.to_html()


def test_queries_that_the_base_has_seen_are_marked_and_left_out(report: EvalReport) -> None:
    seen = human_test("unseen_query")["query_id"].to_list()[:5]
    marked = made_up.report(seen_by_base=seen)
    assert marked.data["regimes"][0]["n"] == report.data["regimes"][0]["n"] - 5
    assert "시험 질의 5개는 표시해 두고 다른 모든 수치에서 뺐습니다" in marked.to_html()
    apart = marked.data["seen_by_base"]
    assert apart["queries"] == seen and apart["human"] == 5
    flagged = marked.scores.filter("seen_by_base", system="bm25", unit="parent")
    assert set(flagged["query_id"]) == set(seen)
    assert apart["scores"]["bm25"] == pytest.approx(flagged["ndcg@10"].mean(), abs=1e-6)
    assert report.data["seen_by_base"] == {"queries": [], "human": 0, "scores": {}}


def test_unanswered_queries_count_as_zero_and_are_said(report: EvalReport) -> None:
    asked, qrels = made_up.queries()
    lost = human_test("unseen_query")["query_id"][0]
    run = made_up.runs(asked, qrels).filter((pl.col("query_id") != lost) | (pl.col("system") != "bm25"))
    said = made_up.report(run=run)
    assert said.data["counts"]["unanswered"] == {"bm25": 1} and "0점으로 센 질의: BM25 1" in said.to_html()
    strict = ReportConfig(comparison=made_up.FAST.comparison, on_missing="error")
    with pytest.raises(EvaluationError, match=f"run of bm25: query {lost} is missing"):
        made_up.report(strict, run=run)


def test_different_test_sets_are_not_compared(report: EvalReport) -> None:
    check_comparable(report.data, made_up.report().data)
    with pytest.raises(EvaluationError, match="different test sets"):
        compare_reports(
            report, made_up.report(seen_by_base=human_test("unseen_query")["query_id"][:1]), "bm25", "mrr@5"
        )


def test_a_system_is_compared_over_two_reports_of_one_test_set(report: EvalReport) -> None:
    asked, qrels = made_up.queries()
    later = made_up.report(run=made_up.runs(asked, qrels, made_up.QUALITY | {"adapter_dense": 0.95}))
    found = compare_reports(report, later, "adapter_dense", "ndcg@10")
    assert list(found) == ["unseen_query", "unseen_law"] and found["unseen_query"].verdict == "better"
    means = later.headline().filter(system="adapter_dense", regime="unseen_query")["scores"][0]
    assert found["unseen_query"].system_mean == pytest.approx(json.loads(means)["ndcg@10"], abs=1e-6)
    assert compare_reports(report, report, "bm25", "r@10")["unseen_query"].reason == "identical"
    with pytest.raises(EvaluationError, match="no system 'x' in the report; choose from adapter_dense"):
        compare_reports(report, later, "x", "ndcg@10")
    with pytest.raises(EvaluationError, match="metric ndcg@7 was not computed"):
        compare_reports(report, later, "bm25", "ndcg@7")


def test_input_that_cannot_be_reported_is_refused() -> None:
    asked, qrels = made_up.queries(120)
    run, corpus = made_up.runs(asked, qrels), made_up.corpus()
    with pytest.raises(EvaluationError, match="finance: no query in set 'test'"):
        build_report("finance", run, asked, qrels, corpus)
    unlabelled = asked.filter(pl.col("set") == "test")["query_id"].min()
    with pytest.raises(EvaluationError, match=f"{unlabelled} has no label"):
        build_report("law", run, asked, qrels.filter(pl.col("query_id") != unlabelled), corpus)


def test_slices_below_the_minimum_are_hidden_and_counted() -> None:
    few = made_up.report(ReportConfig(comparison=made_up.FAST.comparison, min_slice=10_000))
    assert [(part["rows"], part["hidden"] > 0) for part in few.data["slices"]["parts"]] == [([], True), ([], True)]
    assert "10000개 이상인 조각이 없습니다" in few.to_html()


def test_slices_are_of_one_regime(report: EvalReport) -> None:
    for part in report.data["slices"]["parts"]:
        assert part["rows"] and all(row["n"] <= human_test(part["regime"]).height for row in part["rows"])


def test_cases_show_gold_and_both_rankings(report: EvalReport) -> None:
    cases = report.data["cases"]
    assert len(cases["won"]) == len(cases["lost"]) == 5
    for kind, sign in (("won", 1), ("lost", -1)):
        for case in cases[kind]:
            sides = case["baseline"], case["system"]
            assert (sides[1]["score"] - sides[0]["score"]) * sign > 0 and case["origin"] != "synthetic"
            assert case["gold"] and all(p["relevant"] for p in case["gold"])
            for side in sides:
                assert len(side["ranking"]) == 3 and bool(side["below"]) == (side["gold_rank"] > 3)
                first = next((n for n, p in enumerate(side["ranking"], 1) if p["relevant"]), side["gold_rank"])
                assert first == side["gold_rank"] and all(p["relevant"] for p in side["below"])
                assert (side["kind"] in ("correct", "sibling")) == (side["gold_rank"] == 1)


def test_errors_are_counted_per_regime(report: EvalReport) -> None:
    for part in report.data["failures"]["parts"]:
        own = human_test(part["regime"]).height
        assert {sum(kinds.values()) for kinds in part["kinds"].values()} == {own}
        assert "adapter_oracle" not in part["kinds"] and set(part["confusion"]) == {"base_dense", "adapter_dense"}


def test_markdown_has_every_table_and_plots_embed(report: EvalReport) -> None:
    text = report.to_markdown(plots=True)
    assert all(f"## {title}" in text for title in report.tables())
    assert text.count("data:image/svg+xml;base64,") == len(report.plots())
    for table in report.tables().values():
        for block in table.split("\n\n"):
            assert len({line.count(" | ") for line in block.splitlines() if line.startswith("|")}) <= 1


def test_settings_are_refused_before_anything_is_ranked() -> None:
    with pytest.raises(EvaluationError, match="metric 'ndgc@10' is unknown"):
        EvaluationConfig(metrics=("ndgc@10",))
    with pytest.raises(ValueError, match="whole numbers from 1"):
        EvaluationConfig(cutoffs=(0, 5))
    assert EvaluationConfig(cutoffs=(10, 1, 10)).report().every_metric[-1] == "rprec"


def test_the_page_opens_in_a_browser_without_errors(report: EvalReport, tmp_path: Path) -> None:
    chromium = Path("/usr/bin/chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    if not chromium.exists():
        pytest.skip("chromium is not installed: apt-get install chromium")
    page_file = report.write(tmp_path / "law") / "report.html"
    with playwright.sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=str(chromium), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
        page.goto(page_file.as_uri())
        assert said == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, "a phone must not scroll sideways"
        browser.close()
