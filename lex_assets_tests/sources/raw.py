"""Small raw files in the real formats, invented contents."""

from __future__ import annotations

from typing import Any


def law(articles: list[dict[str, Any]], **parts: Any) -> dict[str, Any]:
    info = {
        "법령ID": "900001",
        "법령명_한글": "가상자산보관업법",
        "법령명약칭": "보관업법",
        "소관부처": {"content": "금융위원회", "소관부처코드": "1160100"},
        "법종구분": {"content": "법률", "법종구분코드": "A0002"},
        "시행일자": "20240101",
        "공포번호": "19999",
        "공포일자": "20230701",
        "전화번호": "02-123-4567",
        "연락부서": {"부서단위": {"부서명": "보관과", "부서연락처": "02-123-4567", "담당자": "김보관"}},
    }
    return {"법령": {"기본정보": info | parts.pop("info", {}), "조문": {"조문단위": articles}, **parts}}


def article(number: str, text: str, title: str = "", branch: str = "", **more: Any) -> dict[str, Any]:
    head = f"제{number}조" + (f"의{branch}" if branch else "") + (f"({title})" if title else "")
    values = {
        "조문번호": number,
        "조문여부": "조문",
        "조문제목": title,
        "조문시행일자": "20240101",
        "조문내용": f"{head} {text}".strip(),
    }
    return values | ({"조문가지번호": branch} if branch else {}) | more


def heading(number: str, content: Any) -> dict[str, Any]:
    return {"조문번호": number, "조문여부": "전문", "조문내용": content, "조문제목": ""}


def paragraph(mark: str, text: str, items: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"항번호": mark, "항내용": f"{mark} {text}"} | ({"호": items} if items else {})


def item(number: str, text: Any, below: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    content = f"{number}  {text}" if isinstance(text, str) else text
    return {"호번호": number, "호내용": content} | ({"목": below} if below else {})


def subitem(number: str, text: Any) -> dict[str, Any]:
    return {"목번호": number, "목내용": f"{number}  {text}" if isinstance(text, str) else text}


def rule(articles: Any, **parts: Any) -> dict[str, Any]:
    info = {
        "행정규칙일련번호": "9100000000001",
        "행정규칙명": "보관업 감독규정",
        "소관부처명": "금융위원회",
        "시행일자": "20240201",
        "발령번호": "2024-1",
        "담당부서기관명": "보관정책과(홍길동)",
        "담당자명": "홍길동",
        "전화번호": "02-999-8888",
    }
    return {"AdmRulService": {"행정규칙기본정보": info, "조문내용": articles, **parts}}


def decision(**fields: str) -> dict[str, Any]:
    values = {
        "판례일련번호": "700001",
        "사건명": "보관료",
        "사건번호": "2020다1234",
        "법원명": "대법원",
        "사건유형": "",
        "판결유형": "판결",
        "선고일자": "20210304",
        "판시사항": "",
        "판결요지": "",
        "판결본문": "",
        "참조조문": "",
        "참조판례": "",
    }
    return values | fields


def mrc(*contexts: dict[str, Any]) -> dict[str, Any]:
    return {"data": [{"doc_id": "d1", "doc_title": "예금 안내", "paragraphs": list(contexts)}]}
