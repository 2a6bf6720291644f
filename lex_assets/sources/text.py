"""Cleaning of source text: whitespace, amendment marks, and the form in which a unit says that it is deleted.

Searchable text keeps every word of the law: numerals, ㆍ (U+318D) and Hanja stay as they are, there is no Unicode
normalisation. Only editorial marks go: `<개정 2020.2.4>`, `[본조신설 2012.6.1]`, image tags.
"""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f\ufeff\u200b-\u200f]")
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&apos;": "'", "&nbsp;": " ", "&amp;": "&"}
_ENTITY = re.compile("|".join(_ENTITIES))
_TAG = re.compile(r"</?(?:img|br|p|div|span|b|u|strong|font|table|tbody|tr|td|th)\b[^<>]*>", re.IGNORECASE)

_OPEN, _CLOSE, _INNER = "[<＜〈]", "[>＞〉]", "[^<>＜＞〈〉]"
_DATE = r"\d{4}\s*[.ㆍ]"
_WORDS = (
    r"개정|신설|전문\s*개정|전부\s*개정|일부\s*개정|타법\s*개정|제목\s*개정|본\s*[조항호목장절관편]|단서|후단|전단|각\s*호|종전|시행일"
    r"|삭\s*제|제[^<>]{1,30}이동"
)
_MARK = re.compile(rf"{_OPEN}\s*(?:(?:{_WORDS}){_INNER}*|{_DATE}{_INNER}*){_CLOSE}")
# Bounded: without a limit, a run of 삭제 that never closes would cost quadratic time.
DELETION_MARK = re.compile(rf"{_OPEN}{_INNER}{{0,100}}?삭\s*제{_INNER}{{0,200}}{_CLOSE}")
_NOTE = re.compile(
    r"\[\s*(?:본\s*[조항호목장절관편]\s*신설|전문\s*개정|전부\s*개정|제목\s*개정|시행일|종전|제[^\[\]]{1,30}(?:에서|으?로)\s*이동)"
    r"[^\[\]]*\]"
    # `[시행일: 2016. 3. 12.] 제36조제1항` names what starts on that day, up to the end of the unit.
    r"(?:\s*제\d+조(?>(?:[제조항호목의ㆍ,및\s\d]|[가-하]목)*)(?=$|[①-⑳]))?"
)
_DATED = re.compile(rf"{_OPEN}?[(（]?\s*{_DATE}")
_TRAILING_DATE = re.compile(rf"\(\s*{_DATE}[^()]*\)\s*$")
_REFERENCE = r"[\s~∼,ㆍ·및]|내지|부터|까지|제?\d+(?:-\d+)?(?:의\d+)?[조항호목]?(?:의\d+)?\.?|[가-힣](?:의\d+)?\.|[①-⑳]"
_DELETED_BODY = re.compile(rf"(?>(?:{_REFERENCE}))*+(?:삭\s*제)?[\s.]*")


def tidy(text: str) -> str:
    """`text` with single spaces, no blank lines, no control characters; line breaks stay."""
    if _CONTROL.search(text):
        text = _CONTROL.sub("", text)
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def unescape(text: str) -> str:
    """The few HTML entities that occur in the sources, as characters."""
    return _ENTITY.sub(lambda match: _ENTITIES[match[0]], text) if "&" in text else text


def strip_tags(text: str) -> str:
    """`text` without HTML tags (`<br/>` becomes a line break, `<img …>` goes); `<별표 1>` is no tag and stays."""
    if "<" not in text:
        return text
    return _TAG.sub(lambda match: "\n" if match[0].lower().startswith(("<br", "</p", "</tr", "</div")) else "", text)


def strip_marks(text: str) -> str:
    """`text` without amendment marks and editorial notes; `<별표 1>` and `[별지 제1호]` stay."""
    if "<" in text or "＜" in text or "〈" in text:
        text = _MARK.sub("", text)
    return _NOTE.sub("", text) if "[" in text else text


def clean(text: str) -> str:
    """Searchable text of a unit: entities, tags, marks and superfluous space removed."""
    return tidy(strip_marks(strip_tags(unescape(text))))


def is_deleted(body: str, dated: bool = True) -> bool:
    """Whether a unit's text, number and title removed, only says that the unit was deleted.

    The word alone proves nothing (`삭제를 요구할 권리`, or an item that reads `삭제`): statutes write `삭제 <date>`.
    Some rules leave the date off; `dated=False` accepts that.
    """
    if "삭" not in body:
        return False
    rest = _TRAILING_DATE.sub("", strip_marks(body).strip())
    marked = DELETION_MARK.search(body) is not None
    if len(rest) > 80 or not _DELETED_BODY.fullmatch(rest) or not (marked or "삭" in rest):
        return False
    return not dated or marked or _DATED.search(body) is not None
