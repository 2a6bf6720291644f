"""`lex-assets prepare`, `train`, `merge` and `models`: from documents to a model to serve, without Dagster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from lex_assets.console import errors, failing_in_one_line, out, writing

train = typer.Typer(
    no_args_is_help=True,
    help="검색기나 재순위기를 파일로 학습 · Train a retriever or a reranker from files, by a recipe.",
)

Config = Annotated[Path | None, typer.Option("--config", help="레시피 YAML (configs/) · recipe")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="설정 바꾸기 이름=값, 예: training.epochs=5 · overrides, name=value")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="학습하지 않고 설정과 데이터의 크기만 출력 · print settings and sizes only")
]


@train.command("retriever")
@failing_in_one_line
def train_retriever(overrides: Overrides = None, config: Config = None, dry_run: DryRun = False) -> None:
    """검색기(bi-encoder) 학습 · Train a bi-encoder."""
    _train("retriever", overrides or [], config, dry_run)


@train.command("reranker")
@failing_in_one_line
def train_reranker(overrides: Overrides = None, config: Config = None, dry_run: DryRun = False) -> None:
    """재순위기(cross-encoder) 학습 · Train a cross-encoder."""
    _train("reranker", overrides or [], config, dry_run)


def _train(kind: str, overrides: list[str], config: Path | None, dry_run: bool) -> None:
    from lex_assets.training.recipe import load_recipe, resolved
    from lex_assets.training.run import planned_steps, recipe_tables, train_recipe

    recipe = load_recipe(kind, config, overrides)
    tables = recipe_tables(recipe.data)
    steps = planned_steps(tables.trainable(kind), recipe.training)
    if dry_run:
        print(resolved(recipe), end="")
    out.print(
        f"행 · rows {tables.rows:,} · 쌍 · pairs {tables.pairs:,} · 단락 · passages {tables.corpus.height:,} · "
        f"검증 질의 · valid queries {tables.valid_queries:,} · 스텝 · steps {steps:,}",
        highlight=False,
        soft_wrap=True,
    )
    if dry_run:
        return
    result = train_recipe(recipe, tables, lambda step: errors.print(step.line, markup=False, highlight=False))
    out.print(
        f"{result.metric_name} {result.base_metric:.4f} → {result.best_metric:.4f} ({result.pattern}) → {result.adapter_dir}",
        highlight=False,
        soft_wrap=True,
    )


@failing_in_one_line
def prepare(
    corpus: Annotated[Path, typer.Option(help="저장소 폴더 또는 JSONL {id,text,title?,law?} · store folder or JSONL")],
    out_file: Annotated[Path, typer.Option("--out", help="학습 행 파일(JSONL) · file of rows to write")],
    questions: Annotated[
        Path | None,
        typer.Option(help="질문 JSONL {id(단락),text}; 없으면 규칙으로 만듦 · questions, by rule without it"),
    ] = None,
    reranker: Annotated[
        str, typer.Option(help="거짓 음성을 거를 재순위기(비우면 안 함) · reranker, empty for none")
    ] = "",
    cache: Annotated[Path | None, typer.Option(help="임베딩 캐시 폴더 · embedding cache folder")] = None,
    overrides: Overrides = None,
    config: Config = None,
) -> None:
    """문서에서 학습 행을 만듦: 질문과 어려운 음성 · Make training rows {query,pos,neg}: questions and hard negatives."""
    from lex_assets.models.bi_encoder import BiEncoder
    from lex_assets.models.reranker import Reranker
    from lex_assets.passages.stored import read_corpus
    from lex_assets.queries.questions import QuestionGenerator
    from lex_assets.queries.rules import RuleGenerator
    from lex_assets.training.files import flag_embedding_rows
    from lex_assets.training.prepare import GivenQuestions, prepare_rows
    from lex_assets.training.recipe import load_recipe

    recipe = load_recipe("retriever", config, overrides or [])
    passages = read_corpus(corpus)
    asked = recipe.questions
    generator: QuestionGenerator = RuleGenerator(asked.per_passage, statute_share=asked.statute_share)
    if questions:
        generator = GivenQuestions.read(questions, recipe.data.licence)
    options: dict[str, Any] = {"device": recipe.device, "trust_remote_code": recipe.trust_remote_code}
    encoder = BiEncoder(recipe.base, **options)
    scorer = Reranker(reranker, **options) if reranker else None
    tables = prepare_rows(
        passages, generator, encoder, scorer, recipe.passages, recipe.questions, recipe.mining, recipe.lexical,
        cache_dir=cache,
    )  # fmt: skip
    with writing(out_file, "--out"):
        beside = out_file.with_name(f".{out_file.name}.tmp")
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in flag_embedding_rows(tables))
        beside.write_text("".join(lines), encoding="utf-8")
        beside.replace(out_file)
    out.print(f"행 · rows {tables.rows:,} · 쌍 · pairs {tables.pairs:,} → {out_file}", highlight=False, soft_wrap=True)


@failing_in_one_line
def merge(
    adapter: Annotated[Path, typer.Option(help="어댑터 폴더 · adapter folder")],
    out_dir: Annotated[Path, typer.Option("--out", help="쓸 모델 폴더 · model folder to write")],
    base: Annotated[
        str, typer.Option(help="기반 모델(비우면 어댑터가 말하는 것) · base, as the adapter says without it")
    ] = "",
    check: Annotated[
        Path | None, typer.Option(help="비교에 쓸 행 파일(JSONL {query,pos,neg}) · rows to compare on")
    ] = None,
    device: Annotated[str, typer.Option(help="torch 장치 · torch device")] = "cpu",
) -> None:
    """어댑터를 기반에 합쳐 한 모델로, 같은 점수인지 확인 · Merge an adapter into its base and check that the scores agree."""
    from lex_assets.training.merge import merge_adapter

    agreed = merge_adapter(adapter, out_dir, base or None, check, device)
    out.print(
        f"최대 차이 · largest difference {agreed.largest_difference:.1e} · NDCG@10 {agreed.ndcg_adapter:.4f} = "
        f"{agreed.ndcg_merged:.4f} → {out_dir}",
        highlight=False,
        soft_wrap=True,
    )


@failing_in_one_line
def models() -> None:
    """알려진 기반 모델과 그 사용 허락 · Known base models, their licences and what is not certain about them."""
    from lex_assets.models.presets import RERANKERS, RETRIEVERS

    for kind, presets in (("retriever", RETRIEVERS), ("reranker", RERANKERS)):
        for preset in presets.values():
            names = ", ".join((preset.name, *preset.aliases))
            licence = preset.licence or "사용 허락을 밝히지 않음 · licence not stated"
            print(f"{kind}  {names}  [{preset.architecture}]  {licence}")
            if preset.note:
                print(f"    {preset.note}")
