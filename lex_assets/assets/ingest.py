"""Ingest, per domain: raw files to documents, documents to passages."""

from typing import Any

import dagster as dg
import polars as pl

from lex_assets.assets.declare import core_settings, run_config, stage_asset
from lex_assets.assets.describe import column_lineage, counts, data_version, markdown_table, table_metadata
from lex_assets.assets.progress import progress_log
from lex_assets.passages.build import PassageConfig, build_passages
from lex_assets.passages.in_force import statutes_left_out
from lex_assets.resources.raw import RawDocumentsResource
from lex_assets.schemas import DOCUMENTS, PASSAGES, LexError

QUARANTINE_SHOWN = 50

PassageRun = run_config(PassageConfig)


@stage_asset(group="ingest", kinds={"json"}, code_version="2")
def raw_documents(context: dg.AssetExecutionContext, raw: RawDocumentsResource) -> dg.MaterializeResult:
    """원문 → 문서 트리. Raw files parsed to document trees; what cannot be read is quarantined and listed, the rest kept."""
    from lex_assets.sources.domains import DomainRules
    from lex_assets.sources.read import ingest

    rules = DomainRules.load(raw.rules_path).with_formats(raw.formats)
    found = ingest(
        raw.path,
        rules,
        domain=context.partition_key,
        workers=raw.workers,
        progress=progress_log(context.log, "읽기 · reading"),
    )
    if found.documents.is_empty():
        raise LexError(_nothing_found(raw, context.partition_key, found.quarantine))
    tables = {"documents": found.documents, "quarantine": found.quarantine}
    shown = found.documents.drop("tree", "meta")
    return dg.MaterializeResult(
        value=tables,
        data_version=data_version(tables),
        metadata=table_metadata(DOCUMENTS, shown, partitioned=True)
        | {
            "원문 폴더 · raw folder": raw.root,
            "종류별 · by source": counts(found.documents, "source_type"),
            "격리 건수 · quarantined": found.quarantine.height,
            "격리 목록 · quarantine": markdown_table(
                found.quarantine.columns, found.quarantine.head(QUARANTINE_SHOWN).rows()
            ),
        },
    )


def _nothing_found(raw: RawDocumentsResource, domain: str, quarantine: pl.DataFrame) -> str:
    first = f", the first {' '.join(quarantine.row(0))}" if quarantine.height else ""
    return (
        f"raw folder {raw.path} holds no document of domain {domain} ({quarantine.height} quarantined{first}); add some, "
        "correct the domain rules, or name the other domains in the run config of corpus"
    )


@stage_asset(group="ingest", kinds={"polars"}, code_version="2")
def passages(
    context: dg.AssetExecutionContext, config: PassageRun, raw_documents: dict[str, Any]
) -> dg.MaterializeResult:
    """문서 → 검색 단위(항, 조, 별표 조각, 판결요지, 문맥). Documents cut into retrievable passages with stable ids."""
    documents = DOCUMENTS.validate(raw_documents["documents"].collect())
    settings = core_settings(config, PassageConfig)
    table = build_passages(documents, settings)
    tables = {"passages": table}
    median = table.select(pl.col("text").str.len_chars().median()).item() or 0.0
    sources = {"passage_id": "doc_id", "doc_id": "doc_id", "text": "tree", "context": "title", "family": "family"}
    return dg.MaterializeResult(
        value=tables,
        data_version=data_version(tables),
        metadata=table_metadata(PASSAGES, table, partitioned=True)
        | {
            "dagster/column_lineage": column_lineage({c: [("raw_documents", s)] for c, s in sources.items()}),
            "단위별 · by unit": counts(table, "unit"),
            "글자 수 중앙값 · median characters": median,
            "기준일 · as of": settings.as_of or "-",
            "시행 전이라 뺀 법령 · statutes not yet in force": ", ".join(
                statutes_left_out(documents, table, settings.as_of)
            )
            or "-",
        },
    )
