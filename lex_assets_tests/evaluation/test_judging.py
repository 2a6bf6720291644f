"""A sheet for people: blind, complete, the same every time; and what comes back from a spreadsheet."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest

from lex_assets.evaluation.judging import agreements, pooled, read_sheet, settle, sheet, write_sheet
from lex_assets.evaluation.refusals import EvaluationError
from lex_assets.evaluation.trec import read_qrels
from lex_assets_tests.commands import done, invoke, refused
from lex_assets_tests.evaluation import made_up

Grades = dict[tuple[str, str], str]


@pytest.fixture(scope="module")
def tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    """(run of seven systems, test queries)."""
    asked, qrels = made_up.queries(60)
    test = asked.filter(pl.col("set") == "test")
    return made_up.runs(asked, qrels).join(test, on="query_id", how="semi"), test


def filled(path: Path, rows: pl.DataFrame, grade: dict[int, str] | str) -> Path:
    """`rows` as a judge's file: one grade for all, or by row number."""
    given = [grade if isinstance(grade, str) else grade.get(n, "") for n in range(rows.height)]
    write_sheet(rows.with_columns(grade=pl.Series(given)), path)
    return path


def test_the_pool_is_the_best_of_every_system(tables) -> None:
    run, asked = tables
    rows = sheet(pooled(run, 10), asked, made_up.corpus())
    expected = {(row["query_id"], row["passage_id"]) for row in run.filter(pl.col("rank") <= 10).iter_rows(named=True)}
    assert set(rows.select("query_id", "passage_id").iter_rows()) == expected
    assert len(rows) == len(expected)


def test_a_sheet_is_blind_shuffled_and_the_same_every_time(tables, tmp_path: Path) -> None:
    run, asked = tables
    rows = sheet(pooled(run), asked, made_up.corpus(), seed=3)
    write_sheet(rows, tmp_path / "sheet.csv")
    text = (tmp_path / "sheet.csv").read_text("utf-8-sig")
    assert not any(system in text for system in run["system"].unique())
    places = rows.join(run.filter(pl.col("system") == "bm25"), on=["query_id", "passage_id"], maintain_order="left")
    first = places.group_by("query_id", maintain_order=True).first()
    assert first["rank"].mean() > 2  # the best passage of a system does not stand at the top
    assert sheet(pooled(run.sample(fraction=1, shuffle=True, seed=1)), asked, made_up.corpus(), seed=3).equals(rows)
    assert not sheet(pooled(run), asked, made_up.corpus(), seed=4).equals(rows)
    few = sheet(pooled(run), asked, made_up.corpus(), max_queries=5, seed=3)
    assert few["query_id"].n_unique() == 5 and few.equals(rows.head(len(few)))


def test_a_spreadsheet_sees_text_and_not_formulas(tables, tmp_path: Path) -> None:
    run, asked = tables
    corpus = made_up.corpus().with_columns(text=pl.concat_str(pl.lit("=1+1 "), "text"))
    write_sheet(sheet(pooled(run), asked, corpus), tmp_path / "sheet.csv")
    with (tmp_path / "sheet.csv").open(encoding="utf-8-sig", newline="") as file:
        assert all(row["passage"].startswith("'=1+1") for row in csv.DictReader(file))


def test_grades_come_back_with_agreement(tables, tmp_path: Path) -> None:
    run, asked = tables
    rows = sheet(pooled(run), asked, made_up.corpus(), max_queries=2)
    half = {n: "2" if n < 10 else "0" for n in range(20)}
    judged = {
        "kim": read_sheet(filled(tmp_path / "kim.csv", rows, half)),
        "lee": read_sheet(filled(tmp_path / "lee.csv", rows, half | {0: "1", 1: "0"})),
        "park": read_sheet(filled(tmp_path / "park.csv", rows, {30: "1"})),
    }
    kim_lee, kim_park, _ = agreements(judged)
    assert (kim_lee.pairs, kim_park.pairs, kim_park.kappa) == (20, 0, None)
    assert kim_lee.relevant == pytest.approx(0.9)  # 19 of 20 where 10 are due to chance
    assert kim_lee.kappa < kim_lee.weighted < 1
    found = settle(judged)
    assert found.disputed.height == 2 and set(found.disputed["note"]) == {"kim 2, lee 1", "kim 2, lee 0"}
    grades = dict(found.qrels.select(pl.concat_str("query_id", "passage_id"), "grade").iter_rows())
    first, second = (rows["query_id"][n] + rows["passage_id"][n] for n in (0, 1))
    assert (grades[first], grades[second]) == (1, 0)  # the lower of two


def test_a_settled_sheet_overrules_and_queries_without_an_answer_are_named(tables, tmp_path: Path) -> None:
    run, asked = tables
    rows = sheet(pooled(run), asked, made_up.corpus(), max_queries=2)
    none = dict.fromkeys(range(rows.height), "0")
    kim, lee = filled(tmp_path / "kim.csv", rows, none | {0: "2"}), filled(tmp_path / "lee.csv", rows, none)
    out = tmp_path / "human.qrels"
    assert "no label to write" in refused("judge", "import", kim, lee, "--out", out)
    decided = read_sheet(kim).filter(pl.col("grade") == 2)
    write_sheet(decided.with_columns(pl.col("grade").cast(pl.String)), tmp_path / "settled.csv")
    result = invoke("judge", "import", kim, lee, "--settled", tmp_path / "settled.csv", "--out", out)
    assert result.exit_code == 0, result.output
    assert rows["query_id"][-1] in result.stderr and "disputed" not in result.stderr
    labels = read_qrels(out)
    assert set(labels["query_id"]) == {rows["query_id"][0]} and labels["grade"].sum() == 2


def test_from_runs_to_labels_on_the_command_line(tables, tmp_path: Path) -> None:
    run, asked = tables
    run.filter(pl.col("system") == "bm25").write_parquet(tmp_path / "a.parquet")
    run.filter(pl.col("system") == "base_dense").write_parquet(tmp_path / "b.parquet")
    lines = asked.select(pl.struct(id="query_id", text="text").struct.json_encode()).to_series()
    (tmp_path / "queries.jsonl").write_text("\n".join(lines), encoding="utf-8")
    made_up.corpus().write_parquet(tmp_path / "corpus.parquet")
    options = ("--queries", tmp_path / "queries.jsonl", "--corpus", tmp_path, "--max-queries", "3")
    runs = ("--run", tmp_path / "a.parquet", "--run", tmp_path / "b.parquet")
    text = done("judge", "export", *runs, *options, "--out", tmp_path / "sheet.csv")
    assert "queries 3" in text and "systems 2" in text
    exported = (tmp_path / "sheet.csv").read_text("utf-8-sig")
    assert "give --store, or all of" in refused("judge", "export", *runs, "--out", tmp_path / "x.csv")
    assert "no row has a grade" in refused("judge", "import", tmp_path / "sheet.csv", "--out", tmp_path / "q")
    (tmp_path / "kim.csv").write_text(exported.replace(',"","",', ',"2","",'), "utf-8-sig")
    (tmp_path / "lee.csv").write_text(exported.replace(',"","",', ',"1","",'), "utf-8-sig")
    result = invoke("judge", "import", tmp_path / "kim.csv", tmp_path / "lee.csv", "--out", tmp_path / "human.qrels")
    assert result.exit_code == 0 and "kim × lee" in result.stdout and "disputed" in result.stderr
    assert (tmp_path / "human.qrels.disputed.csv").is_file()
    assert set(read_qrels(tmp_path / "human.qrels")["grade"]) == {1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"2"', '"3"', 1), "row 2: grade '3' is not one of 0, 1, 2"),
        (lambda text: text.replace("Q_PREC_", "Q_PREC_1.0E", 1), "row 2: the ids are not those that were exported"),
        (lambda text: text.replace("passage_id", "passage id", 1), "column passage_id is missing"),
        (lambda text: text + text.splitlines()[1], "is judged more than once"),
    ],
    ids=["grade", "ids rewritten", "column", "twice"],
)
def test_a_damaged_sheet_is_refused_with_its_row(tables, change, message: str, tmp_path: Path) -> None:
    run, asked = tables
    corpus = made_up.corpus().with_columns(text=pl.col("text").str.replace_all("\n", " "))
    path = filled(tmp_path / "kim.csv", sheet(pooled(run), asked, corpus, max_queries=1), "2")
    path.write_text(change(path.read_text("utf-8-sig")), "utf-8-sig")
    with pytest.raises(EvaluationError, match=message):
        read_sheet(path)


def test_a_sheet_saved_in_another_encoding_is_refused_with_the_remedy(tables, tmp_path: Path) -> None:
    run, asked = tables
    path = filled(tmp_path / "kim.csv", sheet(pooled(run), asked, made_up.corpus(), max_queries=1), "2")
    path.write_bytes(path.read_text("utf-8-sig").encode("cp949", "replace"))
    with pytest.raises(EvaluationError, match="save it as `CSV UTF-8`"):
        read_sheet(path)


def test_ids_of_other_queries_or_passages_are_refused(tables) -> None:
    run, asked = tables
    with pytest.raises(EvaluationError, match="is not among the queries"):
        sheet(pooled(run), asked.head(1), made_up.corpus())
    with pytest.raises(EvaluationError, match="is not in the corpus"):
        sheet(pooled(run), asked, made_up.corpus().head(3))
    with pytest.raises(EvaluationError, match="nothing to judge"):
        sheet(pooled(run.clear()), asked, made_up.corpus())
