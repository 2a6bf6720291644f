"""Pairs of base models: the shipped configuration by tiny random checkpoints of its architectures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import yaml

from lex_assets import BiEncoder, Reranker
from lex_assets.evaluation.ablation import AblationConfig, ablate, models_of
from lex_assets.evaluation.ablation_report import ablation_plots, ablation_table
from lex_assets.evaluation.question_sets import QuestionSet, human_questions
from lex_assets.models import presets
from lex_assets.passages.stored import published
from lex_assets.retrieval.search import Searcher
from lex_assets.schemas import LexError
from lex_assets_tests.commands import done, refused
from lex_assets_tests.evaluation import made_up
from lex_assets_tests.evaluation.stand_ins import WordEncoder, WordReranker
from lex_assets_tests.models.conftest import write_checkpoint

SHIPPED = Path(__file__).parents[2] / "configs" / "ablation-korean.yaml"
NAMES = {
    "BM-K/KoSimCSE-roberta-multitask": ("roberta", "retriever"),
    "KLUE-RoBERTa-base-bi": ("roberta", "retriever"),
    "KoE5-small": ("bert", "retriever"),
    "snunlp/KR-ELECTRA-discriminator": ("electra", "reranker"),
    "klue/roberta-large": ("roberta", "retriever"),  # a language model: its head starts untrained
}


def quiet(stage: str, done: int, total: int) -> None:
    assert done <= total


@pytest.fixture(scope="module")
def sets() -> list[QuestionSet]:
    asked, qrels = made_up.queries(200)
    return list(human_questions(asked, qrels, made_up.corpus(), "law", (), "valid"))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The shipped pairs, every model by a tiny folder of its architecture."""
    folders = {
        name: write_checkpoint(tmp_path_factory.mktemp("tiny"), *architecture) for name, architecture in NAMES.items()
    }
    pairs = yaml.safe_load(SHIPPED.read_text("utf-8"))["ops"]["model_ablation"]["config"]["pairs"]
    known = (presets.RETRIEVERS, presets.RERANKERS)

    def in_folder(name: str, presets_of: dict) -> str:
        asked = name.partition("=")[0].lower()
        preset = next(preset for preset in presets_of.values() if asked in preset.names)
        return f"{asked}={folders[preset.name]}"

    return tuple(" + ".join(map(in_folder, models_of(pair), known)) for pair in pairs)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Presets that take vectors of any width."""
    for name in NAMES.keys() & presets.RETRIEVERS.keys():
        monkeypatch.setitem(presets.RETRIEVERS, name, replace(presets.RETRIEVERS[name], dimension=0))


def test_the_shipped_pairs_run_with_their_presets(sets, shipped, narrow) -> None:
    config = AblationConfig(pairs=shipped, max_queries=6, rerank_depth=3)
    found = ablate(sets, config, lambda *pair: (BiEncoder(pair[0]), Reranker(pair[1])), quiet)
    assert found.costs["system"].to_list() == list(shipped)
    for pair, cost in zip(shipped, found.costs.iter_rows(named=True), strict=True):
        encoder, reranker = BiEncoder(models_of(pair)[0]), Reranker(models_of(pair)[1])
        sizes = [p.numel() for model in (encoder, reranker) for p in model.model.parameters()]
        assert cost["parameters"] == sum(sizes) and cost["weights_mib"] == pytest.approx(sum(sizes) * 4 / 2**20)
        assert cost["latency_ms"] > 0 and cost["peak_mib"] > 0
    modes = found.quality.group_by("pair").agg(pl.col("mode").n_unique()).rows()
    assert dict(modes) == dict.fromkeys(shipped, 2) | {"bm25": 1}
    assert BiEncoder(models_of(shipped[2])[0]).get_prefix("query") == "query: "
    header, rows = ablation_table(found)
    assert len(rows) == len(sets) * 4 and {len(row) for row in rows} == {len(header)}
    assert all("—" not in row[-4:] for row in rows if row[0] != "bm25")
    assert len(ablation_plots(found)) == len(sets) + 2


def test_scores_are_of_the_whole_corpus_and_differences_of_the_first_pair(sets) -> None:
    stand_ins = {"good": WordEncoder(), "deaf": WordEncoder(deaf=0.9)}
    config = AblationConfig(pairs=("good + words", "deaf + words"), max_queries=0, metrics=("ndcg@10", "r@100"))
    found = ablate(sets, config, lambda *pair: (stand_ins[pair[0]], WordReranker()), quiet)
    rows = {(r["pair"], r["regime"], r["mode"], r["metric"]): r for r in found.quality.iter_rows(named=True)}
    good, deaf = (rows[f"{name} + words", "unseen_query", "dense", "ndcg@10"] for name in stand_ins)
    assert good["difference"] is None
    assert (
        deaf["difference"] == pytest.approx(deaf["score"] - good["score"])
        and deaf["low"] <= deaf["difference"] <= deaf["high"]
    )
    run = Searcher(sets[0].corpus, stand_ins["good"]).search(sets[0].queries, "dense", 100, sets[0].exclude)
    gold = run.join(sets[0].qrels, on=["query_id", "passage_id"])
    assert good["n"] == sets[0].queries.height and gold.height > 0
    assert found.costs["parameters"].null_count() == 2  # the stand-ins have no weights to count


def test_the_same_questions_give_the_same_quality(sets) -> None:
    config = AblationConfig(pairs=("a + b",), max_queries=10)
    one, other = (ablate(sets, config, lambda *_: (WordEncoder(), WordReranker()), quiet) for _ in range(2))
    assert one.quality.equals(other.quality)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pairs": ("builtin",)}, "'builtin' is not a pair; write RETRIEVER \\+ RERANKER"),
        ({"pairs": ("a + b", "a + b")}, "none twice"),
        ({"query_set": "train"}, "choose from valid, promotion, test"),
    ],
)
def test_what_cannot_be_compared_is_refused(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AblationConfig(**values)
    with pytest.raises(LexError, match="there is no question"):
        ablate([], AblationConfig(), lambda *_: (WordEncoder(), WordReranker()), quiet)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """What the command reads of a pipeline's store."""
    queries, qrels = made_up.queries(120)
    for asset, tables in {
        "split": {"queries": queries, "qrels": qrels},
        "corpus": {"passages": made_up.corpus()},
    }.items():
        folder = tmp_path / "tables" / asset / "v1"
        folder.mkdir(parents=True)
        (folder.parent / "CURRENT").write_text("v1")
        for name, table in tables.items():
            table.write_parquet(folder / f"{name}.parquet")
        assert published(folder.parent, next(iter(tables)))[0].is_file()
    return tmp_path


def test_on_the_command_line(store: Path, shipped, narrow, tmp_path: Path) -> None:
    text = SHIPPED.read_text("utf-8")
    for pair, tiny in zip(yaml.safe_load(text)["ops"]["model_ablation"]["config"]["pairs"], shipped, strict=True):
        text = text.replace(pair, tiny)
    config = tmp_path / "ablation.yaml"
    config.write_text(text.replace("max_queries: 200", "max_queries: 4"), "utf-8")
    options = ("ablation", "--store", store, "--domain", "law", "--config", config)
    printed = done(*options, "--json")
    facts = json.loads(printed)
    assert "Infinity" not in printed and "NaN" not in printed
    assert [row["system"] for row in facts["costs"]] == list(shipped)
    assert list(dict.fromkeys(row["pair"] for row in facts["quality"])) == ["bm25", *shipped], "as in the file"
    shown = done(*options, "--pair", shipped[1])
    assert shipped[1] in shown and shipped[0] not in shown and "| bm25 |" in shown
    assert "no model folder at nowhere" in refused(*options, "--pair", "nowhere + builtin")
    absent = refused(*options, "--pair", "kosimcse + builtin")
    assert "hf download BM-K/KoSimCSE-roberta-multitask --revision" in absent
    assert "BM-K/KoSimCSE-roberta-multitask=FOLDER" in absent and len(absent.strip().splitlines()) == 1
    config.write_text("pairs: []", "utf-8")
    assert "holds no ops.model_ablation.config" in refused(*options)
