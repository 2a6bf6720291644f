from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lex_assets.retrieval import analyzers, bigrams, kiwi, tokens
from lex_assets.retrieval.terms import Tokens, side_by_side
from lex_assets.retrieval.tokens import terms_of, tokens_of
from lex_assets.schemas import LexError

TEXTS = ["사용ㆍ수익 제53조의2 ① CD금리 A", "", "손해배상의 범위", "사용ㆍ수익 제53조의2 ① CD금리 A"]


def as_lists(found: Tokens) -> list[list[str]]:
    return [[found.vocabulary[i] for i in found.rows(np.array([n])).ids] for n in range(len(found))]


def test_bigrams_split_at_the_middle_dot_and_keep_numbers_and_single_characters_whole():
    first, empty, plain, again = terms_of(TEXTS, "bigram")
    assert first == ["사용", "수익", "제", "53", "조의", "2", "①", "cd", "금리", "a"] == again
    assert empty == []
    assert plain == ["손해", "해배", "배상", "상의", "범위"]


WORD = re.compile(r"[가-힣]+|[a-z]+|\d+|[一-鿿]+|[①-⓿]")


def bigrams_of(word: str) -> list[str]:
    if len(word) == 1 or word.isascii():
        return [word]
    return [word[n : n + 2] for n in range(len(word) - 1)]


LETTERS = st.sampled_from("가힣각ㄱㆍaZİ0９1٣①⓿一鿿漢 \n·,𝟘\U0010ffff\ud800")


@pytest.mark.parametrize("table", [bigrams.TABLE, 0])
@given(texts=st.lists(st.text(LETTERS | st.characters(), max_size=12)))
def test_bigrams_are_the_pairs_of_each_word(table, texts):
    expected = [[pair for word in WORD.findall(text.lower()) for pair in bigrams_of(word)] for text in texts]
    with patch.object(bigrams, "TABLE", table):
        assert terms_of(texts, "bigram") == expected


@given(st.lists(st.lists(st.sampled_from("가나다라"))), st.data())
def test_rows_are_the_texts_that_were_asked_for(texts, data):
    numbered = Tokens.number(texts)
    assert as_lists(numbered) == texts
    chosen = data.draw(st.lists(st.integers(0, len(texts) - 1))) if texts else []
    assert as_lists(numbered.rows(np.array(chosen, int))) == [texts[n] for n in chosen]


def test_joined_analyzers_stand_side_by_side_and_apart():
    one, two = Tokens.number([["가", "나"], []]), Tokens.number([["가"], ["다"]])
    assert as_lists(side_by_side([one, two])) == [["0:가", "0:나", "1:가"], ["1:다"]]


def test_kept_texts_are_not_cut_again(tmp_path, monkeypatch):
    assert as_lists(tokens_of(TEXTS, "bigram", tmp_path)) == terms_of(TEXTS, "bigram")
    cut, [own] = [], analyzers.analyzers("bigram")
    noted = replace(own, cut=lambda texts: cut.extend(texts) or own.cut(texts))
    monkeypatch.setattr(tokens, "analyzers", lambda name: [noted])
    more = ["새 글", *reversed(TEXTS)]
    assert as_lists(tokens_of(more, "bigram", tmp_path)) == terms_of(more, "bigram")
    assert cut[0] == "새 글" and "새 글" not in cut[1 : -len(more)], "terms_of cuts all, tokens_of only what is new"
    cut.clear()
    tokens_of(more, "bigram", tmp_path)
    assert cut == []


def test_another_version_of_the_analyzer_reads_no_old_terms(tmp_path, monkeypatch):
    tokens_of(TEXTS, "bigram", tmp_path)
    other = analyzers.Analyzer("bigram", "2", lambda texts: Tokens.number([text] for text in texts))
    monkeypatch.setattr(tokens, "analyzers", lambda name: [other])
    assert as_lists(tokens_of(["손해배상의 범위"], "bigram", tmp_path)) == [["손해배상의 범위"]]


def test_a_damaged_part_is_named(tmp_path):
    tokens_of(TEXTS, "bigram", tmp_path)
    [part] = tmp_path.rglob("*.npz")
    part.write_bytes(b"PK broken")
    with pytest.raises(LexError, match=f"{part} cannot be read"):
        tokens_of(TEXTS, "bigram", tmp_path)


def test_progress_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(tokens, "PART_TEXTS", 2)
    told = []
    tokens_of(TEXTS, "bigram", tmp_path, lambda *at: told.append(at))
    assert told == [("analyse bigram", 2, 3), ("analyse bigram", 3, 3)], "equal texts are cut once"


def test_unknown_analyzers_are_refused():
    with pytest.raises(LexError, match=r"analyzer 'nori' is not known; use one of bigram, kiwi, kiwi-legal"):
        terms_of(["가"], "bigram+nori")


def test_morphemes_leave_particles_out_and_the_legal_dictionary_keeps_terms_whole():
    pytest.importorskip("kiwipiepy", reason="extra kiwi is not installed")
    text = "특금법에 따라 소유권이전등기를 청구하는 자는 기판력을 주장할 수 없다."
    [legal] = kiwi.morphemes([text], legal=True)
    assert {"소유권이전등기", "특금법", "기판력", "청구"} <= set(legal)
    assert not {"에", "를", "는", "을"} & set(legal)
    assert kiwi.version(True) != kiwi.version(False)
    [joined] = terms_of([text], "bigram+kiwi-legal")
    assert len(joined) == len(terms_of([text], "bigram")[0]) + len(legal)


def test_a_missing_kiwi_is_said_with_the_command(monkeypatch):
    def missing(name):
        raise kiwi.PackageNotFoundError(name)

    monkeypatch.setattr(kiwi, "installed", missing)
    with pytest.raises(LexError, match=r"pip install 'lex_assets\[kiwi\]'"):
        kiwi.version(False)


def test_another_process_that_cuts_the_same_texts_in_another_order_does_no_harm(tmp_path, monkeypatch):
    write = tokens._write

    def twice(folder, texts, cut):
        path = write(folder, texts, cut)
        assert write(folder, texts[::-1], cut.rows(np.arange(len(texts))[::-1])) == path
        return path

    monkeypatch.setattr(tokens, "_write", twice)
    assert as_lists(tokens_of(TEXTS, "bigram", tmp_path)) == terms_of(TEXTS, "bigram")


def test_what_is_known_is_read_from_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    tokens_of(TEXTS, "bigram", tmp_path)
    monkeypatch.setattr(tempfile, "TemporaryFile", None)  # no file may be made
    assert as_lists(tokens_of(TEXTS[::-1], "bigram", tmp_path)) == terms_of(TEXTS[::-1], "bigram")
