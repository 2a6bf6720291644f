"""A language model of our own that writes about what it is shown, for tests of the generator, the judge and the asset."""

from __future__ import annotations

import json
import re
import zlib
from typing import Any

from lex_assets.schemas import PASSAGES
from lex_assets_tests.llm.server import Answer, Behaviour, Broken, Status, error

NOUNS = (
    "예금",
    "대출",
    "보험",
    "증권",
    "신탁",
    "보증",
    "어음",
    "수표",
    "외환",
    "카드",
    "펀드",
    "연금",
    "채권",
    "담보",
    "환매",
)
ACTS = (
    "해지",
    "양도",
    "갱신",
    "취소",
    "등록",
    "신고",
    "공시",
    "인출",
    "상환",
    "정정",
    "보관",
    "열람",
    "이전",
    "분할",
    "지정",
)
_DOCUMENT = re.compile(r"<문서>\n(.*?)\n</문서>", re.DOTALL)


def subject(number: int) -> str:
    """A subject that no other number below 3,375 has."""
    return f"{NOUNS[number % 15]} {ACTS[number // 15 % 15]} {NOUNS[number // 225 % 15]}"


def passage(number: int, text: str = "", **values: str) -> dict[str, str]:
    """A PASSAGES row about `subject(number)`."""
    row = dict.fromkeys(PASSAGES.names, "") | {
        "passage_id": f"LAW_{number}_제1조_①",
        "doc_id": f"LAW_{number}",
        "parent_id": f"LAW_{number}_제1조",
        "domain": "finance",
        "source_type": "law",
        "family": f"금융업무법{number}",
        "context": f"금융업무법 > 제1조({subject(number)})",
        "text": text or f"① 은행은 {subject(number)} 업무를 {number}일 이내에 마치고 그 결과를 고객에게 알려야 한다.",
        "unit": "항",
        "equivalence_id": f"LAW_{number}_제1조_①",
    }
    return row | values


def user(body: dict[str, Any]) -> str:
    return next(message["content"] for message in body["messages"] if message["role"] == "user")


def documents(body: dict[str, Any]) -> list[str]:
    """The documents that a request shows."""
    return _DOCUMENT.findall(user(body))


def question(text: str, evidence: list[str], kind: str = "fact", **values: Any) -> dict[str, Any]:
    made = {
        "kind": kind,
        "difficulty": "medium",
        "question": text,
        "answer": "그 기한 안에 알려야 한다.",
        "evidence": evidence,
    }
    return made | values


def written(*questions: dict[str, Any]) -> Answer:
    return Answer(json.dumps({"questions": list(questions)}, ensure_ascii=False), usage=(800, 120))


def writes(body: dict[str, Any]) -> Answer:
    """Good questions about each document that is shown: one about two, three about one."""
    shown = documents(body)
    about = [re.sub(r"업무를.*", "", text.split("은행은 ")[-1]).strip() for text in shown]
    if len(shown) == 2:
        return written(question(f"{about[0]}과 {about[1]}은 어떻게 다른가요?", [t[:30] for t in shown], "comparison"))
    return written(
        question(f"{about[0]} 처리 결과는 고객이 언제 받아 보나요?", [shown[0][:30]]),
        question(f"{about[0]} 맡기면 며칠이나 걸리는지 궁금해요", [shown[0][-30:]], "layman"),
        question(f"{about[0]} 처리 기한", [shown[0][:30]], "keyword"),
    )


def chance(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return zlib.crc32(text.encode()) % 10_000 / 10_000


class Faulty:
    """`writes`, with a fault for a share of the requests: which one depends on the passage and on how often it was asked."""

    FAULTS: tuple[Behaviour, ...] = (
        error(429, "slow down", Retry_After="3"),
        error(500, "internal"),
        Broken("drop"),
        Broken("cut"),
        Status(200, b"<html>maintenance</html>"),
        Answer("질문을 만들 수 없었습니다."),
        Answer('{"questions": [{"kind": "poem"}]}'),
        Answer('{"questions": [{"kind": "fact", "quest', "length"),
    )
    SLOW_SHARE = 0.005

    def __init__(self, share: float) -> None:
        self.share, self.asked = share, dict[str, int]()

    def __call__(self, body: dict[str, Any]) -> Behaviour:
        about = documents(body)[0]
        self.asked[about] = times = self.asked.get(about, 0) + 1
        if chance(f"slow {about} {times}") < self.SLOW_SHARE:
            return Broken("slow")
        if chance(f"{about} {times}") < self.share:
            return self.FAULTS[int(chance(f"which {about} {times}") * len(self.FAULTS))]
        return writes(body)
