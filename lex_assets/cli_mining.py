"""`lex-assets mine`: hard negatives from files, without Dagster."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from lex_assets.cli_options import ALIAS, Engine
from lex_assets.console import TimeLeft, failing_in_one_line, out, writing
from lex_assets.evaluation.markdown import mining_audit
from lex_assets.mining.config import MiningConfig
from lex_assets.passages.stored import read_corpus, read_parquet
from lex_assets.registry.stages import appearing, stage_key
from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.retrieval.engine import LexicalConfig
from lex_assets.schemas import CITATIONS, LexError, content_hash, frame_hash
from lex_assets.training.recipe import load_settings

if TYPE_CHECKING:
    from lex_assets.mining.mine import Mined

MANIFEST_FILE, AUDIT_FILE = "manifest.json", "audit.md"


class MineSettings(MiningConfig, DenseConfig):
    """Settings of mining and of its dense search."""


@failing_in_one_line
def mine(
    corpus: Annotated[Path, typer.Option(help="저장소 폴더 또는 JSONL {id,text,title?,law?} · store folder or JSONL")],
    queries: Annotated[
        Path, typer.Option(help="JSONL {id,text,set?} 또는 Parquet · questions; set is train if not given")
    ],
    qrels: Annotated[Path, typer.Option(help="TREC qrels 또는 Parquet · labels")],
    out_dir: Annotated[Path, typer.Option("--out", help="결과 폴더 · folder to write")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="설정 바꾸기 이름=값, 예: hard=5 memory_mib=256 · overrides, name=value")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="설정 YAML · settings")] = None,
    citations: Annotated[Path | None, typer.Option(help="인용 표 Parquet · citations, for cited neighbours")] = None,
    held_out: Annotated[str, typer.Option(help="오답에서 뺄 법령군, 쉼표로 · law families kept out, by commas")] = "",
    retriever: Annotated[str, typer.Option(help="프리셋, 허브 id 또는 폴더 · preset, hub id or folder")] = "builtin",
    adapter: Annotated[Path | None, typer.Option(help="검색 어댑터 폴더 · retriever adapter")] = None,
    reranker: Annotated[str, typer.Option(help="재순위 모델, none이면 안 함 · reranker, none for none")] = "builtin",
    reranker_adapter: Annotated[Path | None, typer.Option(help="재순위 어댑터 폴더 · reranker adapter")] = None,
    engine: Engine = "embedded",
    device: Annotated[str, typer.Option(help="모델의 torch 장치 · torch device of the models")] = "cpu",
    cache: Annotated[
        Path | None, typer.Option(help="벡터와 점수의 캐시, 이어서 하려면 · cache of vectors and scores, to go on with")
    ] = None,
) -> None:
    """어려운 오답을 파일에서 파일로 · Hard negatives and their audit; the same command goes on after an interruption."""
    from lex_assets.evaluation.trec import read_qrels
    from lex_assets.mining.files import read_questions
    from lex_assets.mining.stored import write_mined
    from lex_assets.mining.with_models import mine_with_models
    from lex_assets.models.bi_encoder import BiEncoder
    from lex_assets.models.reranker import Reranker

    settings = load_settings(MineSettings, config, overrides or [])
    asked, labels, passages = read_questions(queries), read_qrels(qrels), read_corpus(corpus)
    links = None if citations is None else CITATIONS.validate(read_parquet(citations))
    encoder = BiEncoder(retriever, peft_adapter_path=_text(adapter), device=device)
    scorer = (
        None if reranker == "none" else Reranker(reranker, peft_adapter_path=_text(reranker_adapter), device=device)
    )
    keywords = LexicalConfig.from_environment(engine=engine)
    families = frozenset(name.strip() for name in held_out.split(",") if name.strip())
    mining = MiningConfig(**settings.model_dump(include=set(MiningConfig.model_fields)))
    inputs = _hashes(
        queries=[asked, labels], corpus=[passages], citations=[] if links is None else [links],
        held_out=sorted(families), retriever=[encoder.cache_key("query"), encoder.cache_key("passage")],
        reranker=[scorer.cache_key] if scorer else [], lexical=[keywords.version()],
    )  # fmt: skip
    key = stage_key("mine 1", mining.model_dump(), inputs)
    if _is_there(out_dir, key):
        out.print(f"→ {out_dir} (이미 같음 · the same was there)", soft_wrap=True)
        return
    terms = cache and cache / "terms"
    mined = mine_with_models(
        asked, labels, passages, encoder, scorer, mining,
        citations=links, cache_dir=cache, progress=TimeLeft(), held_out_families=families,
        lexical=keywords.over(passages, ALIAS, terms, TimeLeft()),
        dense_config=DenseConfig(**settings.model_dump(include=set(DenseConfig.model_fields))),
    )  # fmt: skip
    with writing(out_dir, "--out"), appearing(out_dir) as folder:
        write_mined(mined, folder)
        mined.triplets.write_ndjson(folder / "triplets.jsonl")
        (folder / AUDIT_FILE).write_text(mining_audit(mined.report), "utf-8")
        manifest = {"key": key, "settings": mining.model_dump(), "inputs": inputs}
        (folder / MANIFEST_FILE).write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", "utf-8")
    _print(mined, out_dir)


def _hashes(**inputs: Sequence[pl.DataFrame | str]) -> dict[str, str]:
    """Name → hash of the tables and values of an input."""
    return {
        name: content_hash(*(frame_hash(one) if isinstance(one, pl.DataFrame) else one for one in values))
        for name, values in inputs.items()
    }


def _is_there(folder: Path, key: str) -> bool:
    """Whether `folder` holds what `key` stands for. Raises LexError when it holds something else."""
    if not folder.exists():
        return False
    manifest = folder / MANIFEST_FILE
    if manifest.is_file() and json.loads(manifest.read_text("utf-8")).get("key") == key:
        return True
    raise LexError(f"{folder}: holds something made from other inputs; choose another folder with --out, or remove it")


def _print(mined: Mined, folder: Path) -> None:
    report = mined.report
    short = {reason: count for reason, count in report["fill"].items() if reason != "full"}
    out.print(
        f"{report['queries']:,} 질의 · queries, {report['negatives']:,} 오답 · negatives "
        f"(질의당 · per query {report['negatives_per_query']}), 모자란 까닭 · short: {short or '-'}",
        highlight=False,
        soft_wrap=True,
    )
    out.print(f"→ {folder} (audit: {AUDIT_FILE})", highlight=False, soft_wrap=True)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
