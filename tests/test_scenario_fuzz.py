"""Whatever a file holds, reading it ends in a scenario that plans, or in an error for a person."""

import contextlib
import copy

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generator.errors import OpenloopError
from generator.planning import plan
from generator.scenario import reading

WHOLE = {
    "name": "x",
    "seed": 1,
    "target": {
        "url": "http://127.0.0.1:1/v1",
        "model": "m",
        "api_key": "k",
        "headers": {"x-a": "b"},
        "body": {"top_p": 1},
        "tls": {"ca": "c"},
        "simulator": {},
    },
    "workload": {"output_tokens": {"normal": {"mean": 9, "sd": 2}}},
    "steps": [
        {"rate": {"from": "1/s", "to": "9/s"}, "duration": "2s", "warmup": "1s"},
        {"concurrency": 2, "requests": 5, "think": {"exponential": "1s"}},
        {"arrivals": "gamma", "rate": "2/s", "burstiness": 0.5, "requests": 5, "max_in_flight": 3},
    ],
    "matrix": {"input_tokens": [5, {"uniform": [1, 9]}]},
    "slo": {"ttft": "1s", "attainment": "99%"},
    "thresholds": ["p99(ttft) < 1s"],
    "timeouts": {"idle": "1s"},
    "drain": "none",
}


def paths(value, at=()):
    """Every place in a tree where a value can be replaced."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from paths(each, (*at, key))


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
    | st.sampled_from(["0/s", "1e308/s", "5s", "99%", "none", "${HOME}", "${NO_SUCH_VARIABLE}", "simulator", "closed", 0, -1, 10**30]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["from", "to", "url", "rate", "fixed", "x"]), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(sorted(paths(WHOLE), key=str)[1:]), ODD), min_size=1, max_size=2))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_anywhere_is_planned_or_refused(tmp_path, changes):
    """No value of any key brings another exception than ours."""
    data = copy.deepcopy(WHOLE)
    for path, value in changes:
        here = data
        try:
            for key in path[:-1]:
                here = here[key]
            here[path[-1]] = value
        except (TypeError, KeyError, IndexError):
            continue  # the first change took the place of the second's
    file = tmp_path / "s.yaml"
    file.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), encoding="utf-8")
    with contextlib.suppress(OpenloopError):
        plan.make(reading.load(str(file), {}, []), "r", 2)


@given(st.text(max_size=60))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_refused_in_words(tmp_path, text):
    """No text of a file or of ``--set`` brings another exception than ours."""
    file = tmp_path / "s.yaml"
    file.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(OpenloopError):
        reading.load(str(file), {}, [])
    for setting in (text, f"steps.0.rate={text}", f"target.url={text}"):
        with contextlib.suppress(OpenloopError):
            reading.load("quick", {}, [setting])
