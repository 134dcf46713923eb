"""Each finder finds what it is for, and leaves alone what only looks like it."""

from __future__ import annotations

import pytest

from tests.architecture import finders

BAD_NAMES = [
    ("runtime/utils.py", ""),
    ("hub/common/x.py", ""),
    ("hub/x.py", "class TopicManager: ..."),
    ("hub/x.py", "class MailProcessor: ..."),
]


@pytest.mark.parametrize(("path", "text"), BAD_NAMES)
def test_a_heap_is_found(path: str, text: str) -> None:
    assert finders.heaps(path, text)


def test_a_name_that_says_something_is_none() -> None:
    assert finders.heaps("domain/baseline.py", "class Commons: ...\nclass ContextManagement: ...") == []


@pytest.mark.parametrize(
    "text",
    [
        "from datetime import datetime\ndatetime.now()",
        "import datetime\ndatetime.datetime.utcnow()",
        "import datetime as d\nd.date.today()",
        "from datetime import date as day\nday.today()",
        "import time\ntime.time()",
        "from time import time_ns\ntime_ns()",
        "from uuid import uuid4 as new\nnew()",
        "import uuid\nx = uuid.uuid4",
        "import os\nos.environ['A']",
        "from os import environ\nenviron.get('A')",
        "import os\nos.getenv('A')",
        "import random\nrandom.random()",
        "from random import choice\nchoice([1])",
        "import secrets\nsecrets.token_hex()",
    ],
)
def test_asking_the_clock_chance_or_the_environment_is_found(text: str) -> None:
    assert finders.impure(text)


def test_a_clock_that_was_passed_in_is_no_such_thing() -> None:
    text = "import time, uuid, os\ndef f(clock, random): clock.now(), random(), time.monotonic(), uuid.uuid5(a), os.sep"
    assert finders.impure(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "try: f()\nexcept Exception:\n    g()",
        "try: f()\nexcept:\n    g()",
        "try: f()\nexcept (ValueError, BaseException) as error:\n    g()",
        "try: f()\nexcept Exception:  # noqa: BLE001\n    g()",
        "try: f()\nexcept Exception:\n    raise KeyError('x')",
    ],
)
def test_catching_everything_without_a_reason_is_found(text: str) -> None:
    assert finders.unexplained(text)


@pytest.mark.parametrize(
    "text",
    [
        "try: f()\nexcept Exception:  # whatever it is, the state is lost\n    g()",
        "try: f()\nexcept Exception:\n    # whatever it is, the state is lost\n    g()",
        "try: f()\nexcept BaseException:\n    g()\n    raise",
        "try: f()\nexcept ValueError:\n    g()",
    ],
)
def test_catching_everything_with_a_reason_is_left_alone(text: str) -> None:
    assert finders.unexplained(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "x = 'SELECT a FROM b'",
        "x = f'select {a} from b where c'",
        "x = '''\n  -- why\n  INSERT INTO a VALUES (1)'''",
        "x = 'UPDATE a SET b = 1'",
        "x = 'CREATE TABLE a (b int)'",
        "x = 'select pg_notify($1, $2)'",
    ],
)
def test_sql_is_found(text: str) -> None:
    assert finders.sql(text)


def test_words_are_no_sql() -> None:
    text = 'def f():\n    """Select a thing from the list."""\n    return "select one", "created from", "UPDATE"'
    assert finders.sql(text) == []


def test_a_coroutine_is_found() -> None:
    assert finders.asynchronous("async def f(): ...")
    assert finders.asynchronous("def f(): ...") == []


def test_imports_are_found() -> None:
    text = "import a.b\nfrom c.d import e\ndef f():\n    import g\nif TYPE_CHECKING:\n    from h import i"
    assert finders.imported(text) == {"a.b", "c.d", "g", "h"}


def test_a_mock_and_a_sleep_are_found() -> None:
    assert finders.untestlike("from unittest.mock import Mock")
    assert finders.untestlike("import unittest.mock")
    assert finders.untestlike("import time\ntime.sleep(1)")
    assert finders.untestlike("import asyncio\nawait asyncio.wait([])") == []


@pytest.mark.parametrize(
    "text",
    [
        "# from https://" + "pypi." + "org/simple",
        "--index-url https://packages.example/simple",
        "--extra-index-url=https://packages.example/simple",
        "https://repo1." + "maven.org/maven2",
        "<repositories>",
        "index-url = https://packages.example",
    ],
)
def test_the_address_of_a_registry_is_found(text: str) -> None:
    assert finders.addresses(text)


def test_other_addresses_are_left_alone() -> None:
    assert finders.addresses("https://github.com/a/b https://maven.apache.org/POM/4.0.0 --no-emit-index-url") == []


@pytest.mark.parametrize(
    "text", ["/" + "work/x", "see /" + "root/y", "'/" + "home/me/x'", "C:" + "\\Users\\me", "/tmp" + "/mine/x"]
)
def test_the_path_of_a_machine_is_found(text: str) -> None:
    assert finders.machine_paths(text)


def test_other_paths_are_left_alone() -> None:
    assert finders.machine_paths("/var/tmp /v1/tickets ../work/x $ROOT/work/a /homework a/root/b") == []


def test_a_secret_is_found() -> None:
    assert finders.secrets_in("-----BEGIN RSA " + "PRIVATE KEY-----")
    assert finders.secrets_in("AKIA" + "ABCDEFGHIJKLMNOP")
    assert finders.secrets_in("secret: whsec_…") == []


def test_an_ignore_without_a_reason_is_found() -> None:
    text = (
        "a  # noqa: E501\n"
        "b  # noqa: E501 - a table reads better\n"
        "# theirs is wrong\n"
        "c  # type: ignore[misc]\n"
        "d  # type: ignore\n"
        "e  # type: ignore[misc]  # aiokafka is not typed\n"
        "f  # fmt: skip\n"
    )
    assert [each.line for each in finders.ignores(text) if not each.why] == [1, 5]
    assert [each.line for each in finders.ignores(text)] == [1, 2, 4, 5, 6]


def test_a_long_file_is_found() -> None:
    assert finders.too_long("\n" * 451)
    assert finders.too_long("\n" * 450) == []


def test_a_label_that_names_somebody_is_found() -> None:
    assert finders.telling_labels(("stage", "customer")) == {"customer"}
    assert finders.telling_labels(("stage", "reason")) == set()
