"""Exact lengths: prompts have just the tokens that were wanted, by the tokenizer and by the target's usage, or the run does not begin."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import orjson
import pytest
import tokenizers_made
from plans import MS, S, folder, plan, step, target
from whole_runs import rows, simulator, with_url

from benchmarks import real_target
from benchmarks.processes import openloop
from generator import coordinator, run_dir
from generator.errors import ScenarioError, TargetError
from generator.job import Correction, Length, WorkloadSpec
from generator.run_dir import RunDir
from generator.workload import exact, make, tokenizer
from generator.workload.synthetic import words

INSTALLED = pytest.mark.skipif(real_target.absent() is not None, reason=str(real_target.absent()))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizers")
    tokenizers_made.byte_level(folder / "good.json", 900)
    tokenizers_made.byte_level(folder / "poor.json", 100)
    tokenizers_made.word_level(folder / "words.json")
    return folder


def planned(file: Path | str, length: Length, **fields: object):
    """A plan of one step with a tokenizer, and its folder."""
    spec = WorkloadSpec("w", length, None, **fields)
    return plan(step(workload=spec, planned_arrivals=50), targets={"t": target(tokenizer=str(file))})


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return run_dir.create(tmp_path, "r")


def test_words_that_are_single_tokens(files: Path) -> None:
    """Those that the tokenizer was taught and hardly any other, in one call for all words at the start of a line and one after a space."""
    calls = []
    ids = tokenizer.local(files / "good.json")
    found = exact.single_words(lambda text: calls.append(text) or ids(text))
    assert len(set(words()[:900]) & set(found)) > 890
    assert len(found) < 1000
    assert all(len(ids(word)) == 1 == len(ids(f"the {word}")) - len(ids("the")) for word in found)
    assert len(calls) <= 8


def test_a_tokenizer_without_ends_of_lines_is_asked_word_by_word(files: Path) -> None:
    """Where lines cannot be told apart each word is counted by itself; the result is the same."""
    assert exact.single_words(tokenizer.local(files / "words.json")) == list(words())


LENGTHS = [
    Length("fixed", value=64),
    Length("uniform", low=1, high=400),
    Length("lognormal", mean=300, sd=500, low=1, high=9000),
]


@pytest.mark.parametrize("length", LENGTHS, ids=lambda length: length.law)
@pytest.mark.parametrize("more", [{}, {"shared_prefix_tokens": 100}, {"shared_prefix_tokens": 33, "prefix_groups": 5}])
def test_every_prompt_has_the_tokens_that_are_wanted(
    files: Path, run: RunDir, length: Length, more: dict[str, int]
) -> None:
    """200 prompts of each kind, counted by the tokenizer that was given: wanted less what the template adds."""
    made = planned(files / "good.json", length, **more)
    exact.learn(made, run)
    correction = Correction(0, 1) if length.low == 1 else Correction(7, 1)
    exact.verify(made, run, {"t": correction})
    workload = make(made.steps[0], run, correction)
    ids = tokenizer.local(files / "good.json")
    for n in range(200):
        prompt = workload.prompt(n)
        assert len(ids(prompt.text)) == prompt.input_tokens - correction.overhead_tokens == prompt.words


def test_blocks_of_a_trace_are_exact_too(files: Path, run: RunDir) -> None:
    """Prompts made of a trace's blocks have its lengths."""
    made = planned(files / "good.json", Length("trace"), block_tokens=64)
    np.save(run.lengths_path(0), np.array([[200, 1], [130, 1], [64, 1]] * 20, dtype=np.int32))
    np.save(run.plan_array_path("blocks-0"), np.array([1, 2, 3, 4, 1, 2, 5, 9] * 20))
    np.save(run.plan_array_path("block-ends-0"), np.cumsum([4, 3, 1] * 20))
    exact.learn(made, run)
    exact.verify(made, run, {})
    ids = tokenizer.local(files / "good.json")
    workload = make(made.steps[0], run, Correction())
    assert [len(ids(workload.prompt(n).text)) for n in range(6)] == [200, 130, 64] * 2


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (Length("fixed", value=20), r"step 'step 0': a prompt of 20 tokens cannot be made: the target adds 30 of its own; ask for 31"),
        (Length("uniform", low=25, high=40), r"a prompt of 25 tokens cannot be made"),
        (Length("normal", mean=60, sd=30, low=1, high=90), r"a prompt of \d+ tokens cannot be made"),
    ],
)  # fmt: skip
def test_a_length_that_cannot_be_hit_stops_the_run(files: Path, run: RunDir, length: Length, message: str) -> None:
    """Shorter than the template: told before the run, with the step, the length and the least that there may be."""
    made = planned(files / "good.json", length)
    exact.learn(made, run)
    with pytest.raises(ScenarioError, match=message):
        exact.verify(made, run, {"t": Correction(30, 1)})


def test_what_was_not_drawn_may_be_too_short(files: Path, run: RunDir) -> None:
    """A bell that could, but in this run does not, fall below the template is no error; one that does so later stops the run there."""
    made = planned(files / "good.json", Length("normal", mean=500, sd=1, low=1, high=900))
    exact.learn(made, run)
    exact.verify(made, run, {"t": Correction(30, 1)})
    short = make(planned(files / "good.json", Length("fixed", value=10)).steps[0], run, Correction(30, 1))
    with pytest.raises(ScenarioError, match="a prompt of 10 tokens cannot be made"):
        short.prompt(0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("poor.json", r"target 't': tokenizer: only \d+ of 2,048 English words are single tokens to it; exact lengths need 256"),
        ("none.json", r"target.tokenizer: .*none.json: no such file"),
    ],
)  # fmt: skip
def test_tokenizers_that_cannot_be_exact(files: Path, run: RunDir, name: str, message: str) -> None:
    """Too few single words, no file: an error before anything is sent."""
    with pytest.raises(ScenarioError, match=message):
        exact.learn(planned(files / name, Length("fixed", value=64)), run)


def test_words_that_join_in_company(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer to which each word is one token, but two neighbours are one as well, is found out by the text as a whole."""
    numbers = {word: n for n, word in enumerate(words(), 1)}

    def ids(text: str) -> list[int]:
        if "\n" in text:
            return [i for line in text.split("\n") for i in (numbers.get(line.strip(), 9999), 0)][:-1]
        found = [numbers.get(word, 9999) for word in text.split()]
        return found if len(found) <= 2 else found[:-1]

    monkeypatch.setattr(tokenizer, "of_target", lambda _: ids)
    with pytest.raises(ScenarioError, match="2,048 words that are single tokens one by one come to 2,047 together"):
        exact.learn(planned("x", Length("fixed", value=64)), run)


def test_a_file_that_is_no_tokenizer(tmp_path: Path) -> None:
    """Told with its name."""
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(ScenarioError, match=r"t\.json: no tokenizer\.json that can be read"):
        tokenizer.local(tmp_path / "t.json")


def test_the_library_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the error says what to install."""
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ScenarioError, match=r"pip install 'openloop\[tokenizer\]'"):
        tokenizer.local(tmp_path / "t.json")


@pytest.mark.parametrize(
    ("counted", "correction"),
    [
        ([(16, 46), (256, 286), (16, 46)], Correction(30, 1)),
        ([(16, 16)], Correction(0, 1)),
        ([(16, None), (None, 3)], None),
    ],
)
def test_what_the_template_adds(counted: list[tuple[int | None, int | None]], correction: Correction | None) -> None:
    """A constant, whole number of tokens; without usage nothing is known."""
    assert exact.corrected("t", [{"words": w, "input_tokens": t} for w, t in counted]) == correction


@pytest.mark.parametrize("counted", [[(16, 46), (256, 290)], [(16, 12)]])
def test_a_target_that_counts_otherwise(counted: list[tuple[int, int]]) -> None:
    """Another model's tokenizer is found out by the probe."""
    with pytest.raises(ScenarioError, match="is it the model's own tokenizer"):
        exact.corrected("t", [{"words": w, "input_tokens": t} for w, t in counted])


# -- the target's own ------------------------------------------------------------------------------------------------------


@contextmanager
def answering(status: int, answer: object) -> Iterator[tuple[str, list[tuple[str, dict[str, str], dict[str, object]]]]]:
    """The URL of a server that tokenizes by spaces; ``answer`` makes its words of the tokens, or is the whole body."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append((self.path, dict(self.headers), body))
            said = answer(body) if callable(answer) else answer
            data = said if isinstance(said, bytes) else orjson.dumps(said)
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
        server.shutdown()


@pytest.mark.parametrize(
    "answer",
    [
        lambda body: {"count": 2, "max_model_len": 9, "tokens": [len(w) for w in body["prompt"].split()]},
        lambda body: {"tokens": [len(w) for w in body["content"].split()]},
        lambda body: {"tokens": [{"id": len(w), "piece": w} for w in body["content"].split()]},
    ],
    ids=["vllm", "llama.cpp", "llama.cpp with pieces"],
)
def test_the_targets_tokenize(answer: object) -> None:
    """Both dialects of one path beside /v1; the key goes with it, and no mark of the template is asked for."""
    with answering(200, answer) as (url, asked):
        ids = tokenizer.endpoint(target(url=url, api_key="k", headers={"x-tenant": "a"}))
        assert ids("one three") == [3, 5]
    path, headers, body = asked[0]
    assert path == "/tokenize"
    assert {k.lower(): v for k, v in headers.items()}.items() >= {"authorization": "Bearer k", "x-tenant": "a"}.items()
    assert (body["add_special_tokens"], body["add_special"], body["model"]) == (False, False, "m")


@pytest.mark.parametrize(
    ("status", "answer", "message"),
    [
        (404, b"not here", r"/tokenize: HTTP 404: not here; tokenizer: endpoint needs a target that has /tokenize"),
        (200, b"<html>", "an answer with a list of tokens was expected, not <html>"),
        (200, {"tokens": "x"}, "a list of tokens was expected"),
        (200, {"tokens": [None]}, "a list of tokens was expected"),
        (200, [], "a list of tokens was expected"),
    ],
)
def test_a_target_that_does_not_tokenize(status: int, answer: object, message: str) -> None:
    """Whatever it says instead, the error names the address."""
    with answering(status, answer) as (url, _), pytest.raises(TargetError, match=message):
        tokenizer.endpoint(target(url=url))("x")


def test_a_target_that_is_not_there() -> None:
    """Refused: a TargetError, whose exit code says that no request can succeed."""
    with pytest.raises(TargetError, match="cannot be asked"):
        tokenizer.endpoint(target(url="http://127.0.0.1:9/v1"))("x")


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("http://h:1/v1", "http://h:1/tokenize"),
        ("https://h/a/v1/", "https://h/a/tokenize"),
        ("http://h", "http://h/tokenize"),
    ],
)
def test_where_tokenize_is(url: str, where: str) -> None:
    """Beside the API's base."""
    assert tokenizer.tokenize_url(url) == where


# -- whole runs ------------------------------------------------------------------------------------------------------------


def main_rows(run: Path) -> list[dict[str, object]]:
    return [row for row in rows(RunDir(run)) if row["phase"] == "main"]


def test_a_run_with_exact_lengths(files: Path, tmp_path: Path) -> None:
    """What the target counts is what was wanted, request by request; the manifest says what was learned."""
    scenario = {
        "seed": 5,
        "target": {
            "url": "simulator",
            "simulator": {"ttft": "5ms", "itl": "1ms"},
            "tokenizer": str(files / "good.json"),
        },
        "workload": {"input_tokens": {"uniform": [60, 900]}, "output_tokens": 4},
        "steps": [{"concurrency": 4, "requests": 60}],
    }
    run = openloop(scenario, "exact", tmp_path, expect=(0, 3)).run
    found = main_rows(run)
    assert len(found) == 60
    assert [r["input_tokens"] for r in found] == [r["input_tokens_wanted"] for r in found]
    probed = json.loads((run / "manifest.json").read_text())["probe"]["target"]
    assert probed["tokens_per_word"] == 1
    assert 890 < probed["tokenizer_words"] < 1000


@INSTALLED
def test_exact_lengths_at_a_real_server(tmp_path: Path) -> None:
    """llama.cpp's /tokenize tells the words, its template's share comes from the probe: every usage is what was wanted."""
    with real_target.serving(tmp_path / "log") as ready:
        scenario = {
            "seed": 5,
            "target": {"url": ready["url"], "model": "smollm2", "tokenizer": "endpoint"},
            "workload": {"input_tokens": {"uniform": [40, 120]}, "output_tokens": 2},
            "steps": [{"concurrency": 2, "requests": 12}],
        }
        found = main_rows(openloop(scenario, "exact", tmp_path, expect=(0, 3)).run)
    assert [r["input_tokens"] for r in found] == [r["input_tokens_wanted"] for r in found]
    assert len(found) == 12


@pytest.mark.parametrize("closed", [False, True])
def test_a_length_that_shows_late_stops_the_run(tmp_path: Path, closed: bool) -> None:
    """Where a length falls below the template only while the load runs, the run stops there with the reason, and what was recorded stays."""
    lengths = np.array([[64, 2]] * 50 + [[1, 2]] * 10, dtype=np.int32)
    spec = WorkloadSpec("w", Length("trace"), Length("trace"))
    made = step(workload=spec, duration_ns=S, rate_rps=60.0, planned_arrivals=60)
    if closed:
        made = step(workload=spec, concurrency=1, requests=60)
    planned = plan(made, probe=2)
    with simulator("--ttft", "5ms", "--itl", "1ms") as url:
        planned = with_url(planned, url)
        run = folder(tmp_path, planned, {} if closed else {0: [n * 16 * MS for n in range(60)]})
        np.save(run.lengths_path(0), lengths)
        # As if a tokenizer had told the words, but nobody had looked at the lengths.
        run.words_path.write_bytes(orjson.dumps({"t": list(words())}))
        end = coordinator.run(planned, run, {})
    assert end.error is not None
    assert "a prompt of 1 tokens cannot be made: the target adds" in end.error
    assert end.exit_code == 2
    assert run.sealed
    assert 1 <= sum(row["phase"] == "main" for row in rows(run)) <= 50


@INSTALLED
def test_a_real_prefix_cache_finds_just_the_shared_prefix(tmp_path: Path) -> None:
    """llama.cpp's own count of cached tokens: the first prompt of a group finds what all prompts share, the template's beginning, and each
    later one that and the prefix, to the token."""
    with real_target.serving(tmp_path / "log") as ready:
        scenario = {
            "seed": 5,
            "target": {"url": ready["url"], "model": "smollm2", "tokenizer": "endpoint"},
            "record": {"texts": "all"},
            "workload": {
                "input_tokens": 110,
                "output_tokens": 2,
                "shared_prefix": {"groups": 2, "prompts": 3, "tokens": 64},
            },
            "steps": [{"concurrency": 1, "requests": 6}],
        }
        run = openloop(scenario, "cached", tmp_path, expect=(0, 3)).run
    texts = {row["request_id"]: str(row["prompt"]) for row in rows(RunDir(run), "texts")}
    cached: dict[str, list[object]] = {}
    for row in sorted(main_rows(run), key=lambda row: str(row["scheduled_ns"])):
        cached.setdefault(texts[row["request_id"]].split(" ")[0], []).append(row["cached_tokens"])
    (first, *_), _ = cached.values()
    assert isinstance(first, int)
    assert first < 110 - 64
    assert list(cached.values()) == [[first, first + 64, first + 64]] * 2
