"""File, then flags, then ``--set``: what each overrides, and what it says when it cannot. Secrets never stay in the text."""

import pytest

from generator.errors import ScenarioError
from generator.scenario import reading

SIMULATOR = {"target": "simulator"}


def flags_only(**flags):
    return reading.load(None, SIMULATOR | flags, [])


def refused(source, flags, sets=()):
    with pytest.raises(ScenarioError) as caught:
        reading.load(source, flags, list(sets))
    return str(caught.value)


def test_each_concurrency_is_a_step():
    """``--concurrency 32,64,128`` without a scenario: three closed steps of 30 s."""
    form = flags_only(concurrency="32,64,128", output_tokens="2000").form
    assert [(s.concurrency.start, s.duration) for s in form.steps] == [(c, 30_000_000_000) for c in (32, 64, 128)]
    assert form.workload.output_tokens.fixed == 2000


def test_each_rate_is_a_step():
    """``--rate 5/s,10/s --requests 9``: two open steps that end by number."""
    form = flags_only(rate="5/s,10/s", requests=9).form
    assert [(s.rate.start_rps, s.requests, s.duration) for s in form.steps] == [(5, 9, None), (10, 9, None)]
    assert [form.arrivals_of(s) for s in form.steps] == ["poisson", "poisson"]


def test_flags_without_a_load_are_one_user():
    """A target alone is asked by one user for 30 s."""
    (step,) = flags_only().form.steps
    assert (step.concurrency.start, step.duration) == (1, 30_000_000_000)


def test_a_concurrency_flag_replaces_the_steps_and_keeps_their_end():
    """The shipped `standard` at 7 users: one step with the first step's end, lengths untouched."""
    form = reading.load("standard", {"concurrency": "7"}, []).form
    assert [(s.concurrency.start, s.requests) for s in form.steps] == [(7, 20)]
    assert form.workload.input_tokens.fixed == 512


def test_a_rate_flag_replaces_a_matrix_of_rates():
    """`poisson-staircase --rate 3/s` is one step, not one a cell."""
    form = reading.load("poisson-staircase", {"rate": "3/s"}, []).form
    assert form.matrix_keys() == []
    assert [s.rate.start_rps for s in form.steps] == [3]


def test_duration_and_requests_apply_to_all_steps():
    """An end on the command line replaces the steps' own, of either kind."""
    assert [s.duration for s in reading.load("quick", {"duration": "3s"}, []).form.steps] == [3_000_000_000] * 2
    assert [s.requests for s in reading.load("token-matrix", {"requests": "3"}, []).form.steps] == [3]


def test_a_length_flag_holds_for_every_step():
    """``--input-tokens`` replaces the workload's, the matrix's and the steps' own."""
    read = reading.load(
        "token-matrix", {"input_tokens": "{uniform: [5, 9]}"}, ["steps.0.output_tokens=3", "matrix.output_tokens="]
    )
    assert read.form.matrix_keys() == ["concurrency"]
    assert read.form.workload.input_tokens.uniform == [5, 9]


def test_set_comes_last():
    """``--set`` overrides a flag; numbers find list items; an empty value leaves the key open."""
    read = reading.load(
        "quick", {"concurrency": "7"}, ["steps.0.concurrency=9", "slo.ttft=1s", "workload.input_tokens="]
    )
    assert read.form.steps[0].concurrency.start == 9
    assert read.form.slo.limits() == {"ttft_ms": 1000}
    assert read.form.workload.input_tokens is None


def test_a_shipped_scenario_drives_any_target():
    """``--target`` and ``--model`` are enough; the simulator's options go with the simulator."""
    read = reading.load("stress-512", {"target": "http://127.0.0.1:9/v1", "model": "m"}, [])
    assert (read.form.target.url, read.form.target.model, read.simulators) == ("http://127.0.0.1:9/v1", "m", {})
    assert reading.load("stress-512", {}, []).simulators == {"target": {"itl": "40ms"}}


@pytest.mark.parametrize(
    ("source", "flags", "sets", "message"),
    [
        (None, {}, [], "the command line: no scenario and no target: name one (such as `quick`, or a file), or give --target URL (simulator is the built-in endpoint)"),
        (None, {"target": "http://a/v1"}, [], "--target: target: no model: give model, or --model NAME on the command line"),
        (None, SIMULATOR | {"rate": "0/s"}, [], "--rate: steps.0.rate: a rate of zero sends nothing; give a rate above 0, such as 1/min"),
        (None, SIMULATOR | {"rate": "5/s,x"}, [], "--rate: steps.1.rate: a rate is wanted, such as 20/s or 600/min, not 'x'"),
        (None, SIMULATOR | {"rate": ","}, [], "--rate: at least one value is wanted, such as 5/s,10/s"),
        (None, SIMULATOR | {"concurrency": "0"}, [], "--concurrency: steps.0.concurrency: input should be greater than or equal to 1, not 0"),
        (None, SIMULATOR | {"concurrency": "1", "rate": "1/s"}, [], "--concurrency and --rate are both given; a step is closed or open"),
        (None, SIMULATOR | {"duration": "1s", "requests": 1}, [], "--duration and --requests are both given; a step ends by one of them"),
        (None, SIMULATOR | {"duration": "1 parsec"}, [], ("--duration: steps.0.duration: '1 parsec': unknown unit 'parsec' "
         "(units: ns, us, µs, ms, s, m, min, h, d)")),
        (None, SIMULATOR | {"output_tokens": "[1"}, [], "--output-tokens: '[1' is no YAML value: expected ',' or ']', but got '<stream end>'"),
        (None, SIMULATOR | {"seed": "-1"}, [], "--seed: seed: input should be greater than or equal to 0, not -1"),
        (None, SIMULATOR | {"transport": "sockets"}, [], "--transport: transport: 'sockets' is not one of 'socket' or 'aiohttp'; nearest: 'socket'"),
        ("quick", {}, ["workload.prompts=&a [*a]"], "--set workload.prompts: '&a [*a]' is no YAML value: too large or too deep for a scenario"),
        ("quick", {}, ["steps.0.duration"], "--set steps.0.duration: path=value is wanted, such as steps.0.duration=10s"),
        ("quick", {}, ["steps..duration=1s"], "--set steps..duration=1s: path=value is wanted, such as steps.0.duration=10s"),
        ("quick", {}, ["steps.2.requests=1"], "--set steps.2.requests: steps has 2 items, numbered from 0; there is no 2"),
        ("quick", {}, ["steps.first.requests=1"], "--set steps.first.requests: steps is a list; say which item by its number, from 0, not 'first'"),
        ("quick", {}, ["target.0=1"], "--set target.0: target is no list; it has no item 0"),
        ("quick", {}, ["workload.input_tokens.fixed=1"], ("--set workload.input_tokens.fixed: workload.input_tokens is 100, which has nothing "
         "named 'fixed' inside")),
        ("quick", {}, ["steps.0.reqests=1"], "--set steps.0.reqests: unknown key; nearest: 'requests'"),
        ("quick", {}, ["target.url=http://a/v1", "target.model=m", "target.simulator.itl=5ms"], ("--set target.simulator.itl: target.simulator: "
         "simulator options need url: simulator, not http://a/v1")),
        ("quick", {}, ["target.proxy=http://p:1"], "--set target.proxy: a proxy needs transport: aiohttp (--transport aiohttp)"),
        ("quick", {"requests": "5"}, ["steps.0.concurrency={from: 1, to: 5}"], ("--set steps.0.concurrency: a ramp of the "
         "concurrency needs a duration to ramp over")),
    ],
)  # fmt: skip
def test_a_bad_flag_is_named(source, flags, sets, message):
    """The place is the flag or the setting as it was typed."""
    assert refused(source, flags, sets) == message


def test_an_unknown_flag_is_a_fault_of_ours():
    """The command line knows its flags; another name is a TypeError, not a message to a person."""
    with pytest.raises(TypeError, match="speed"):
        reading.load(None, {"speed": 1}, [])


def test_a_comparison_is_not_retargeted(tmp_path):
    """``--target`` does not know which of several targets is meant, and says how to say it."""
    file = tmp_path / "ab.yaml"
    file.write_text("targets: {a: {url: simulator}, b: {url: simulator}}\nsteps: [{concurrency: 1, requests: 1}]\n")
    assert "--set targets.NAME.url=" in refused(str(file), {"target": "http://x/v1"})
    assert (
        reading.load(str(file), {}, ["targets.a.url=http://x/v1", "targets.a.model=m"]).form.targets["a"].model == "m"
    )


def test_files_are_relative_to_whoever_named_them(tmp_path, monkeypatch):
    """A path in a scenario starts from its folder, one on the command line from the current folder."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "s.yaml").write_text(
        "target: {url: simulator, tls: {ca: ca.pem}}\nworkload: {prompts: p.jsonl}\nsteps: [{concurrency: 1, requests: 1}]\n"
    )
    monkeypatch.chdir(tmp_path)
    form = reading.load("there/s.yaml", {}, []).form
    assert form.workload.prompts is not None
    assert (form.workload.prompts.file, form.target.tls.ca) == (
        str(tmp_path / "there/p.jsonl"),
        str(tmp_path / "there/ca.pem"),
    )
    assert reading.load("there/s.yaml", {}, ["workload.prompts=q.jsonl"]).form.workload.prompts.file == str(
        tmp_path / "q.jsonl"
    )


def test_variables_are_resolved_apart(monkeypatch):
    """``${NAME}`` stays in the scenario; its value is in ``secrets`` alone."""
    monkeypatch.setenv("MY_KEY", "sk-hush")
    monkeypatch.setenv("TENANT", "acme")
    read = reading.load("quick", {}, ["target.api_key=${MY_KEY}", "target.headers={x-tenant: 't-${TENANT}'}"])
    assert read.secrets == {"${MY_KEY}": "sk-hush", "${TENANT}": "acme"}
    assert read.form.target.api_key == "${MY_KEY}"
    assert "sk-hush" not in read.text() + repr(read.form) + repr(read.document)


def test_a_variable_without_a_value_is_as_good_as_none(monkeypatch):
    """An empty key is a mistake, and nothing to redact by."""
    monkeypatch.setenv("MY_KEY", "")
    said = refused("quick", {}, ["target.api_key=${MY_KEY}"])
    assert said == "--set target.api_key: target.api_key: the environment variable MY_KEY is empty: export MY_KEY=…"


@pytest.mark.parametrize(
    ("setting", "path", "secret"),
    [
        ("target.api_key=sk-hush", "api_key", "sk-hush"),
        ("target.headers={Authorization: Bearer sk-hush}", "headers.Authorization", "Bearer sk-hush"),
        ("target.headers={X-Api-Key: sk-hush}", "headers.X-Api-Key", "sk-hush"),
    ],
)
def test_secrets_that_were_written_out_are_taken_away(setting, path, secret):
    """A key in the file is moved to ``secrets``: no folder of a run ever holds it."""
    read = reading.load("quick", {}, [setting])
    assert list(read.secrets.values()) == [secret]
    assert secret not in read.text()
    assert read.document.get(("target", *path.split("."))) in read.secrets


def test_a_secret_is_in_no_error_message(monkeypatch):
    """A fault elsewhere in the target shows neither a key from the environment nor one that was written out."""
    monkeypatch.setenv("MY_KEY", "sk-hush")
    assert "12345678" not in refused("quick", {}, ["target.api_key=12345678"])
    for key in ("${MY_KEY}", "sk-hush"):
        said = refused(
            "quick", {}, [f"target.api_key={key}", "target.headers=[]", "target.apikey=3", "target.stream=perhaps"]
        )
        assert "sk-hush" not in said


def test_secrets_of_targets_with_like_names_stay_apart(monkeypatch):
    """`gw-1` and `gw_1` make one word: the second is numbered on, past a variable of that name that the scenario uses, too."""
    monkeypatch.setenv("OPENLOOP_GW_1_API_KEY_2", "from the environment")
    targets = (
        "targets={gw-1: {url: 'http://127.0.0.1:9/v1', model: m, api_key: one},"
        " gw_1: {url: 'http://127.0.0.1:9/v1', model: m, api_key: two},"
        " other: {url: 'http://127.0.0.1:9/v1', model: m, api_key: '${OPENLOOP_GW_1_API_KEY_2}'}}"
    )
    read = reading.load(None, {}, [targets, "steps=[{arrivals: constant, rate: 1/s, duration: 1s}]"])
    keys = {name: read.secrets[form.api_key] for name, form in read.form.target_forms().items()}
    assert keys == {"gw-1": "one", "gw_1": "two", "other": "from the environment"}


def test_a_home_that_nobody_has():
    assert "--set workload.prompts: ~nosuchuser/x.jsonl: this machine knows no such user" in refused(
        "quick", {}, ["workload.prompts=~nosuchuser/x.jsonl"]
    )
