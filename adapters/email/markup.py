"""HTML mail as lines of plain text, for reading and for finding what is quoted in it.

Tags are dropped and not cleaned, as nothing of them is kept. This reads tags one by one and builds no tree: a tree
takes minutes for a megabyte of nested ``<div>``, and a mail can hold 25 of them.
"""

from __future__ import annotations

import re
from html import unescape

RULE = "_" * 32

_BLOCKS = frozenset(
    {"blockquote", "div", "h1", "h2", "h3", "h4", "h5", "h6", "li", "ol", "p", "pre", "table", "tr", "ul"}
)
# An unclosed comment or script ends with the mail, as in a browser. Each step is bounded, so that no tag is read twice.
_TOKEN = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(?:script|style|title)\b.*?(?:</(?:script|style|title)\s*>|\Z)"
    r"|<(?P<end>/?)(?P<tag>[a-z][a-z0-9:-]{0,30})"
    r"(?:[\s/](?:[^<>\"']++|\"[^\"]{0,2000}+\"|'[^']{0,2000}+'){0,50}+|\s*)>"
    r"|<[!?/][^<>]*>"
    r"|(?P<text>[^<]+|<)",
    re.IGNORECASE | re.DOTALL,
)


def lines(html: str) -> str:
    """The text of a page, a line for each block; what stands in a ``<blockquote>`` is marked with ``>``."""
    done: list[str] = []
    line: list[str] = []
    depth = 0

    def end() -> None:
        text = re.sub(r"[ \t\r\n\f]+", " ", unescape("".join(line))).strip(" ")
        done.append(("> " * min(depth, 9) + text).rstrip() if text else "")
        line.clear()

    for token in _TOKEN.finditer(html):
        tag = (token["tag"] or "").lower()
        if token["text"]:
            line.append(token["text"])
        elif tag == "br" or (tag in _BLOCKS and "".join(line).strip()):
            end()
        if tag == "blockquote":
            depth = max(0, depth - 1) if token["end"] else depth + 1
        if (tag in ("p", "blockquote") and token["end"]) or tag == "hr":
            done += [RULE, ""] if tag == "hr" else [""]
    end()
    return "\n".join(done)
