"""Every page is in order by itself: links lead somewhere, examples can be read, commands exist."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.architecture import tree
from tests.docs import pages
from tests.shared import ROOT

PAGES = tree.files("*.md")


def broken_links(page: Path, text: str) -> list[str]:
    """The relative links of a page that lead nowhere, a fragment without its heading included."""
    found = []
    for link in pages.links(text):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, fragment = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (fragment and fragment not in pages.anchors(target.read_text(encoding="utf-8"))):
            found.append(link)
    return found


def unreadable_code(text: str) -> list[str]:
    """The pieces of YAML, JSON and Python that can't be read, with their line."""
    found = []
    for piece in pages.code(text):
        try:
            if piece.language in ("yaml", "yml"):
                yaml.safe_load(piece.text)
            elif piece.language == "json":
                json.loads(piece.text)
            elif piece.language in ("python", "py"):
                ast.parse(piece.text)
        except (yaml.YAMLError, ValueError, SyntaxError) as error:
            found.append(f"line {piece.line}: {error}")
    return found


def make_targets(text: str) -> list[str]:
    """The targets that a page's shell commands make."""
    shell = "\n".join(piece.text for piece in pages.code(text) if piece.language in ("sh", "bash"))
    return re.findall(r"^make ([a-z-]+)", shell, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=tree.name)
def test_links_lead_somewhere_and_examples_can_be_read(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert broken_links(page, text) == []
    assert unreadable_code(text) == []


def test_all_pages_are_found() -> None:
    names = {tree.name(page) for page in PAGES}
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "adapters/README.md", "schemas/README.md"} <= names


def test_every_page_of_docs_can_be_reached_from_its_index() -> None:
    seen, waiting = set[Path](), [ROOT / "docs" / "index.md", ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        for link in pages.links(page.read_text(encoding="utf-8")):
            target = (page.parent / link.partition("#")[0]).resolve()
            waiting.append(target / "README.md" if target.is_dir() else target)
    assert [tree.name(page) for page in PAGES if page not in seen and page.is_relative_to(ROOT / "docs")] == []


def test_the_readmes_two_commands_exist() -> None:
    targets = make_targets((ROOT / "README.md").read_text(encoding="utf-8"))
    assert {"demo", "test"} <= set(targets)
    for target in targets:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = "# `One` title\n[a](page.md) [b](gone.md) ![c](gone.png) [d](#one-title) [e](#gone) [f](mailto:a@b.example)"
    page.write_text(text, encoding="utf-8")
    assert broken_links(page, text) == ["gone.md", "gone.png", "#gone"]


def test_an_example_that_can_not_be_read_is_found() -> None:
    text = "```json\n{,}\n```\n```yaml\na: [\n```\n```python\ndef\n```\n```json\n{}\n```\n"
    assert [one.partition(":")[0] for one in unreadable_code(text)] == ["line 2", "line 5", "line 8"]
