"""Markdown pages as what can be checked of them: links, headings and pieces of code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

_HTML = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Code:
    """A fenced piece of code; ``line``: the number of its first line in the page, from 1."""

    language: str
    text: str
    line: int


def _tokens(text: str) -> Iterator[Token]:
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        yield token
        yield from token.children or ()


def links(text: str) -> list[str]:
    """Where a page's links and images lead."""
    found = (token.attrs.get("href") or token.attrs.get("src") for token in _tokens(text))
    return [str(target) for target in found if target]


def anchors(text: str) -> set[str]:
    """The fragments that headings can be linked by, as code hosts make them."""
    tokens = list(_tokens(_HTML.sub("", text)))
    titles = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def code(text: str) -> list[Code]:
    """The fenced pieces of code."""
    return [
        Code(token.info.strip(), token.content, (token.map or [0])[0] + 2)
        for token in _tokens(text)
        if token.type == "fence"
    ]


def spans(text: str) -> list[str]:
    """What stands in backquotes in the running text."""
    return [token.content for token in _tokens(text) if token.type == "code_inline"]


def section(text: str, title: str) -> str:
    """What stands under the heading ``title``, up to the next of its rank or above. Raises ``KeyError``."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,6}} |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise KeyError(f"no heading {title!r}")
    rank = len(found[1])
    rest = text[found.start() :].split("\n", 1)[1]
    end = re.search(rf"^#{{1,{rank}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest
