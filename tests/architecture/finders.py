"""What breaks a rule of the house, found in a file's text. Each finder returns a line per find, empty if there is none.

They see what stands in one file, by its syntax: no finder follows values, so a rule can be got around by who wants to.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 450
_HEAPS = frozenset({"util", "utils", "helper", "helpers", "common", "base", "misc", "manager", "managers", "processor"})
_HEAP_CLASS = re.compile(r"(?:Manager|Processor|Helper|Helpers|Utils|Mixin)$")
_IMPURE = frozenset(
    {
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.datetime.today",
        "datetime.date.today",
        "time.time",
        "time.time_ns",
        "uuid.uuid1",
        "uuid.uuid4",
        "os.environ",
        "os.environb",
        "os.getenv",
        "os.urandom",
        "random",
        "secrets",
    }
)
_SQL = re.compile(
    r"\s*(?:--.*\n\s*)*(?:SELECT\s.+?\sFROM\s|SELECT\s+\w+\(|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|"
    r"(?:CREATE|ALTER|DROP)\s+(?:UNIQUE\s+)?(?:TABLE|INDEX|DATABASE|TYPE|VIEW|SCHEMA|ROLE)\s|WITH\s+\w+\s+AS\s*\()",
    re.IGNORECASE | re.DOTALL,
)
# Written in two halves, so that this file is not found itself.
_REGISTRIES = tuple(
    "".join(halves)
    for halves in (
        ("pypi.", "org"),
        ("python", "hosted.org"),
        ("registry.", "npmjs"),
        ("registry.", "yarnpkg"),
        ("repo1.", "maven"),
        ("repo.", "maven.apache"),
        ("proxy.", "golang"),
        ("static.", "crates.io"),
        ("index.", "crates.io"),
        ("deb.", "debian.org"),
        ("artifact", "ory"),
    )
)
_INDEX = re.compile(r"--(?:extra-)?index-url[= ]+\S*://|<repositor(?:y|ies)>|^\s*index-url\s*=", re.IGNORECASE)
_MACHINE = re.compile(r"(?<![\w.$}{/-])(?:/(?:work|root|Users|mnt)/\w|/home/(?!hub\b)\w|/tmp/\w+/|[A-Z]:\\Users)")
_SECRET = re.compile(r"-----BEGIN (?:\w+ )*PRIVATE KEY-----|\b(?:ghp|xoxb|AKIA)[A-Za-z0-9_-]{16,}")
_LABELS = frozenset({"customer", "ticket", "person", "contact", "contact_point", "event", "conversation", "id", "user"})


def _at(node: ast.stmt | ast.expr | ast.excepthandler, what: str) -> str:
    return f"line {node.lineno}: {what}"


def too_long(text: str) -> list[str]:
    """Whether the file has more lines than one reads at a time."""
    count = len(text.splitlines())
    return [f"{count} lines; at most {LONGEST}: split it by subject"] if count > LONGEST else []


def heaps(path: str, text: str) -> list[str]:
    """Names that say nothing: of the file, of its folders, and of classes in it."""
    words = path.removesuffix(".py").split("/")
    found = [f"the name {word!r} says nothing of what is in it" for word in words if word in _HEAPS]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and _HEAP_CLASS.search(node.name):
            found.append(_at(node, f"class {node.name}: say what it is"))
    return found


def impure(text: str) -> list[str]:
    """Where the clock, chance or the environment is asked, under whatever name it was imported."""
    tree = ast.parse(text)
    names: dict[str, str] = {}
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.asname or each.name.split(".")[0]: each.name for each in node.names if each.asname}
            names |= {each.name.split(".")[0]: each.name.split(".")[0] for each in node.names if not each.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            full = _dotted(node, names)
            if full in _IMPURE or full.startswith(("random.", "secrets.")):
                found.append(_at(node, f"{full}: pass it in"))
    return found


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    """The whole name that an expression stands for, by the file's imports; empty for what is no name."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value, names)
        return f"{before}.{node.attr}" if before else ""
    return ""


def unexplained(text: str) -> list[str]:
    """Where everything is caught without a comment that says why. To clean up and raise again needs none."""
    comments = {
        token.start[0]
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT and not re.match(r"#\s*(?:noqa|type:|pragma)", token.string)
    }
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler) and _catches_all(node.type):
            last = node.body[-1]
            again = isinstance(last, ast.Raise) and last.exc is None
            if not again and not comments & set(range(node.lineno, node.body[0].lineno + 1)):
                found.append(_at(node, "say in a comment why everything is caught"))
    return found


def _catches_all(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(_catches_all(each) for each in caught.elts)
    return caught is None or (isinstance(caught, ast.Name) and caught.id in ("Exception", "BaseException"))


def sql(text: str) -> list[str]:
    """SQL statements in strings; docstrings don't count."""
    tree = ast.parse(text)
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        _at(node, "SQL belongs in a .sql file beside its store")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in docs and _SQL.match(_words(node))
    ]


def _words(node: ast.expr) -> str:
    """A string's text, with a word in place of each value that is put in; empty for what is no string."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_words(part) if isinstance(part, ast.Constant) else "value" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def asynchronous(text: str) -> list[str]:
    """Coroutines and what waits for them."""
    kinds = (ast.AsyncFunctionDef, ast.AsyncWith, ast.AsyncFor, ast.Await)
    return [_at(node, "rules are synchronous") for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]


def imported(text: str) -> set[str]:
    """The modules a file imports, by their whole names."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module)
    return found


def untestlike(text: str) -> list[str]:
    """In a test: mocks, and sleeping instead of waiting for what is to happen."""
    found = [f"{name} is imported: write a fake" for name in sorted(imported(text)) if name.startswith("unittest.mock")]
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="time"), attr="sleep")):
                found.append(_at(node, "wait for what is to happen, or move the time"))
    return found


def _lines(text: str, wrong: re.Pattern[str]) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if match := wrong.search(line):
            yield f"line {number}: {match[0]}"


def addresses(text: str) -> list[str]:
    """Addresses of package registries, which are each machine's own configuration."""
    named = re.compile("|".join(map(re.escape, _REGISTRIES)))
    return [*_lines(text, named), *_lines(text, _INDEX)]


def machine_paths(text: str) -> list[str]:
    """Paths that exist on one machine only."""
    return list(_lines(text, _MACHINE))


def secrets_in(text: str) -> list[str]:
    """Private keys and tokens of well-known services."""
    return list(_lines(text, _SECRET))


@dataclass(frozen=True, slots=True)
class Ignore:
    """A comment that silences a checker; ``why`` is empty where it gives no reason."""

    line: int
    what: str
    why: str


def ignores(text: str) -> list[Ignore]:
    """Every comment that silences a checker. Its reason stands after the codes, or in a comment on the line before."""
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type == tokenize.COMMENT]
    comments = {token.start[0]: token.string for token in tokens}
    alone = {token.start[0] for token in tokens if token.line.lstrip().startswith("#")}
    found = []
    for line, comment in comments.items():
        match = re.match(r"#\s*(noqa|type:\s*ignore|fmt:\s*(?:skip|off))(?::\s*[A-Z0-9, ]+|\[[\w, -]+\])?(.*)", comment)
        if match and not match[1].startswith("fmt"):
            before = comments[line - 1] if line - 1 in alone else ""
            found.append(Ignore(line, match[1], match[2].strip(" -#") or before.strip("# ")))
    return found


def telling_labels(labels: tuple[str, ...]) -> set[str]:
    """The labels of a metric that would name somebody or something without end."""
    return set(labels) & _LABELS
