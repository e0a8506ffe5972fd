"""What deploy/ holds, as far as it can be checked without an engine: forms, names that exist, no secret with a default, loopback alone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyOptions

from console import cli, monitoring
from console.web import queue, serving

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "openloop.json").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
FUNCTIONS = {"rate", "sum", "by", "or", "histogram_quantile", "label_values"}


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def serve_options() -> set[str]:
    return {word for option in cli.openloop.commands["serve"].params for word in option.opts}


def test_compose_is_by_the_specification() -> None:
    """The compose specification's own types take every key of it, and names lead to services and volumes that are there."""
    text = (DEPLOY / "docker-compose.yml").read_text()
    options = PyOptions(apply_merge=True)
    compose = options.from_yaml(text)
    compose.validate()
    with pytest.raises(ValueError, match="prots"):
        options.from_yaml(text.replace("    ports:", "    prots:", 1))
    assert set(compose.service_names()) == {"openloop", "postgres", "prometheus", "grafana"}


def test_ports_are_published_on_the_loopback_alone() -> None:
    """Whoever can reach this machine cannot reach a service of it."""
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_no_secret_has_a_default() -> None:
    """Every variable stops compose where it is not set; none is set here; .env.example names just these, empty."""
    text = (DEPLOY / "docker-compose.yml").read_text()
    taken = re.findall(r"(?<!\$)\$\{(\w+)(:\?)?", text)
    assert {name for name, must in taken if must} == {name for name, _ in taken}
    example = [line for line in (DEPLOY / ".env.example").read_text().splitlines() if not line.startswith("#")]
    assert {line.removesuffix("=") for line in example} == {name for name, _ in taken}
    assert all(line.endswith("=") for line in example)


def test_images_have_a_version() -> None:
    """What starts tomorrow is what starts today."""
    images = [s["image"] for s in COMPOSE["services"].values() if "build" not in s]
    assert all(re.search(r":v?\d", image) for image in images)


def test_the_service_is_started_as_its_command_line_is() -> None:
    """Image and compose file name options that `openloop serve` has, and the port that is published, checked and scraped."""
    in_image = json.loads(re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[1])  # type: ignore[index]  # it is there
    in_compose = COMPOSE["services"]["openloop"]["command"]
    for words in (in_image, in_compose):
        assert words[0] == "serve"
        assert {w.partition("=")[0] for w in words if w.startswith("--")} <= serve_options()
    assert "--port=8080" in in_compose
    assert "127.0.0.1:8080/health" in DOCKERFILE
    (job,) = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["openloop:8080"]}]
    assert "--allow-host=openloop" in in_compose, "Prometheus calls it by that name"


def test_the_service_is_given_the_time_that_it_takes_to_go() -> None:
    """Runs are drained and sealed before it ends: Compose kills no sooner than the service itself gives up waiting."""
    grace = COMPOSE["services"]["openloop"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > serving._GRACE_S + queue._LEAVE_S + 10


def test_the_image_has_all_packages_and_extras_that_exist() -> None:
    """Every package of the wheel is copied, and every extra that is asked for is one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name.removesuffix("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    copied = set(re.findall(r"^COPY (\w+) \1$", DOCKERFILE, re.MULTILINE))
    assert copied == packages
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    assert {f"!{name}" for name in packages} <= set(ignored)
    extras = re.search(r'"\.\[([\w,]+)\]"', DOCKERFILE)[1].split(",")  # type: ignore[index]  # it is there
    assert set(extras) <= set(project["project"]["optional-dependencies"])


def test_the_image_runs_as_nobody_in_particular() -> None:
    """Not as root, and an engine can tell whether it is well."""
    last = DOCKERFILE.rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER \d{4,}$", last, re.MULTILINE)
    assert "HEALTHCHECK" in last


def test_hadolint_finds_nothing() -> None:
    """Not even a warning. Its package puts it beside the interpreter."""
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    """Every name in every expression and variable is one that the program exposes."""
    known = monitoring.names() | set(
        re.findall(r'"(openloop_service_\w+)"', (ROOT / "console/web/metrics.py").read_text())
    )
    variables = [v["definition"] for v in DASHBOARD["templating"]["list"]]
    for text in (*expressions(), *variables):
        without = re.sub(r"\{[^}]*\}|\[[^]]*\]|by \([^)]*\)", "", text)
        assert set(re.findall(r"[a-zA-Z_]\w*", without)) - FUNCTIONS - {"run"} <= known, text


def test_every_metric_of_a_run_that_changes_is_on_the_dashboard() -> None:
    """Counters and the histogram are shown; what is left out is left out on purpose."""
    shown = " ".join(expressions())
    counters = {f"{f.name}_total" for f in monitoring.COUNTERS} | {
        monitoring.TTFT,
        f"{monitoring.DONE}_total",
        f"{monitoring.LATE}_total",
    }
    assert {name for name in counters if name not in shown} == set()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_takes_its_configuration_and_every_expression(tmp_path: Path) -> None:
    """promtool parses the configuration, and, as rules, the expressions of the dashboard."""
    config = ["promtool", "check", "config", "--syntax-only", str(DEPLOY / "prometheus.yml")]
    assert subprocess.run(config, capture_output=True, check=False).returncode == 0
    rules = [{"record": f"panel:{i}", "expr": e.replace("$run", ".*")} for i, e in enumerate(expressions())]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def walk(node: Any) -> Any:
    yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(inner)


def test_grafana_finds_what_the_dashboard_names() -> None:
    """Its data source is the one that is provisioned, its folder the one that is mounted, and panels do not overlap."""
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    uids = {
        n["datasource"]["uid"] for n in walk(DASHBOARD) if isinstance(n, dict) and isinstance(n.get("datasource"), dict)
    }
    assert uids == {source["uid"]}
    (provider,) = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/openloop.yml").read_text())["providers"]
    mounts = dict(v.split(":")[:2] for v in COMPOSE["services"]["grafana"]["volumes"])
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    cells = [
        (x, y)
        for p in DASHBOARD["panels"]
        for x in range(p["gridPos"]["x"], p["gridPos"]["x"] + p["gridPos"]["w"])
        for y in range(p["gridPos"]["y"], p["gridPos"]["y"] + p["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert all(x < 24 for x, _ in cells)
    assert len({p["id"] for p in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
