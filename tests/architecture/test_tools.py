"""ruff and mypy find nothing in the whole tree, the tests included; as `make lint` does, with the cache it uses."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.architecture import tree
from tests.docs import pages
from tests.docs.reference import catalogue
from tests.shared import ROOT

RULES = ROOT / "deploy" / "prometheus"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """A program run in the root, its output kept."""
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def test_ruff_finds_nothing() -> None:
    done = run(sys.executable, "-m", "ruff", "check", "--output-format", "concise", ".")
    assert done.returncode == 0, done.stdout


def test_mypy_finds_nothing() -> None:
    done = run(sys.executable, "-m", "mypy", "--no-error-summary", ".")
    assert done.returncode == 0, done.stdout


def test_a_finding_is_an_error() -> None:
    done = run(sys.executable, "-m", "mypy", "--strict", "-c", "x: int = 'a'")
    assert done.returncode == 1


@pytest.mark.parametrize("script", tree.files("deploy/local/setup", ".ci/run"), ids=tree.name)
def test_shell_scripts_can_be_read(script: Path) -> None:
    done = run("bash", "-n", str(script))
    assert done.returncode == 0, done.stderr


def test_alert_rules_name_metrics_that_there_are() -> None:
    """What promtool does not see: a rule over a metric that nobody has never fires."""
    text = (RULES / "hub.yaml").read_text(encoding="utf-8")
    rules = yaml.safe_load(text)["groups"][0]["rules"]
    assert any("hub_clocks_judged_timestamp_seconds" in rule["expr"] for rule in rules)
    known = set(catalogue()) | {f"{name}_bucket" for name in catalogue()}
    for rule in rules:
        assert set(re.findall(r"hub_\w+", rule["expr"])) <= known, rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning") or rule["alert"] == "Watchdog"
        assert {"summary", "description"} <= set(rule["annotations"])


def test_every_alert_is_tried_and_has_its_line_in_the_runbook() -> None:
    alerts = {rule["alert"] for rule in yaml.safe_load((RULES / "hub.yaml").read_text())["groups"][0]["rules"]}
    tried = {
        one["alertname"]
        for test in yaml.safe_load((RULES / "hub.test.yaml").read_text())["tests"]
        for one in test["alert_rule_test"]
        if one["exp_alerts"]
    }
    section = pages.section((ROOT / "docs" / "operations.md").read_text(), "When the hub calls")
    told = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert alerts == tried == told


def test_the_shipped_configurations_are_taken_and_scrape_as_often_as_the_rules_count_on() -> None:
    found = yaml.safe_load((RULES / "prometheus.yaml").read_text())["global"]
    assert (found["scrape_interval"], found["evaluation_interval"]) == ("5s", "5s")
    for words in (("promtool", "check", "config", "prometheus.yaml"), ("amtool", "check-config", "alertmanager.yaml")):
        done = subprocess.run(words, cwd=RULES, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_alert_rules_fire_when_they_should() -> None:
    for words in (("check", "rules", "hub.yaml"), ("test", "rules", "hub.test.yaml")):
        done = subprocess.run(["promtool", *words], cwd=RULES, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_is_made_from_files_that_there_are() -> None:
    lines = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY")]
    assert copied == [["requirements-dev.lock"], ["."], ["requirements.lock"], ["--from=built", "/dist/*.whl"]]
    assert all((ROOT / name).exists() for (name,) in copied[:-1])
    settings = [word.partition("=")[0] for line in lines for word in line.split() if word.startswith("HUB_")]
    assert settings == ["HUB_NATIVE", "HUB_HTTP_HOST", "HUB_LMTP_HOST", "HUB_BLOBS"]
