"""Annexes are cut between rows, items and sentences; no line is lost and every piece of a table has its header."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lex_assets.passages.annex import annex_pieces

HEADER = "위반행위 | 근거 법조문 | 과태료"
ROWS = [
    f"{mark}. 보관 사실을 알리지 않은 경우 | 법 제{number}조 | {number}00만원"
    for number, mark in enumerate("가나다라마바사", 1)
]


def test_a_table_that_goes_on_repeats_its_header() -> None:
    first, second, *_ = annex_pieces("\n".join(["과태료 부과기준", HEADER, *ROWS]), 110)
    assert first.startswith(f"과태료 부과기준\n{HEADER}\n{ROWS[0]}")
    assert second.startswith(f"{HEADER}\n다. ")


def test_a_header_of_two_rows_is_repeated_whole() -> None:
    rows = [f"{row} | 200만원 | 300만원" for row in ROWS]
    pieces = annex_pieces("\n".join([HEADER, "1차 위반 | 2차 위반 | 3차 이상 위반", *rows]), 160)
    assert len(pieces) > 2
    assert all(piece.startswith(f"{HEADER}\n1차 위반 | 2차 위반 | 3차 이상 위반\n") for piece in pieces)


def test_a_deleted_item_between_rows_does_not_end_the_table() -> None:
    pieces = annex_pieces("\n".join([HEADER, *ROWS[:3], "라. 삭제", "마. 삭제", *ROWS[5:]]), 100)
    assert all(piece.startswith(HEADER) or piece.startswith("라. 삭제") for piece in pieces)
    assert pieces[-1].startswith(HEADER)


def test_a_row_longer_than_the_limit_keeps_its_header_in_every_part() -> None:
    long = (
        "가. " + ", ".join(f"제{number}호의 서류를 갖추지 못한 경우" for number in range(1, 20)) + " | 법 제1조 | 1만원"
    )
    pieces = annex_pieces("\n".join([HEADER, long]), 150)
    assert len(pieces) > 2 and all(piece.startswith(f"{HEADER}\n") and len(piece) <= 150 for piece in pieces)


def test_wrapped_sentences_and_items_stay_whole() -> None:
    items = [f"{mark}. 거래상대방이 원하지 아니하는 상품을 구입하도록\n강제하는 행위" for mark in "가나다라"]
    pieces = annex_pieces("\n".join(items), 100)
    assert pieces == ["\n".join(items[:2]), "\n".join(items[2:])]


def test_a_title_goes_with_what_it_announces() -> None:
    text = "1. 일반기준\n" + "과태료는 위반의 정도를 고려하여 정한다. " * 2 + f"\n2. 개별기준\n{HEADER}\n{ROWS[0]}"
    first, second = annex_pieces(text, 100)
    assert first.endswith("정한다. ") and second.startswith("2. 개별기준\n위반행위")


_LINES = st.text(alphabet="가나1.) |", max_size=80) | st.sampled_from([HEADER, *ROWS, "2. 개별기준"])


@given(st.lists(_LINES, max_size=25), st.integers(40, 160))
def test_every_line_is_in_a_piece_within_the_limit(lines: list[str], limit: int) -> None:
    pieces = annex_pieces("\n".join(lines), limit)
    assert all(0 < len(piece) <= limit for piece in pieces)
    rest = "".join("".join(lines).split())
    for piece in pieces:
        rest = _without_repeats(rest, piece)
    assert rest == ""


def _without_repeats(rest: str, piece: str) -> str:
    """What is left of the annex behind `piece`, whose first lines may be headers said before."""
    below = piece.split("\n")
    for start in range(len(below)):
        new = "".join("".join(below[start:]).split())
        if new and rest.startswith(new):
            return rest[len(new) :]
    raise AssertionError((rest, piece))
