"""Downloading from a real local server: nothing missed, nothing fetched twice, nothing lost by a kill, no key anywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lex_assets.cli import Source
from lex_assets.schemas import LexError
from lex_assets.sources.domains import DomainRules
from lex_assets.sources.download import Downloaded, Wanted, download
from lex_assets.sources.law_go_kr import TARGETS, LawApi, check_document, read_page
from lex_assets.sources.polite_http import PoliteClient, RefusedError, Secret, UnavailableError
from lex_assets.sources.read import ingest
from lex_assets_tests.commands import done, invoke, refused
from lex_assets_tests.sources import law_server
from lex_assets_tests.sources.law_server import KEY, Fault, LawServer, as_json, document, serving
from lex_assets_tests.sources.test_polite_http import FakeTime

DAY = "20260301"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LawServer]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("LAW_GO_KR_KEY", KEY)
    with serving(LawServer()) as running:
        yield running


def run(
    server: LawServer, out: Path, target: str = "precedent", day: str = DAY, key: str = KEY, **wanted: Any
) -> Downloaded:
    client = PoliteClient(server.url, Secret("OC", key), delay_s=0.5, clock=FakeTime().clock)
    return download(LawApi(client, TARGETS[target]), out, Wanted(**wanted), day=day)


def files(folder: Path) -> dict[str, bytes]:
    """Everything below `folder` except the lock, which is empty."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def documents(folder: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in folder.glob("*/*.json") if not path.name.startswith(".")}


def quarantine(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.rglob(".quarantine.jsonl")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def command(server: LawServer, out: Path, *options: Any, target: str = "precedent") -> list[Any]:
    return ["download", "--target", target, "--out", out, "--base-url", server.url, "--delay", 0, *options]


def test_the_command_knows_every_target() -> None:
    assert [target.value for target in Source] == list(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_every_page_and_every_document_arrives_as_it_was_sent(server: LawServer, tmp_path: Path, target: str) -> None:
    server.fill(target, 23)
    said = done(*command(server, tmp_path, target=target))
    sent = {row[TARGETS[target].name_field]: body for row, body in server.documents[target].values()}
    assert documents(tmp_path) == sent and len(sent) == 23
    assert "23" in said and TARGETS[target].label.split(" · ")[0] in said
    assert [request["page"] for request in server.asked("lawSearch.do")] == ["1", "2", "3"]
    assert len(server.asked("lawService.do")) == 23
    done(*command(server, tmp_path, target=target))
    assert len(server.asked("lawService.do")) == 23


@pytest.mark.parametrize("count", [1, 100, 101])
def test_a_single_row_and_full_pages(server: LawServer, tmp_path: Path, count: int) -> None:
    server.page_size = 100
    server.fill("precedent", count)
    assert run(server, tmp_path).fetched == count == len(documents(tmp_path))


def test_the_folder_is_ingested(server: LawServer, tmp_path: Path) -> None:
    for target in ("law", "admin_rule", "precedent"):
        server.fill(target, 12)
        run(server, tmp_path, target)
    server.add("precedent", 13, DAY, law_server.NO_SUCH)
    assert run(server, tmp_path).quarantined == 1
    read = ingest(tmp_path, DomainRules.load())
    assert read.quarantine.is_empty()
    assert read.documents.height == 36
    assert {"LAW_000007", "ADM_2100000007", "PREC_7"} <= set(read.documents["doc_id"])
    assert read.documents.filter(read.documents["doc_id"] == "PREC_7")["effective_date"][0] == "20200108"


def test_a_second_run_fetches_only_what_is_missing(server: LawServer, tmp_path: Path) -> None:
    server.fill("precedent", 20)
    run(server, tmp_path)
    whole = files(tmp_path)
    (tmp_path / "precedent" / "4.json").unlink()
    (tmp_path / "precedent" / "9.json").write_bytes(whole["precedent/9.json"][:40])
    (tmp_path / "precedent" / ".17.json.part").write_bytes(b"{")
    server.requests.clear()
    found = run(server, tmp_path)
    assert sorted(request["ID"] for request in server.asked("lawService.do")) == ["4", "9"]
    assert (found.fetched, found.already) == (2, 18)
    assert files(tmp_path) == whole


@pytest.mark.parametrize("target", ["law", "admin_rule"])
def test_a_new_version_replaces_the_file(server: LawServer, tmp_path: Path, target: str) -> None:
    server.fill(target, 3)
    run(server, tmp_path, target)
    new = document(target, 2, "20260102")
    if target == "admin_rule":
        new["AdmRulService"]["행정규칙기본정보"]["행정규칙일련번호"] = "2200000000001"
    body = server.add(target, 2, "20260102", new)
    row = server.documents[target]["2"][0]
    row["행정규칙일련번호"] = "2200000000001"
    server.requests.clear()
    assert run(server, tmp_path, target).fetched == 1
    assert len(documents(tmp_path)) == 3 and body in documents(tmp_path).values()
    assert len(server.asked("lawService.do")) == 1


def test_another_version_than_listed_is_said(server: LawServer, tmp_path: Path) -> None:
    server.fill("law", 2)
    server.add("law", 2, "20200103", document("law", 2, "20190101"))
    result = invoke(*command(server, tmp_path, target="law"))
    assert result.exit_code == 0 and "목록과 다른 판 1건" in result.stderr


def test_a_law_is_asked_for_by_version_and_day(server: LawServer, tmp_path: Path) -> None:
    server.add("law", 3, "20240105")
    run(server, tmp_path, "law")
    (asked,) = server.asked("lawService.do")
    assert (asked["target"], asked["MST"], asked["efYd"]) == ("eflaw", "93", "20240105")
    assert server.asked("lawSearch.do")[0]["nw"] == "3"


def test_since_last_asks_for_the_days_after_and_some_before(server: LawServer, tmp_path: Path) -> None:
    server.fill("precedent", 12)
    assert run(server, tmp_path, day="20260101").complete_to == "20260101"
    server.add("precedent", 30, "20251130")  # given before the last run, published after it
    server.add("precedent", 31, "20260215")
    server.requests.clear()
    found = run(server, tmp_path, since="last")
    assert server.asked("lawSearch.do")[0]["prncYd"] == "20250705~20260301"
    assert [request["ID"] for request in server.asked("lawService.do")] == ["30", "31"]
    assert (found.listed, found.fetched, found.complete_to) == (2, 2, DAY)


def test_days_bound_the_list(server: LawServer, tmp_path: Path) -> None:
    server.fill("precedent", 9, lambda number: f"202{number}0101")
    run(server, tmp_path, since="20220101", until="20250101")
    assert sorted(documents(tmp_path)) == ["2", "3", "4", "5"]


def test_a_gap_is_not_taken_for_complete(server: LawServer, tmp_path: Path) -> None:
    server.fill("precedent", 3)
    run(server, tmp_path, until="20210101")
    assert run(server, tmp_path, since="20230101").complete_to == ""
    run(server, tmp_path, since="last")
    assert server.asked("lawSearch.do")[-1]["prncYd"].startswith("20200705~")


def test_since_last_is_kept_per_query(server: LawServer, tmp_path: Path) -> None:
    server.fill("precedent", 11)
    assert run(server, tmp_path, query="보관 1").fetched == 3
    with pytest.raises(LexError, match="once without --since"):
        run(server, tmp_path, since="last")
    run(server, tmp_path, query="보관 1", since="last")


def test_a_limit_fetches_that_many_new_ones_and_goes_on(server: LawServer, tmp_path: Path) -> None:
    server.fill("precedent", 12)
    first = run(server, tmp_path, limit=5)
    assert (first.fetched, first.complete_to) == (5, "")
    assert run(server, tmp_path, limit=5).fetched == 5
    last = run(server, tmp_path, limit=5)
    assert (last.fetched, last.complete_to) == (2, DAY)


@pytest.mark.parametrize(
    "fault",
    [
        law_server.TOO_MANY,
        law_server.BROKEN,
        law_server.DROPPED,
        law_server.CUT_JSON,
        law_server.CUT_BODY,
        law_server.HTML,
        law_server.EMPTY,
        law_server.EMPTY_OBJECT,
        as_json({"result": "일시적인 오류입니다.", "msg": "잠시 후"}),
    ],
)
def test_passing_faults_leave_no_trace(server: LawServer, tmp_path: Path, fault: Fault) -> None:
    server.fill("precedent", 12)
    run(server, tmp_path / "calm")
    server.faults = {"list": [fault], "3": [fault, fault], "12": [fault]}
    run(server, tmp_path / "rough")
    assert files(tmp_path / "rough") == files(tmp_path / "calm")


def test_what_the_service_does_not_give_is_listed_and_not_asked_for_again(server: LawServer, tmp_path: Path) -> None:
    server.fill("precedent", 12)
    server.add("precedent", 5, DAY, law_server.NO_SUCH)
    server.add("precedent", 6, DAY, {"PrecService": {"사건명": "", "판시사항": [], "판결요지": None}})
    result = invoke(*command(server, tmp_path))
    assert result.exit_code == 0 and ".quarantine.jsonl" in result.stderr
    assert sorted(documents(tmp_path), key=int) == [str(n) for n in range(1, 13) if n not in (5, 6)]
    rows = {row["id"]: row for row in quarantine(tmp_path)}
    assert set(rows) == {"5", "6"}
    assert "일치하는 판례가 없습니다" in rows["5"]["reason"] and "본문 없음" in rows["6"]["reason"]
    before, asked = files(tmp_path), len(server.asked("lawService.do"))
    done(*command(server, tmp_path))
    assert len(server.asked("lawService.do")) == asked
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a/b"])
def test_a_row_without_a_usable_id_is_listed(server: LawServer, tmp_path: Path, name: str) -> None:
    server.fill("precedent", 4)
    server.documents["precedent"]["2"][0]["판례일련번호"] = name
    assert run(server, tmp_path).fetched == 3
    assert [row["title"] for row in quarantine(tmp_path)] == ["보관 2"]
    assert {path for path in files(tmp_path) if path.endswith(".json")} >= {"precedent/1.json", "precedent/3.json"}
    run(server, tmp_path)
    assert len(quarantine(tmp_path)) == 1


def test_a_document_that_fails_today_is_tried_again(server: LawServer, tmp_path: Path) -> None:
    server.fill("precedent", 12)
    run(server, tmp_path / "calm")
    server.faults = {"5": [Fault(500)] * 6}
    found = run(server, tmp_path / "rough")
    assert (found.failed, found.fetched, found.complete_to) == (("5",), 11, "")
    assert [(row["id"], row["retry"]) for row in quarantine(tmp_path / "rough")] == [("5", True)]
    assert run(server, tmp_path / "rough").complete_to == DAY
    rough, calm = files(tmp_path / "rough"), files(tmp_path / "calm")
    assert rough.pop("precedent/.quarantine.jsonl") == b""
    assert rough == calm


def test_a_service_that_is_down_ends_the_run_and_the_next_goes_on(server: LawServer, tmp_path: Path) -> None:
    server.fill("precedent", 12, lambda number: f"202001{number:02d}")
    server.faults = {str(number): [law_server.HTML] * 6 for number in range(4, 13)}
    with pytest.raises(UnavailableError, match=r"3 documents in a row.*서비스 점검 안내.*later"):
        run(server, tmp_path)
    assert sorted(documents(tmp_path)) == ["1", "2", "3"]
    assert len(server.asked("lawService.do")) == 3 + 3 * 6
    server.faults.clear()
    assert run(server, tmp_path).fetched == 9
    assert quarantine(tmp_path) == []


@pytest.mark.parametrize(
    "fault",
    [
        as_json(law_server.WRONG_KEY),
        Fault(body="<Response><result>사용자 정보 검증에 실패하였습니다.</result></Response>".encode()),
    ],
)
def test_a_refused_key_stops_at_once(server: LawServer, tmp_path: Path, fault: Fault) -> None:
    server.faults["list"] = [fault] * 9
    line = refused(*command(server, tmp_path))
    assert "LAW_GO_KR_KEY" in line and "open.law.go.kr" in line and "인증 거부" in line
    assert len(server.requests) == 1


def test_a_kind_that_was_not_applied_for_stops_at_once(server: LawServer, tmp_path: Path) -> None:
    server.faults["list"] = [Fault(body=law_server.NOT_APPLIED.encode())]
    line = refused(*command(server, tmp_path))
    assert "미신청" in line and "OPEN API 신청" in line
    assert len(server.requests) == 1


def test_one_version_that_the_service_cannot_find_does_not_stop_the_rest(server: LawServer, tmp_path: Path) -> None:
    server.fill("law", 5)
    server.faults["3"] = [Fault(body=law_server.NOT_APPLIED.encode())] * 6
    found = run(server, tmp_path, "law")
    assert (found.fetched, found.failed) == (4, ("000003",))


def test_without_a_key_nothing_is_asked(server: LawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAW_GO_KR_KEY", " ")
    line = refused(*command(server, tmp_path))
    assert "LAW_GO_KR_KEY" in line and "open.law.go.kr" in line
    assert not server.requests and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--since", "2024-01-01"), "YYYYMMDD"),
        (("--until", "20240231"), "YYYYMMDD"),
        (("--until", "last"), "YYYYMMDD"),
        (("--since", "20250101", "--until", "20240101"), "earlier"),
        (("--since", "last"), "without --since"),
    ],
)
def test_wrong_days_are_refused(server: LawServer, tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    assert words in refused(*command(server, tmp_path, *options))
    assert not server.requests


def test_an_empty_list_of_everything_is_a_fault(server: LawServer, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="empty"):
        run(server, tmp_path)
    assert run(server, tmp_path, since="20250101").listed == 0


def test_rows_that_move_between_pages_are_caught(server: LawServer, tmp_path: Path) -> None:
    server.fill("precedent", 30)
    to_move = [2]

    def moved(rows: list[dict[str, str]], page: int) -> list[dict[str, str]]:
        if page not in to_move:
            return rows
        to_move.remove(page)
        return [rows[0], *rows[:-1]]  # one row twice, another not at all

    server.rows = moved
    found = run(server, tmp_path)
    assert (found.fetched, found.missing, found.complete_to) == (30, 0, DAY)


def test_a_list_that_stays_short_is_said_and_not_recorded(server: LawServer, tmp_path: Path) -> None:
    server.fill("precedent", 30)
    server.rows = lambda rows, page: rows[:-1] if page == 3 else rows
    result = invoke(*command(server, tmp_path))
    assert result.exit_code == 0 and "1건 모자람" in result.stderr
    assert len(documents(tmp_path)) == 29
    assert not (tmp_path / "precedent" / ".state.json").exists()


def test_a_complete_list_names_what_was_repealed(server: LawServer, tmp_path: Path) -> None:
    server.fill("law", 5)
    run(server, tmp_path, "law")
    del server.documents["law"]["4"]
    assert run(server, tmp_path, "law", since="last").unlisted == ()
    assert run(server, tmp_path, "law").unlisted == ("000004",)
    assert len(documents(tmp_path)) == 5


def test_two_runs_do_not_share_a_folder(server: LawServer, tmp_path: Path) -> None:
    server.fill("precedent", 2)
    server.hold_at = "2"
    first = start(server, tmp_path)
    assert server.held.wait(30)
    assert "another download" in refused(*command(server, tmp_path))
    server.released.set()
    assert first.wait(30) == 0


def start(server: LawServer, out: Path, *options: Any) -> subprocess.Popen[str]:
    arguments = [str(argument) for argument in command(server, out, *options)]
    code = "from lex_assets.cli import app; app()"
    environment = os.environ | {"LAW_GO_KR_KEY": KEY, "no_proxy": "*"}
    return subprocess.Popen(
        [sys.executable, "-c", code, "-v", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_is_finished_by_the_next(server: LawServer, tmp_path: Path, stop: signal.Signals) -> None:
    server.fill("precedent", 25)
    for number in (4, 20):
        server.add("precedent", number, f"202001{number:02d}", law_server.NO_SUCH)
    days = ("--until", "20201231")
    done(*command(server, tmp_path / "whole", *days))
    server.hold_at = "17"
    killed = start(server, tmp_path / "killed", *days)
    assert server.held.wait(30)
    killed.send_signal(stop)
    _, said = killed.communicate(timeout=30)
    server.released.set()
    server.hold_at = ""
    if stop is signal.SIGINT:
        assert killed.returncode == 130 and "이어받습니다" in said
    there = len(documents(tmp_path / "killed"))
    assert 0 < there < 23
    server.requests.clear()
    done(*command(server, tmp_path / "killed", *days))
    assert len(server.asked("lawService.do")) < 25 - there + 1
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_a_torn_line_of_the_quarantine_is_dropped(server: LawServer, tmp_path: Path) -> None:
    server.fill("precedent", 5)
    server.add("precedent", 5, DAY, law_server.NO_SUCH)
    run(server, tmp_path)
    whole = files(tmp_path)
    path = tmp_path / "precedent" / ".quarantine.jsonl"
    path.write_bytes(path.read_bytes()[:30])
    run(server, tmp_path)
    assert files(tmp_path) == whole


def test_the_key_is_nowhere(server: LawServer, tmp_path: Path) -> None:
    link = f"/DRF/lawService.do?OC={KEY}&target=prec"
    server.fill("precedent", 6)
    echo = document("precedent", 3, "20200103")
    echo["PrecService"] |= {"링크": link, "요청": {"OC": KEY}, "다음": f"https://x/?url=%3FOC%3D{KEY}"}
    server.add("precedent", 3, "20200103", echo)
    server.add("precedent", 4, "20200104", {"Law": f"일치하는 판례가 없습니다. {link}"})
    server.faults = {"5": [as_json({"result": f"오류 {link}", "msg": KEY})] * 6, "6": [law_server.DROPPED, Fault(500)]}
    run(server, tmp_path / "out")
    process = start(server, tmp_path / "out")
    said = process.communicate(timeout=60)
    assert process.returncode == 0
    server.faults = {"list": [as_json({"result": link, "msg": KEY})] * 6}
    with pytest.raises(LexError) as caught:
        run(server, tmp_path / "out")
    kept = "".join(f"{name} {content.decode()}" for name, content in files(tmp_path).items())
    assert "링크" in kept and "일치하는" in kept
    assert KEY not in kept + "".join(said) + str(caught.value)
    assert json.loads(documents(tmp_path / "out")["3"])["PrecService"]["링크"] == "/DRF/lawService.do?OC=&target=prec"


def test_a_refused_key_is_not_said(server: LawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAW_GO_KR_KEY", "wrong-key-0815")
    result = invoke("-v", *command(server, tmp_path))
    assert result.exit_code == 1 and "wrong-key-0815" not in result.output + str(files(tmp_path))


def test_progress_says_how_long_it_will_take(server: LawServer, tmp_path: Path) -> None:
    server.fill("precedent", 12)
    lines = invoke(*command(server, tmp_path)).stderr.splitlines()
    assert "목록 · list 12/12 · 남은 시간 · time left 0:00:00" in lines
    assert "본문 · documents 12/12 · 남은 시간 · time left 0:00:00" in lines


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["PrecSearch", "prec", "totalCnt", "PrecService", "Law", "result", "x"]), inner
        )
    ),
    max_leaves=12,
)


@given(st.one_of(st.binary(), JSON.map(lambda value: json.dumps(value).encode())))
def test_any_answer_is_a_document_or_a_named_fault(body: bytes) -> None:
    for read in (read_page, check_document):
        try:
            read(TARGETS["precedent"], body)
        except LexError as error:
            assert str(error) and "\n" not in str(error)


def test_a_wrong_key_in_the_library_is_a_refused_error(server: LawServer, tmp_path: Path) -> None:
    with pytest.raises(RefusedError):
        run(server, tmp_path, key="no")
