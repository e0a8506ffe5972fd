"""A scenario is read strictly: every fault names file, line, key and the nearest valid key."""

import textwrap

import pytest

from generator.errors import ScenarioError
from generator.scenario import reading

GOOD = """\
name: rate-staircase
seed: 42
target:
  url: https://api.example.com/v1
  api: openai-chat
  model: some-model
  api_key: ${EXAMPLE_KEY}
workload: {input_tokens: 512, output_tokens: 128}
steps:
  - {arrivals: poisson, rate: 20/s, duration: 30s}
  - {arrivals: closed, concurrency: 64, requests: 1000}
slo: {ttft: 500ms, tpot: 50ms, attainment: 99%}
thresholds: ["p99(ttft) < 800ms", "share(rate_limited) < 1%"]
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("EXAMPLE_KEY", "sk-very-secret")


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads a text as the file s.yaml of the current folder."""
    monkeypatch.chdir(tmp_path)

    def from_text(text, flags=None, sets=()):
        (tmp_path / "s.yaml").write_text(textwrap.dedent(text))
        return reading.load("s.yaml", flags or {}, list(sets))

    return from_text


@pytest.fixture
def refused(load):
    """The text of the error that a scenario brings."""

    def said(text, flags=None, sets=()):
        with pytest.raises(ScenarioError) as caught:
            load(text, flags, sets)
        return str(caught.value)

    return said


def test_the_contracts_example_loads(load):
    """The scenario of the design, with units read and the SLO in milliseconds."""
    read = load(GOOD)
    first, second = read.form.steps
    assert (read.name, read.seed) == ("rate-staircase", 42)
    assert (first.rate.start_rps, first.duration) == (20.0, 30_000_000_000)
    assert (second.concurrency.start, second.requests) == (64, 1000)
    assert read.form.slo.limits() == {"ttft_ms": 500.0, "tpot_ms": 50.0, "attainment": 0.99}


GOLDEN = [
    # what is replaced in GOOD, by what, and the whole message
    ("seed: 42", "sead: 42", "s.yaml:2: sead: unknown key; nearest: 'seed'"),
    ("  model: some", "  modle: some", "s.yaml:6: target.modle: unknown key; nearest: 'model'"),
    ("duration: 30s", "durration: 30s", "s.yaml:10: steps.0.durration: unknown key; nearest: 'duration'"),
    ("attainment", "attain", "s.yaml:12: slo.attain: unknown key; nearest: 'attainment'"),
    ("openai-chat", "openai-chatt", ("s.yaml:5: target.api: unknown API 'openai-chatt'; this version speaks openai-chat, "
     "openai-completions, openai-responses, anthropic-messages, openai-embeddings, http-json")),
    ("poisson", "poison", ("s.yaml:10: steps.0.arrivals: 'poison' is not one of 'poisson', 'constant', 'gamma', 'trace' or "
     "'closed'; nearest: 'poisson'")),
    ("20/s", "20", "s.yaml:10: steps.0.rate: a rate with its unit is wanted, such as 20/s, not 20; write 20/s"),
    ("20/s", "0/s", "s.yaml:10: steps.0.rate: a rate of zero sends nothing; give a rate above 0, such as 1/min"),
    ("20/s", "-3/s", "s.yaml:10: steps.0.rate: a rate cannot be negative: '-3/s'"),
    ("30s", "30", "s.yaml:10: steps.0.duration: a duration with its unit is wanted, such as 30s, not 30; write 30s or 30ms"),
    ("30s", "30 secs", "s.yaml:10: steps.0.duration: '30 secs': unknown unit 'secs'; nearest: 's' (units: ns, us, µs, ms, s, m, min, h, d)"),
    ("30s", "0s", "s.yaml:10: steps.0.duration: a duration of zero sends nothing"),
    ("concurrency: 64", "concurrency: 0", "s.yaml:11: steps.1.concurrency: input should be greater than or equal to 1, not 0"),
    ("concurrency: 64", "concurrency: many", "s.yaml:11: steps.1.concurrency: input should be a valid integer, not 'many'"),
    ("requests: 1000", "requests: 1.5", "s.yaml:11: steps.1.requests: input should be a valid integer, not 1.5"),
    (", requests: 1000", "", "s.yaml:11: steps.1: the step has no end: give duration or requests"),
    ("requests: 1000", "requests: 9, duration: 5s", "s.yaml:11: steps.1.requests: duration and requests are both given; a step ends by one of them"),
    ("concurrency: 64, ", "", "s.yaml:11: steps.1: arrivals: closed needs concurrency, here or in the matrix"),
    ("arrivals: closed, concurrency: 64, ", "", "s.yaml:11: steps.1: the step has no load: give rate (open loop), concurrency (closed loop) or trace"),
    ("rate: 20/s, ", "rate: 20/s, think: 1s, ", "s.yaml:10: steps.0.think: think does not go with arrivals: poisson, only with closed"),
    ("poisson,", "gamma,", "s.yaml:10: steps.0: arrivals: gamma needs burstiness, the shape of its gaps (1 is Poisson; CV = 1/√burstiness)"),
    ("concurrency: 64,", "concurrency: {from: 1, to: 9},", "s.yaml:11: steps.1.concurrency: a ramp of the concurrency needs a duration to ramp over"),
    ("concurrency: 64,", "concurrency: {from: 1, too: 9},", ("s.yaml:11: steps.1.concurrency: to is missing\n"
     "s.yaml:11: steps.1.concurrency.too: unknown key; nearest: 'to'")),
    ("seed: 42", "warmup: 30s", "s.yaml:10: steps.0.duration: the warm-up is as long as the step; nothing is left to measure"),
    ("99%", "99", "s.yaml:12: slo.attainment: a share lies between 0% and 100%, not 99; write 99%"),
    ("p99(ttft) < 800ms", "p99(tfft) < 800ms", ("s.yaml:13: thresholds.0: 'p99(tfft) < 800ms': unknown word 'tfft'; nearest: 'ttft' "
     "(known: ttft, ttft_wire, ttfo, ttst, tpot, ntpot, icl, e2e, lateness, fluidity)")),
    ("https://api.example.com/v1", "api.example.com", ("s.yaml:4: target.url: 'api.example.com': a URL that starts with http:// or https:// is "
     "wanted, such as http://127.0.0.1:8000/v1, or simulator")),
    ("https://api.example.com/v1", "https://u:p@example.com/v1", ("s.yaml:4: target.url: the URL carries a user name; put credentials into api_key "
     "or headers, as ${NAME}")),
    ("  model: some-model\n", "", "s.yaml:3: target: no model: give model, or --model NAME on the command line"),
    ("EXAMPLE_KEY", "NO_SUCH_KEY", "s.yaml:7: target.api_key: the environment variable NO_SUCH_KEY is not set: export NO_SUCH_KEY=…"),
    ("some-model", "${EXAMPLE_KEY}", "s.yaml:6: target.model: ${EXAMPLE_KEY} is read only in a target's api_key, headers, body, http, proxy, metrics; write it out here"),
    ("input_tokens: 512", "input_tokens: 0", "s.yaml:8: workload.input_tokens: input should be greater than or equal to 1, not 0"),
    ("input_tokens: 512", "input_tokens: {normal: {mean: 9, std: 2}}", ("s.yaml:8: workload.input_tokens.normal: sd is missing\n"
     "s.yaml:8: workload.input_tokens.normal.std: unknown key; nearest: 'sd'")),
    ("input_tokens: 512", "input_tokens: {uniform: [9, 3]}", ("s.yaml:8: workload.input_tokens.uniform: uniform wants [lowest, highest], at least 1 and "
     "in order, not [9, 3]")),
    ("input_tokens: 512", "input_tokens: {fixed: 3, zipf: {exponent: 1, max: 9}}", ("s.yaml:8: workload.input_tokens: exactly one of fixed, uniform, normal, "
     "lognormal, zipf, empirical is wanted, not fixed and zipf")),
    ("workload: {input_tokens: 512, output_tokens: 128}", "workload: 512", ("s.yaml:8: workload: a mapping is wanted (known: name, input_tokens, "
     "output_tokens, prompts, lengths, shared_prefix_tokens, exact_output, shared_prefix, cancel, tags, session), not 512")),
    ("  - {arrivals: closed, concurrency: 64, requests: 1000}", "  - closed", ("s.yaml:11: steps.1: a mapping is wanted (known: name, arrivals, rate, burstiness, "
     "concurrency, think, trace, duration, requests, sessions, warmup, pause, drain, max_in_flight, input_tokens, output_tokens), not 'closed'")),
    ("name: rate-staircase", "name: a/b", "s.yaml:1: name: 'a/b': letters, digits, spaces, '.', '_' and '-' only, at most 100, first a letter or digit"),
    ("name: rate-staircase", "seed: 1", "s.yaml:2: key 'seed' is given twice, first at s.yaml:1"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), GOLDEN, ids=[g[1][:40] or "removed" for g in GOLDEN])
def test_every_fault_names_file_line_key_and_fix(refused, old, new, message):
    """The message is whole: place, key, what is wrong, what is nearest."""
    assert old in GOOD
    assert refused(GOOD.replace(old, new, 1)) == message


MATRIX = """\
target: {url: simulator}
steps:
  - {arrivals: poisson, duration: 5s}
  - {concurrency: 4, requests: 10}
matrix:
  rate: [5/s, 10/s]
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("poisson,", "poisson, rate: 1/s,", "s.yaml:6: matrix.rate: steps.0 has rate already; a matrix fills only what is left open"),
        ("rate: [5/s, 10/s]", "concurrency: [1, 2]", "s.yaml:3: steps.0: arrivals: poisson needs rate, here or in the matrix"),
        ("rate: [5/s, 10/s]", "rate: []", "s.yaml:6: matrix.rate: at least 1 is wanted, not 0"),
        ("rate: [5/s, 10/s]", "rate: [5/s, 10]", "s.yaml:6: matrix.rate.1: a rate with its unit is wanted, such as 20/s, not 10; write 10/s"),
        ("rate: [5/s, 10/s]", "duration: [5s]", "s.yaml:6: matrix.duration: unknown key (known: rate, concurrency, input_tokens, output_tokens)"),
        ("matrix:", "workload: {input_tokens: 9}\nmatrix:\n  input_tokens: [1, 2]",
         "s.yaml:7: matrix.input_tokens: workload has input_tokens already; a matrix fills only what is left open"),
        ("duration: 5s", "requests: 5", ""),
        ("rate: [5/s, 10/s]", "rate: [{from: 1/s, to: 9/s}]", ""),
    ],
)  # fmt: skip
def test_a_matrix_fills_only_what_is_open(refused, load, old, new, message):
    """A key that the steps have, or that no step can use, is an error; ``rate`` goes to open steps, ``concurrency`` to closed ones."""
    text = MATRIX.replace(old, new, 1)
    assert text != MATRIX
    if not message:
        assert load(text).form.matrix is not None
    else:
        said = refused(text)
        assert said == message or (
            new.startswith("duration") and said.startswith("s.yaml:6: matrix.duration: unknown key")
        )


def test_a_matrix_ramp_needs_a_duration(refused):
    """A ramp in a matrix has the same need as one in a step."""
    text = MATRIX.replace("duration: 5s", "requests: 5").replace("[5/s, 10/s]", "[{from: 1/s, to: 9/s}]")
    assert refused(text) == "s.yaml:6: matrix.rate: a ramp of the rate needs a duration; steps.0 has none"


def test_a_matrix_of_ten_million_cells_is_refused_at_once(refused):
    """The product is taken before any cell is made."""
    numbers = ", ".join(str(n) for n in range(1, 217))
    text = f"target: {{url: simulator}}\nsteps: [{{duration: 5s}}]\nmatrix:\n  concurrency: [{numbers}]\n  input_tokens: [{numbers}]\n  output_tokens: [{numbers}]\n"
    assert refused(text) == "s.yaml:3: matrix: 10,077,696 cells make 10,077,696 steps; at most 10,000 are run"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "s.yaml: empty; a scenario needs a target and steps"),
        ("# nothing\n", "s.yaml: empty; a scenario needs a target and steps"),
        ("- a\n- b\n", "s.yaml:1: a scenario is a mapping of keys such as target and steps, not ['a', 'b']"),
        ("target: {url: simulator\nsteps: []\n", "s.yaml:2: not YAML: expected ',' or '}', but got ':'"),
        ("a:\n\t- b\n", "s.yaml:2: not YAML: a line is indented with a tab; YAML takes blanks alone"),
        ("a: 1\n---\nb: 2\n", "s.yaml:2: not YAML: a second document begins here (---); a file holds one scenario"),
        ("target: {url: simulator}\nsteps: []\n", "s.yaml:2: steps: at least 1 is wanted, not 0"),
        ("target: {url: simulator}\n", "s.yaml:1: steps is missing"),
        ("? [a, b]\n: c\n", "s.yaml:1: a key is one word, not a list or a mapping"),
        ("a: &x [*x]\n", "s.yaml:1: too large or too deep for a scenario"),
        ("steps: [{rate: 1/s, duration: 5s}]\n", "s.yaml:1: no target: give target with its url, or --target URL (simulator is the built-in endpoint)"),
        ("a: !!python/object:os.system {}\n", ("s.yaml:1: not YAML: could not determine a constructor for the tag "
         "'tag:yaml.org,2002:python/object:os.system'")),
    ],
)  # fmt: skip
def test_what_is_no_scenario(refused, text, message):
    """Broken YAML names its line; aliases that grow without end and objects of code are refused."""
    assert refused(text) == message


def test_a_laugh_of_aliases_is_refused(refused):
    """Nine levels of nine aliases are two lines and 10⁹ nodes."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert "too large" in refused("\n".join(lines) + "\n")


def test_a_key_without_a_value_says_nothing(load):
    """``workload:`` or ``warmup:`` with nothing after it is as if it were not there; a null in the body is sent."""
    text = GOOD.replace("workload: {input_tokens: 512, output_tokens: 128}", "workload:\nwarmup:\nmatrix:")
    read = load(
        text.replace("  model:", "  body: {stop: null}\n  model:").replace("duration: 30s", "duration: 30s, name:")
    )
    assert read.form.workload.input_tokens is None
    assert (read.form.warmup, read.form.steps[0].name) == (0, None)
    assert read.form.target.body == {"stop": None}


def test_an_alias_is_a_copy(load):
    """What an anchor repeats is set apart by ``--set`` and by flags."""
    text = "target: {url: simulator}\nsteps:\n  - &one {concurrency: 1, requests: 5}\n  - *one\n  - {<<: *one, requests: 7}\n"
    form = load(text, sets=["steps.0.requests=9"]).form
    assert [s.requests for s in form.steps] == [9, 5, 7]
    assert [s.concurrency.start for s in form.steps] == [1, 1, 1]


def test_all_faults_are_told_at_once(refused):
    """A person mends a file in one go."""
    said = refused(GOOD.replace("seed", "sead").replace("30s", "30").replace("concurrency: 64", "concurrency: 0"))
    assert [line.split(":")[1] for line in said.splitlines()] == ["10", "11", "2"]


def test_a_file_that_is_not_there(load, tmp_path):
    """A missing file tells the nearest shipped scenario; a folder and a binary file are told, too."""
    with pytest.raises(
        ScenarioError, match=r"qick: no such file; nearest shipped scenario: 'quick' \(shipped: baseline"
    ):
        reading.load("qick", {}, [])
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match="not UTF-8"):
        reading.load(str(tmp_path / "b.yaml"), {}, [])
    with pytest.raises(ScenarioError, match="cannot be read: Is a directory"):
        reading.load(str(tmp_path), {}, [])


def test_the_resolved_text_runs_again_alike(load, tmp_path):
    """What the run folder keeps loads to the same form, seed included; a seed that nobody gave differs from run to run."""
    read = load(GOOD.replace("seed: 42\n", ""))
    (tmp_path / "again.yaml").write_text(read.text())
    again = reading.load(str(tmp_path / "again.yaml"), {}, [])
    assert (again.seed, again.text(), again.digest()) == (read.seed, read.text(), read.digest())
    assert len({load(GOOD.replace("seed: 42\n", "")).seed for _ in range(3)}) == 3


def test_targets_by_name(load, refused):
    """Several targets have names; target and targets exclude each other."""
    several = GOOD.replace("target:\n", "targets:\n  direct: {url: http://a/v1, model: m}\n  gateway:\n").replace(
        "\n  ", "\n    "
    )
    several = several.replace("    direct", "  direct").replace("    gateway", "  gateway").replace("    - ", "  - ")
    assert list(load(several).form.target_forms()) == ["direct", "gateway"]
    assert "target and targets are both given" in refused(several + "target: {url: simulator}\n")
    assert refused(several.replace("  gateway", "  gate/way")).startswith(
        "s.yaml:5: targets.gate/way: 'gate/way': a target's name"
    )


def test_the_schema_describes_what_a_person_writes():
    """Short forms are in the JSON Schema beside the long ones, every key of a step is there, and unknown keys are not allowed."""
    schema = reading.json_schema()
    step = schema["$defs"]["StepForm"]
    assert schema["additionalProperties"] is False
    assert {"arrivals", "rate", "concurrency", "duration", "requests", "trace", "burstiness", "think"} <= set(
        step["properties"]
    )
    short, long, _ = step["properties"]["rate"]["anyOf"]
    assert short["type"] == "string"
    assert set(long["properties"]) == {"from", "to"}
    assert schema["properties"]["steps"]["minItems"] == 1


def test_the_schemas_defaults_are_in_the_form_of_a_person():
    """No default in the schema is a number of nanoseconds: each would be refused in a file."""

    def defaults(part):
        if isinstance(part, dict):
            yield from ([part["default"]] if "default" in part else [])
            for inner in part.values():
                yield from defaults(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from defaults(inner)

    found = list(defaults(reading.json_schema()))
    assert "30s" in found
    assert [d for d in found if isinstance(d, int) and d > 10_000_000] == []
