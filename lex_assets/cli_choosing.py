"""What to use, chosen on validation: `lex-assets grid` (settings of a search), `lex-assets ablation` (pairs of base models)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lex_assets.cli_options import DEVICES, MEMORY_MIB, DenseDevices, Engine, MemoryMib, dense_search, keyword_index
from lex_assets.console import TimeLeft, errors, failing_in_one_line, out
from lex_assets.schemas import REGIMES, LexError
from lex_assets.settings import checked

if TYPE_CHECKING:
    from lex_assets.evaluation.ablation import AblationConfig
    from lex_assets.evaluation.grid import GridConfig, GridResult, Point, Rankings
    from lex_assets.evaluation.question_sets import QuestionSet
    from lex_assets.retrieval.dense_config import DenseConfig
    from lex_assets.retrieval.types import Encoder, LexicalSearch


@failing_in_one_line
def grid(
    out_dir: Annotated[Path, typer.Option("--out", help="결과 폴더(새것) · folder to write, must not exist")],
    store: Annotated[Path | None, typer.Option(help="파이프라인의 저장소 · store of the pipeline")] = None,
    domain: Annotated[str, typer.Option(help="--store의 도메인 · domain in the store")] = "law",
    regime: Annotated[str, typer.Option(help="--store: unseen_query 또는 unseen_law · regime")] = "unseen_query",
    corpus: Annotated[Path | None, typer.Option(help="말뭉치 JSONL, --store 대신 · corpus, instead of a store")] = None,
    queries: Annotated[Path | None, typer.Option(help="--corpus: 질의 JSONL {id,text,exclude?} · queries")] = None,
    valid: Annotated[Path | None, typer.Option(help="--corpus: 고를 때 쓰는 정답 · qrels that choose")] = None,
    test: Annotated[
        Path | None, typer.Option(help="--corpus: 승자만 보는 정답 · qrels that the winner alone sees")
    ] = None,
    retriever: Annotated[str, typer.Option(help="프리셋, 허브 id 또는 폴더 · preset, hub id or folder")] = "builtin",
    adapter: Annotated[Path | None, typer.Option(help="검색 어댑터 폴더 · retriever adapter")] = None,
    reranker: Annotated[str, typer.Option(help="재순위 모델 · reranker")] = "builtin",
    reranker_adapter: Annotated[Path | None, typer.Option(help="재순위 어댑터 폴더 · reranker adapter")] = None,
    prefixes: Annotated[
        str, typer.Option(help="접두어, 쉼표로: own,bge,e5,query,instruction,none · prefixes, by commas")
    ] = "own",
    fusions: Annotated[str, typer.Option(help="결합: minmax,zscore,rrf · fusions")] = "minmax",
    weights: Annotated[str, typer.Option(help="밀집 검색의 몫 · shares of dense search")] = "0,0.25,0.5,0.75,1",
    top_k: Annotated[str, typer.Option(help="쪽마다 후보 수 · candidates of each side")] = "100",
    rerank_depths: Annotated[str, typer.Option(help="재순위할 수, 0은 안 함 · passages reranked, 0 for none")] = "0,30",
    metric: Annotated[str, typer.Option(help="고르는 지표 · metric that chooses")] = "ndcg@10",
    valid_queries: Annotated[int, typer.Option(min=0, help="검증 질의 수의 상한, 0은 전부 · most questions")] = 200,
    submissions: Annotated[
        Path | None,
        typer.Option(help="질문 JSONL: 점마다 대회 제출 파일 · questions for which every point writes a submission"),
    ] = None,
    engine: Engine = "embedded",
    device: Annotated[str, typer.Option(help="torch 장치 · torch device")] = "cpu",
    cache: Annotated[Path | None, typer.Option(help="벡터와 점수의 캐시 폴더 · cache of vectors and scores")] = None,
    dense_devices: DenseDevices = DEVICES,
    memory_mib: MemoryMib = MEMORY_MIB,
) -> None:
    """결합 가중치, 후보 수, 재순위 깊이, 접두어를 검증에서 고르고 승자만 시험에 한 번 · Settings chosen on validation, the winner tested once."""
    from lex_assets.evaluation.grid import GridConfig, grid_search
    from lex_assets.evaluation.systems import sample_queries

    if out_dir.exists():
        raise LexError(
            f"{out_dir}: exists; a grid looks at the test once: read {out_dir}/grid.md or name another folder"
        )
    tried = {
        "prefixes": _listed(prefixes), "fusions": _listed(fusions), "weights": _listed(weights),
        "top_k": _listed(top_k), "rerank_depths": _listed(rerank_depths), "metric": metric,
    }  # fmt: skip
    config = checked(GridConfig, tried, "grid")
    choosing, testing = _question_sets(store, domain, regime, (corpus, queries, valid, test), (retriever, reranker))
    dense = dense_search(dense_devices, memory_mib)
    keywords = keyword_index(testing.corpus, engine, cache)  # validation and test are searched in one corpus
    rankings_of = _models(retriever, adapter, reranker, reranker_adapter, config, keywords, device, cache, dense)
    choosing = choosing.restricted(sample_queries(choosing.queries, valid_queries))
    found = grid_search(choosing, testing, config, rankings_of, TimeLeft())
    asked = _submitted(submissions, testing, config, rankings_of) if submissions else None
    _write(replace(found, provenance=_provenance(retriever, adapter, reranker, reranker_adapter)), asked, out_dir)


def _listed(text: str) -> list[str]:
    return [value.strip() for value in text.split(",") if value.strip()]


def _question_sets(
    store: Path | None,
    domain: str,
    regime: str,
    files: tuple[Path | None, Path | None, Path | None, Path | None],
    models: tuple[str, str],
) -> tuple[QuestionSet, QuestionSet]:
    """(validation, test)."""
    from lex_assets.evaluation.question_sets import question_set

    corpus, queries, valid, test = files
    if store:
        chosen, tested = (_published(store, domain, regime, name, models) for name in ("valid", "test"))
        return chosen, tested
    if corpus and queries and valid and test:
        return question_set(corpus, queries, valid), question_set(corpus, queries, test)
    raise LexError("give --store, or all of --corpus, --queries, --valid and --test")


def _published(store: Path, domain: str, regime: str, query_set: str, models: tuple[str, str]) -> QuestionSet:
    from lex_assets.registry.published import published_questions

    if regime not in REGIMES:
        raise LexError(f"regime {regime!r} is not known; choose from {', '.join(REGIMES)}")
    found = {one.name: one for one in published_questions(store, domain, _seen(models), query_set)}
    if regime not in found:
        raise LexError(f"{store}: {domain} has no {query_set} question of regime {regime}; choose the other regime")
    return found[regime]


def _seen(*pairs: tuple[str, str]) -> frozenset[str]:
    """Documents that some model of the pairs was trained on, as far as they say so. Raises LexError for a missing folder."""
    from lex_assets.models.presets import reranker_preset, retriever_preset
    from lex_assets.models.weights import trained_documents

    presets: list[Any] = [retriever_preset(name) for name, _ in pairs] + [reranker_preset(name) for _, name in pairs]
    return frozenset[str]().union(*(trained_documents(preset.hub_id) or () for preset in presets))


def _models(
    retriever: str,
    adapter: Path | None,
    reranker: str,
    reranker_adapter: Path | None,
    config: GridConfig,
    keywords: LexicalSearch,
    device: str,
    cache: Path | None,
    dense: DenseConfig,
) -> Callable[[QuestionSet, list[Point]], Rankings]:
    """Rankings by these models; the reranker is loaded only where something is reranked."""
    from lex_assets.evaluation.grid import OWN_PREFIX, Rankings
    from lex_assets.models.bi_encoder import BiEncoder
    from lex_assets.models.reranker import Reranker

    adapters = [str(path) if path else None for path in (adapter, reranker_adapter)]
    scorer = Reranker(reranker, peft_adapter_path=adapters[1], device=device) if any(config.rerank_depths) else None

    def encoder_of(prefix: str) -> Encoder:
        template = None if prefix == OWN_PREFIX else prefix
        return BiEncoder(retriever, peft_adapter_path=adapters[0], template=template, device=device)

    return lambda questions, points: Rankings(questions, points, encoder_of, scorer, keywords, cache, dense)


def _submitted(
    path: Path, testing: QuestionSet, config: GridConfig, rankings_of: Callable[[QuestionSet, list[Point]], Rankings]
) -> Rankings:
    """Every point's ranking of the questions in `path`, over the same corpus."""
    from lex_assets.passages.stored import read_queries

    asked = read_queries(path)
    exclude = {row["query_id"]: set(row["exclude"]) for row in asked.iter_rows(named=True)}
    rankings = rankings_of(replace(testing, queries=asked, exclude=exclude), list(config.points()))
    rankings.find(TimeLeft())
    return rankings


def _provenance(*models: str | Path | None) -> dict[str, str]:
    names = ("retriever", "retriever_adapter", "reranker", "reranker_adapter")
    return {name: str(model) for name, model in zip(names, models, strict=True) if model}


def _write(found: GridResult, asked: Rankings | None, out_dir: Path) -> None:
    from lex_assets.evaluation.grid import write_submissions
    from lex_assets.evaluation.grid_report import grid_document, winner_lines
    from lex_assets.registry.stages import appearing

    with appearing(out_dir) as folder:
        (folder / "grid.json").write_text(json.dumps(found.to_dict(), ensure_ascii=False, indent=1), "utf-8")
        (folder / "grid.md").write_text(grid_document(found), "utf-8")
        found.points.write_csv(folder / "points.csv")
        written = write_submissions(asked, folder / "submissions") if asked else []
    out.print("\n".join(winner_lines(found)), soft_wrap=True, highlight=False, markup=False)
    if written:
        errors.print(
            f"제출 파일 · submissions {len(written)}: {out_dir / 'submissions'}", soft_wrap=True, highlight=False
        )
    out.print(f"→ {out_dir}/grid.md, grid.json, points.csv", soft_wrap=True, highlight=False)


@failing_in_one_line
def ablation(
    store: Annotated[Path, typer.Option(help="파이프라인의 저장소 · store of the pipeline")],
    domain: Annotated[str, typer.Option(help="도메인: finance, law, precedent · domain")] = "law",
    config: Annotated[
        Path | None, typer.Option(help="실행 설정 YAML(ops.model_ablation) · run config, as of the job")
    ] = None,
    pair: Annotated[
        list[str] | None,
        typer.Option(help="쌍 '검색기 + 재순위기'(여러 번), 설정 대신 · pair, repeatable, instead of a config"),
    ] = None,
    engine: Engine = "embedded",
    device: Annotated[str, typer.Option(help="torch 장치 · torch device")] = "cpu",
    dense_devices: DenseDevices = DEVICES,
    memory_mib: MemoryMib = MEMORY_MIB,
    as_json: Annotated[bool, typer.Option("--json", help="JSON으로 출력 · print JSON")] = False,
) -> None:
    """검색기·재순위기 쌍을 품질, 파라미터, 지연, 메모리로 비교 · Pairs of base models: quality, parameters, latency, memory."""
    from lex_assets.evaluation.ablation import ablate, models_of
    from lex_assets.evaluation.ablation_report import ablation_table
    from lex_assets.evaluation.markdown import table
    from lex_assets.models.bi_encoder import BiEncoder
    from lex_assets.models.reranker import Reranker
    from lex_assets.registry.published import published_questions

    settings = _ablation_settings(config, pair)
    seen = _seen(*map(models_of, settings.pairs))
    sets = published_questions(store, domain, seen, settings.query_set)

    def load(retriever: str, reranker: str) -> tuple[BiEncoder, Reranker]:
        return BiEncoder(retriever, device=device), Reranker(reranker, device=device)

    cache = store / "cache"
    keywords = keyword_index(sets[0].corpus, engine, cache) if sets else None
    dense = dense_search(dense_devices, memory_mib)
    found = ablate(sets, settings, load, TimeLeft(), keywords, cache / "embeddings", dense)
    if as_json:
        facts = {"quality": found.quality.to_dicts(), "costs": found.costs.to_dicts()}
        print(json.dumps(facts, ensure_ascii=False, indent=1))
        return
    header, rows = ablation_table(found)
    print(f"집합 · set: {settings.query_set}\n")
    print("\n".join(table(header, rows)))


def _ablation_settings(config: Path | None, pairs: list[str] | None) -> AblationConfig:
    from lex_assets.evaluation.ablation import AblationConfig
    from lex_assets.training.recipe import read_yaml

    given: Any = read_yaml(config) if config else {}
    for section in ("ops", "model_ablation", "config") if config else ():
        given = given.get(section) if isinstance(given, dict) else None
    if not isinstance(given, dict):
        raise LexError(f"{config}: holds no ops.model_ablation.config; see configs/ablation-korean.yaml")
    return checked(AblationConfig, given | ({"pairs": tuple(pairs)} if pairs else {}), str(config or "ablation"))
