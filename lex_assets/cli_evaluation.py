"""Commands about what a model is worth and whether it is used: `evaluate`, `compare`, `leaderboard`, `champion`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer
from rich.table import Table

from lex_assets.cli_options import DEVICES, MEMORY_MIB, DenseDevices, Engine, MemoryMib, dense_search, keyword_index
from lex_assets.console import errors, failing_in_one_line, out
from lex_assets.schemas import DOMAINS, LexError

if TYPE_CHECKING:
    from lex_assets.evaluation.question_sets import QuestionSet
    from lex_assets.evaluation.scoring import Scored
    from lex_assets.registry.candidate import Registry
    from lex_assets.registry.champion import Champion
    from lex_assets.retrieval.dense_config import DenseConfig

DEFAULT_METRICS = ["ndcg@10", "mrr@10", "r@10", "hit@1", "hit@10"]
BASELINE = "baseline"

champion = typer.Typer(
    name="champion",
    help="쓰고 있는 어댑터: 보기, 승격, 되돌리기, 관문의 설정. The adapters in use: show, promote, roll back, the gate's rule.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Store = Annotated[Path, typer.Option(help="파이프라인의 저장소 폴더 · store folder of the pipeline")]
Domain = Annotated[str, typer.Option(help="도메인: finance, law, precedent · domain")]


class CountedUnit(StrEnum):
    """What counts as found."""

    passage = "passage"
    parent = "parent"


class Missing(StrEnum):
    """What a labelled query without results is."""

    zero = "zero"
    error = "error"


@failing_in_one_line
def evaluate(
    qrels: Annotated[Path | None, typer.Option(help="정답(TREC/BEIR TSV, Parquet) · qrels")] = None,
    run: Annotated[
        list[Path] | None, typer.Option(help="run(TREC, Parquet; 여러 번) · runs to score, repeatable")
    ] = None,
    submission: Annotated[
        list[Path] | None,
        typer.Option(help="대회 제출 파일(submission.csv; 여러 번) · contest submissions to score, repeatable"),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="비교할 run이나 제출 파일 · run or submission to compare with")
    ] = None,
    metric: Annotated[list[str] | None, typer.Option(help="지표(여러 번) · metrics, repeatable")] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="어댑터나 모델 폴더: 기반과 비교 · adapter or model folder, compared with its base"),
    ] = None,
    base: Annotated[
        str, typer.Option(help="--model의 기반(비우면 어댑터가 적은 것) · its base, empty: as recorded")
    ] = "",
    store: Annotated[
        Path | None, typer.Option(help="--model: 시험 질문이 있는 저장소 · store that holds the test questions")
    ] = None,
    domain: Annotated[str, typer.Option(help="--store의 도메인 · domain in the store")] = "law",
    queries: Annotated[Path | None, typer.Option(help="--model: 질의 JSONL {id,text,exclude?} · queries")] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="말뭉치(저장소 또는 JSONL): 모르는 id를 거절 · corpus, refuses unknown ids")
    ] = None,
    unit: Annotated[
        CountedUnit, typer.Option(help="passage, 또는 parent(조문·판결 단위, --corpus 필요) · what is counted")
    ] = CountedUnit.passage,
    groups: Annotated[
        Path | None, typer.Option(help="함께 움직이는 질의 묶음 `질의 묶음` · query groups for intervals")
    ] = None,
    seeds: Annotated[
        bool, typer.Option("--seeds", help="run들이 한 시스템의 시드들 · the runs are seeds of one system")
    ] = False,
    missing: Annotated[
        Missing, typer.Option(help="결과 없는 질의: zero(0점) 또는 error · queries without results")
    ] = Missing.zero,
    engine: Engine = "embedded",
    device: Annotated[str, typer.Option(help="--model의 torch 장치 · torch device")] = "cpu",
    dense_devices: DenseDevices = DEVICES,
    memory_mib: MemoryMib = MEMORY_MIB,
    as_json: Annotated[bool, typer.Option("--json", help="JSON으로 출력 · print JSON")] = False,
) -> None:
    """run을 채점하거나 모델을 기반과 비교 · Score runs, or a model beside its base; says whether a difference means anything."""
    if [run, model, submission].count(None) != 2:
        raise LexError(
            "give one of --run or --submission, each with --qrels, or --model with --store (or --corpus, --queries, --qrels)"
        )
    if model:
        dense = dense_search(dense_devices, memory_mib)
        found = _model_scores(model, base, store, domain, (corpus, queries, qrels), groups, engine, device, dense)
        _print_all(found, as_json)
        return
    if qrels is None:
        raise LexError("--run and --submission need --qrels: the relevant passages of each query")
    if submission:
        scored = _contest_scores(submission, baseline, qrels, corpus)
    else:
        scored = _run_scores(run or [], baseline, qrels, metric or DEFAULT_METRICS, corpus, unit, groups, missing)
    _print_all({"": (scored, seeds and baseline is not None)}, as_json)


def _run_scores(
    run: list[Path],
    baseline: Path | None,
    qrels: Path,
    metrics: list[str],
    corpus: Path | None,
    unit: CountedUnit,
    groups: Path | None,
    missing: Missing,
) -> Scored:
    from lex_assets.evaluation.scoring import score_runs
    from lex_assets.evaluation.trec import read_groups, read_qrels
    from lex_assets.passages.stored import read_corpus

    return score_runs(
        _read_runs(run, baseline),
        read_qrels(qrels),
        metrics,
        BASELINE if baseline else None,
        unit=unit.value,
        parents=read_corpus(corpus) if corpus else None,
        groups=read_groups(groups) if groups else None,
        on_missing=missing.value,
    )


def _contest_scores(submission: list[Path], baseline: Path | None, gold: Path, corpus: Path | None) -> Scored:
    from lex_assets.evaluation.contest import MAP, MRR, contest_scores, read_gold, read_submission
    from lex_assets.evaluation.scoring import compared
    from lex_assets.passages.stored import read_corpus

    named = _named(submission, baseline, "--submission")
    known = read_corpus(corpus)["passage_id"].to_list() if corpus else None
    scores = contest_scores({name: read_submission(path) for name, path in named.items()}, read_gold(gold), known)
    return compared(scores, [MAP, MRR], BASELINE if baseline else None)


def _model_scores(
    model: Path,
    base: str,
    store: Path | None,
    domain: str,
    files: tuple[Path | None, Path | None, Path | None],
    groups: Path | None,
    engine: str,
    device: str,
    dense: DenseConfig,
) -> dict[str, tuple[Scored, bool]]:
    """Regime (or "test" for files) → scores of base and model."""
    from lex_assets.evaluation.base_and_model import base_of, is_reranker

    name, adapter = base_of(model, base)
    reranker = is_reranker(model)
    sets = _question_sets(store, domain, files, groups, _seen_documents(name, reranker))
    for one in sets:
        if one.seen:
            errors.print(
                f"{one.name}: 기반이 학습에서 본 질의 {one.seen:,}개 제외 · {one.seen:,} queries that the base has seen left out",
                soft_wrap=True,
                highlight=False,
            )
    judge = partial(_rerankers, engine=engine) if reranker else partial(_retrievers, dense=dense)
    cache = store / "cache" / "embeddings" if store else None
    return {
        one.name: (scored, False)
        for one, scored in zip(sets, judge(sets, name, model, adapter, device, cache), strict=True)
    }


def _seen_documents(base: str, reranker: bool) -> frozenset[str]:
    """Documents that the base was trained on, as far as it says so."""
    from lex_assets.models.presets import reranker_preset, retriever_preset
    from lex_assets.models.weights import trained_documents

    preset: Callable[[str], Any] = reranker_preset if reranker else retriever_preset
    return trained_documents(preset(base).hub_id) or frozenset()


def _question_sets(
    store: Path | None,
    domain: str,
    files: tuple[Path | None, Path | None, Path | None],
    groups: Path | None,
    trained: frozenset[str],
) -> list[QuestionSet]:
    from lex_assets.evaluation.question_sets import question_set
    from lex_assets.evaluation.trec import read_groups
    from lex_assets.registry.published import published_questions

    corpus, queries, qrels = files
    if store:
        return published_questions(store, domain, trained)
    if corpus and queries and qrels:
        return [question_set(corpus, queries, qrels, read_groups(groups) if groups else None)]
    raise LexError("--model needs --store, or all of --corpus, --queries and --qrels")


def _retrievers(
    sets: list[QuestionSet],
    base: str,
    model: Path,
    adapter: str | None,
    device: str,
    cache: Path | None,
    *,
    dense: DenseConfig,
) -> list[Scored]:
    from lex_assets.evaluation.base_and_model import base_and_model
    from lex_assets.models.bi_encoder import BiEncoder

    frozen = BiEncoder(base, device=device)
    trained = BiEncoder(base if adapter else str(model), peft_adapter_path=adapter, device=device)
    return [base_and_model(one, frozen, trained, cache, dense) for one in sets]


def _rerankers(
    sets: list[QuestionSet],
    base: str,
    model: Path,
    adapter: str | None,
    device: str,
    cache: Path | None,
    *,
    engine: str,
) -> list[Scored]:
    from lex_assets.evaluation.base_and_model import base_and_reranker
    from lex_assets.models.reranker import Reranker

    frozen = Reranker(base, device=device)
    trained = Reranker(base if adapter else str(model), peft_adapter_path=adapter, device=device)
    keywords = [keyword_index(one.corpus, engine, cache and cache.parent) for one in sets]
    return [base_and_reranker(one, frozen, trained, lexical=index) for one, index in zip(sets, keywords, strict=True)]


def _print_all(found: dict[str, tuple[Scored, bool]], as_json: bool) -> None:
    facts = {
        name: scored.to_dict() | ({"seeds": scored.seeds_agree()} if seeds else {})
        for name, (scored, seeds) in found.items()
    }
    for name, (scored, _) in found.items():
        _say_what_is_missing(scored)
        if not as_json:
            print(f"{name}\n" if name else "", end="")
            _print_scores(facts[name])
    if as_json:
        print(json.dumps(facts.get("", facts), ensure_ascii=False, indent=1))


def _read_runs(paths: list[Path], baseline: Path | None) -> pl.DataFrame:
    from lex_assets.evaluation.trec import read_run

    return pl.concat([read_run(path, name) for name, path in _named(paths, baseline, "--run").items()])


def _named(paths: list[Path], baseline: Path | None, option: str) -> dict[str, Path]:
    """Each file by its name (`run` when it is the only one), the baseline as `baseline`."""
    names = ["run"] if len(paths) == 1 else [path.name.split(".")[0] for path in paths]
    repeated = next((name for n, name in enumerate(names) if name in names[:n] or name == BASELINE), None)
    if repeated:
        raise LexError(f"{option}: two files are called {repeated!r}; rename one of them")
    return dict(zip(names, paths, strict=True)) | ({BASELINE: baseline} if baseline else {})


def _say_what_is_missing(scored: Scored) -> None:
    for system, left_out in scored.left_out.items():
        unanswered = scored.unanswered[system]
        if left_out or unanswered:
            errors.print(
                f"{system}: 정답 없는 질의 {len(left_out):,}개 제외{_example(left_out)}, "
                f"결과 없는 질의 {len(unanswered):,}개는 0점{_example(unanswered)} · "
                f"{len(left_out):,} queries without labels left out, {len(unanswered):,} without results count 0",
                soft_wrap=True,
                markup=False,
                highlight=False,
            )


def _example(ids: list[str]) -> str:
    return f"({ids[0]}{', …' if len(ids) > 1 else ''})" if ids else ""


def _print_scores(facts: dict[str, Any]) -> None:
    metrics = [name for name in facts["metrics"][0] if name not in ("system", "n")]
    table = Table("system", *metrics, "n")
    for row in facts["metrics"]:
        table.add_row(row["system"], *(f"{row[name]:.4f}" for name in metrics), str(row["n"]))
    out.print(table)
    for one in facts["comparisons"]:
        print(comparison_line(one))
    for name, verdict in facts.get("seeds", {}).items():
        print(f"{name}: 모든 시드의 판정 · all seeds agree on: {verdict}")


def comparison_line(one: dict[str, Any]) -> str:
    """A comparison in one line: difference, interval, p, verdict, and the smallest effect that could have been seen."""
    smallest = one["smallest_detectable"]
    low, high = (f"{one[end]:+.4f}" if one[end] is not None else "∞" for end in ("low", "high"))
    return (
        f"{one['system']} {one['metric']}: {one['difference']:+.4f} [{low}, {high}] "
        f"p={one['p_holm']:.4f} → {one['verdict']} ({one['reason']}); "
        f"최소 검출 효과 · smallest detectable {'-' if smallest is None else f'{smallest:.4f}'}"
    )


@failing_in_one_line
def compare(
    before: Annotated[Path, typer.Argument(help="앞선 보고서 폴더 · folder of the earlier report")],
    after: Annotated[Path, typer.Argument(help="나중 보고서 폴더 · folder of the later report")],
    system: Annotated[str, typer.Option(help="견줄 체계 · system to compare")] = "adapter_hybrid_rerank",
    metric: Annotated[str, typer.Option(help="지표 · metric")] = "ndcg@10",
    as_json: Annotated[bool, typer.Option("--json", help="JSON으로 출력 · print JSON")] = False,
) -> None:
    """두 보고서의 같은 체계를 비교, 시험 집합이 다르면 거절 · One system in two reports; refused when the test sets differ."""
    from lex_assets.evaluation.across import compare_reports
    from lex_assets.evaluation.report import read_report

    found = compare_reports(read_report(before), read_report(after), system, metric)
    facts = {regime: one.to_dict() for regime, one in found.items()}
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=1))
        return
    for regime, one in facts.items():
        print(f"{regime} {comparison_line(one | {'system': system})}")


@failing_in_one_line
def leaderboard(
    store: Store,
    domain: Annotated[str, typer.Option(help="도메인(비우면 전부) · domain, empty for all")] = "",
    test_set: Annotated[str, typer.Option(help="시험 집합 해시의 앞부분 · beginning of a test set's hash")] = "",
    metric: Annotated[str, typer.Option(help="지표 · metric")] = "ndcg@10",
) -> None:
    """보고서들의 성적, 시험 집합마다 따로 · Scores of all reports over time, each test set by itself."""
    from lex_assets.evaluation.history import by_test_set, lines
    from lex_assets.registry.leaderboard import LEADERBOARD_FILE, read

    path = store / "registry" / LEADERBOARD_FILE
    if not path.is_file():
        raise LexError(f"{path}: no such file; materialize the asset leaderboard first")
    found = [
        part for part in by_test_set(read(path)) if part[0] == (domain or part[0]) and part[1].startswith(test_set)
    ]
    if not found:
        raise LexError(f"{path}: no report of domain {domain or 'any'} on test set {test_set or 'any'}")
    for name, test_hash, rows in found:
        print(f"{name} · 시험 집합 · test set {test_hash[:12]}\n\n" + "\n".join(lines(rows, metric)) + "\n")


@champion.command()
@failing_in_one_line
def show(
    store: Store,
    domain: Domain,
    history: Annotated[bool, typer.Option("--history", help="처음부터 모두 · every promotion and rollback")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON으로 출력 · print JSON")] = False,
) -> None:
    """쓰고 있는 어댑터와 그 이유 · The adapters in use, since when and why."""
    entries = _registry(store, domain).champions.history(domain)
    if as_json:
        print(json.dumps([asdict(one) for one in (entries if history else entries[-1:])], ensure_ascii=False, indent=1))
        return
    if not entries:
        print(f"{domain}: 기반 모델, 승격된 적 없음 · the base model; nothing was promoted yet")
    for one in entries if history else entries[-1:]:
        print(_champion_line(domain, one))


@champion.command()
@failing_in_one_line
def promote(
    store: Store,
    domain: Domain,
    as_json: Annotated[bool, typer.Option("--json", help="JSON으로 출력 · print JSON")] = False,
) -> None:
    """마지막 보고서의 어댑터를 관문에 · Put the last report's adapters to the gate; promoted only when it is passed."""
    from lex_assets.registry.candidate import UNDECIDED
    from lex_assets.registry.published import candidate_in

    registry, candidate = _registry(store, domain), candidate_in(store, domain)
    decision = registry.consider(candidate)
    if as_json:
        print(json.dumps(decision.to_dict() if decision else None, ensure_ascii=False, indent=1))
    elif decision:
        print(f"{decision.markdown()}\n\n이 승격 집합에서 본 후보 · candidates tried: {decision.tries}")
    if decision is None or not decision.promoted:
        raise LexError(decision.summary() if decision else UNDECIDED)
    errors.print(f"{decision.summary()} (v{registry.champions.version(domain)})", soft_wrap=True, highlight=False)


@champion.command()
@failing_in_one_line
def rollback(
    store: Store,
    domain: Domain,
    note: Annotated[str, typer.Option(help="이유(기록에 남음) · why, kept in the history")] = "",
) -> None:
    """직전 챔피언이나 기반 모델로 · Back to the champion before, or to the base model."""
    print(_champion_line(domain, _registry(store, domain).champions.rollback(domain, note)))


@champion.command()
@failing_in_one_line
def rule(
    store: Store,
    domain: Domain,
    change: Annotated[
        str,
        typer.Option(
            help="이유: 다음 결정이 새 설정을 고정 · reason; the next decision freezes other settings, kept in the history"
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON으로 출력 · print JSON")] = False,
) -> None:
    """관문의 설정, 첫 결정에서 고정됨 · The gate's settings, frozen at the first decision."""
    rules = _registry(store, domain).rules
    found = rules.change(domain, change) if change else rules.frozen(domain)
    if as_json:
        print(json.dumps(found and found.rule.to_dict() | {"at": found.at}, ensure_ascii=False, indent=1))
        return
    if found is None:
        print(
            f"{domain}: 고정된 설정 없음, 다음 결정이 고정함 · nothing frozen yet; the next decision freezes its settings"
        )
        return
    ended = "풀림 · no longer in force" if change else "고정됨 · frozen"
    print(f"{domain}: {found.at} {ended}")
    for name, value in (found.rule.to_dict()["gate"] | dict(found.rule.measured)).items():
        print(f"  {name} = {json.dumps(value, ensure_ascii=False)}")


def _registry(store: Path, domain: str) -> Registry:
    from lex_assets.registry.candidate import Registry

    if domain not in DOMAINS:
        raise LexError(f"domain {domain!r} is not known; choose from {', '.join(DOMAINS)}")
    if not store.is_dir():
        raise LexError(f"{store}: no such folder; give the store folder of the pipeline")
    return Registry(store / "registry")


def _champion_line(domain: str, one: Champion) -> str:
    manifest = one.manifest
    used = f"{manifest.retriever} + {manifest.reranker}" if manifest else "기반 모델 · the base model"
    action = {"promote": "승격 · promoted", "rollback": "되돌림 · rolled back"}[one.action]
    return f"{domain} v{one.version} {one.at} {action}: {used}" + (f" — {one.note}" if one.note else "")
