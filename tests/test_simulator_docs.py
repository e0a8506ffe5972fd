"""docs/simulator.md names what there is."""

from __future__ import annotations

import re
from pathlib import Path

from simulator import truth
from simulator.faults import FAULTS
from simulator.limit_headers import DIALECTS
from simulator.ratelimit import CHARGES, LAWS
from simulator.routes import BELOW_BASE
from simulator.settings import OPTIONS, from_options

PAGE = (Path(__file__).parents[1] / "docs" / "simulator.md").read_text()
NAMED = {word for span in re.findall(r"`([^`\n]+)`", PAGE) for word in [span, *re.findall(r"[\w-]+", span)]}


def test_every_column_of_the_truth_log_is_explained():
    """Both tables, and no column that does not exist."""
    tables = PAGE[PAGE.index("## The truth log") :]
    rows = re.findall(r"^\| (`.*?`(?:, `.*?`)*) \|", tables, re.MULTILINE)
    explained = {name for row in rows for name in re.findall(r"`(.*?)`", row)}
    assert explained == set(truth.REQUESTS.names) | set(truth.TOKENS.names)


def test_every_fault_law_charge_and_dialect_is_named():
    """What an option can be set to is on the page that explains it."""
    assert {*FAULTS, *LAWS, *CHARGES, *DIALECTS} <= NAMED


def test_every_path_and_api_is_named():
    """The page lists each route and what the truth log calls its API."""
    assert {f"/v1{path}" for path in BELOW_BASE} <= NAMED
    assert {api.name for api in BELOW_BASE.values()} <= set(re.findall(r"[\w-]+", PAGE))


def test_named_options_exist():
    """The options that the scenario on the page sets are real, and together they are valid."""
    match = re.search(r"simulator: \{(.*)\}", PAGE)
    assert match is not None
    pairs = re.findall(r'(\w+): (?:"([^"]*)"|([^,]+))', match[1])
    assert pairs
    assert from_options({key: quoted or plain for key, quoted, plain in pairs}).max_batch == 16
    assert {
        "ttft",
        "itl",
        "jitter",
        "rpm",
        "tpm",
        "limits",
        "concurrency",
        "charge",
        "truth",
        "processes",
    } <= NAMED & set(OPTIONS)
