"""Assemble, all domains at once: the corpus, the citation graph, labelled queries and their split."""

import dagster as dg
import polars as pl
from pydantic import Field

from lex_assets.assets.declare import StageConfig, core_settings, run_config, stage_asset
from lex_assets.assets.describe import column_lineage, counts, data_version, markdown_table, table_metadata
from lex_assets.io_managers.parquet import missing_message
from lex_assets.passages.corpus import NEAR_DUPLICATE, build_corpus, corpus_hash
from lex_assets.queries.labelled import LabelConfig
from lex_assets.queries.labelled import labelled_queries as label
from lex_assets.queries.split import SplitConfig, assign_split, split_hash, with_boundaries
from lex_assets.schemas import CITATIONS, DOCUMENTS, DOMAINS, PASSAGES, QRELS, QUERIES, SETS, LexError

LabelRun = run_config(LabelConfig)
SplitRun = run_config(SplitConfig)

SPLIT_HASH = "분할 해시 · split hash"
"""Metadata entry of the split and of every asset made from it: equal where the table is the same."""

Tables = dict[str, pl.LazyFrame]
Partitions = dict[str, Tables]


class CorpusRun(StageConfig):
    """Which domains make up the corpus."""

    domains: list[str] = Field(
        default=list(DOMAINS), description="말뭉치에 넣을 도메인. Domains that enter the corpus."
    )
    near_duplicate: float = Field(
        default=NEAR_DUPLICATE,
        gt=0,
        le=1,
        description="법령이 아닌 글을 같은 글로 보는 n-gram 자카드 값. Jaccard overlap from which texts outside of statutes "
        "count as one when masking and mining.",
    )


@stage_asset(group="assemble", kinds={"polars"}, code_version="2", partitioned=False)
def corpus(config: CorpusRun, passages: Partitions) -> dg.MaterializeResult:
    """모든 도메인의 검색 단위, 중복 제거. All passages of all domains, one row per passage_id, equivalences marked."""
    require_partitions("passages", config.domains, passages)
    tables_read = [PASSAGES.validate(passages[domain]["passages"].collect()) for domain in config.domains]
    table = build_corpus(tables_read, config.near_duplicate)
    tables = {"passages": table}
    return dg.MaterializeResult(
        value=tables,
        data_version=dg.DataVersion(corpus_hash(table)[:16]),
        metadata=table_metadata(PASSAGES, table, partitioned=False)
        | {
            "dagster/column_lineage": column_lineage({name: [("passages", name)] for name in PASSAGES.names}),
            "도메인별 · by domain": counts(table, "domain"),
            "동치류 · equivalence classes": table["equivalence_id"].n_unique(),
        },
    )


@stage_asset(group="assemble", kinds={"polars"}, code_version="2", partitioned=False)
def citation_graph(raw_documents: Partitions, corpus: Tables) -> dg.MaterializeResult:
    """인용 → 정확한 조문·판례. Every citation resolved to an article or decision, or refused with a reason."""
    from lex_assets.citations.resolve import citation_graph as build

    table = build(all_documents(raw_documents), PASSAGES.validate(corpus["passages"].collect()))
    tables = {"citations": table}
    return dg.MaterializeResult(
        value=tables,
        data_version=data_version(tables),
        metadata=table_metadata(CITATIONS, table, partitioned=False)
        | {"종류별 · by kind": counts(table, "kind"), "해석 결과 · by reason": counts(table, "reason")},
    )


@stage_asset(group="assemble", kinds={"polars"}, code_version="2", partitioned=False)
def labelled_queries(
    config: LabelRun, raw_documents: Partitions, corpus: Tables, citation_graph: Tables
) -> dg.MaterializeResult:
    """사람이 붙인 정답: 판시사항→조문·판례, 질의→회답·조문, 시행령→법, MRC·QA 질문→문맥. Labels that come with the documents."""
    queries, qrels = label(
        all_documents(raw_documents),
        PASSAGES.validate(corpus["passages"].collect()),
        CITATIONS.validate(citation_graph["citations"].collect()),
        core_settings(config, LabelConfig),
    )
    tables = {"queries": queries, "qrels": qrels}
    return dg.MaterializeResult(
        value=tables,
        data_version=data_version(tables),
        metadata=table_metadata(QUERIES, queries, partitioned=False)
        | {"정답 수 · qrels": qrels.height, "출처별 · by origin": counts(queries, "origin")},
    )


@stage_asset(group="assemble", kinds={"polars"}, code_version="1", partitioned=False)
def split(config: SplitRun, labelled_queries: Tables, corpus: Tables) -> dg.MaterializeResult:
    """학습·검증·승격·시험 분할, 두 가지 방식(처음 보는 질문, 처음 보는 법). Sets and both held-out regimes, one table."""
    labelled = QUERIES.validate(labelled_queries["queries"].collect())
    qrels = QRELS.validate(labelled_queries["qrels"].collect())
    settings = with_boundaries(core_settings(config, SplitConfig), labelled)
    queries = assign_split(labelled, qrels, PASSAGES.validate(corpus["passages"].collect()), settings)
    tables = {"queries": queries, "qrels": qrels, "settings": pl.DataFrame([settings.model_dump()])}
    return dg.MaterializeResult(
        value=tables,
        data_version=data_version(tables),
        metadata=table_metadata(QUERIES, queries, partitioned=False)
        | {
            "dagster/column_lineage": column_lineage({name: [("labelled_queries", name)] for name in QUERIES.names}),
            "분할 · sets": _split_table(queries),
            SPLIT_HASH: split_hash(queries, qrels),
            "나눈 기준 · divided by": " ".join([settings.by, *filter(None, settings.boundaries)]),
        },
    )


def require_partitions(asset: str, domains: list[str], found: Partitions) -> None:
    """Raise LexError with the command to run for the first domain of `asset` that has not been materialized."""
    unknown = [domain for domain in domains if domain not in DOMAINS]
    if unknown:
        raise LexError(f"domain {unknown[0]!r} is not known; choose from {', '.join(DOMAINS)}")
    missing = [domain for domain in domains if domain not in found]
    if missing:
        raise LexError(missing_message(asset, missing[0]))


def all_documents(raw_documents: Partitions) -> pl.DataFrame:
    """The documents of every materialized domain, by id."""
    frames = [tables["documents"].collect() for _, tables in sorted(raw_documents.items())]
    return DOCUMENTS.validate(pl.concat(frames)).sort("doc_id")


def domain_passages(corpus: Tables, domain: str) -> pl.DataFrame:
    """The passages of `domain`, checked; PASSAGES rows. Raises LexError when the corpus was built without the domain."""
    table = PASSAGES.validate(corpus["passages"].filter(pl.col("domain") == domain).collect())
    if table.is_empty():
        raise LexError(f"the corpus holds no passage of {domain}; add the domain to its config and run assemble again")
    return table


def split_settings(split: Tables) -> SplitConfig:
    """The settings that the split was made with: whatever inherits a set must draw with the same seed and shares."""
    return SplitConfig(**split["settings"].collect().row(0, named=True))


def split_hash_of(split: Tables) -> str:
    """`split_hash` of the split asset's tables."""
    return split_hash(QUERIES.validate(split["queries"].collect()), QRELS.validate(split["qrels"].collect()))


def _split_table(queries: pl.DataFrame) -> dg.MetadataValue:
    table = queries.group_by("domain", "regime", "origin").agg(
        *[(pl.col("set") == name).sum().alias(name) for name in (*SETS, "dropped")]
    )
    return markdown_table(table.columns, table.sort("domain", "regime", "origin").rows())
