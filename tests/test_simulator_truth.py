"""The truth log against what a client saw, and the life of the processes that write it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections import Counter

import pytest
from simulator_client import ANTHROPIC, ROOT, TIMEOUT_S, Reader, Response, ask, chat, command, request, running

from simulator.words import fingerprint

MS = 1_000_000


def test_every_token_sent_is_in_the_log(tmp_path):
    """As many rows as tokens arrived, in order, each written no earlier than due and due as the model says."""
    with running(ttft="5ms", itl="2ms", truth=tmp_path) as server:
        seen = {f"r{n}": ask(server, chat(n + 1), {"x-request-id": f"r{n}"}) for n in range(5)}
        assert server.stop() == 0
    requests = {row["x_request_id"]: row for row in server.rows("requests")}
    tokens = server.rows("tokens")
    for name, response in seen.items():
        row = requests[name]
        mine = [token for token in tokens if token["request_number"] == row["request_number"]]
        assert row["outcome"] == "ok"
        assert len(mine) == row["written_chunks"] == row["output_tokens"] == len(response.deltas())
        assert [token["chunk_index"] for token in mine] == list(range(len(mine)))
        assert [token["due_ns"] - row["received_ns"] for token in mine] == [(5 + 2 * k) * MS for k in range(len(mine))]
        assert all(token["write_ns"] >= token["due_ns"] and token["complete"] for token in mine)
        times = [
            row["received_ns"],
            row["first_write_ns"],
            *(token["write_ns"] for token in mine),
            row["done_ns"],
            row["ended_ns"],
        ]
        assert times == sorted(times)
    assert len(tokens) == sum(len(response.deltas()) for response in seen.values())
    assert not list(tmp_path.glob("*.part"))


def test_each_end_has_its_outcome(tmp_path):
    """A client that left, a fault, a refusal, a wrong request and what the stop cut short are told apart."""
    with running(rpm=4, truth=tmp_path, itl="20ms") as server:
        with server.connect() as sock:
            sock.sendall(request(chat(500), {"x-request-id": "left"}))
            sock.recv(1)
        ask(server, chat(4), {"x-request-id": "broken", "x-sim-fault": "truncated"})
        ask(server, chat(1), {"x-request-id": "good"})
        ask(server, b"{", {"x-request-id": "wrong"})
        with server.connect() as sock:
            sock.sendall(request(chat(5_000), {"x-request-id": "cut"}))
            sock.recv(1)
            assert ask(server, chat(1), {"x-request-id": "refused"}).status == 429
            assert server.stop() == 0
    rows = {row["x_request_id"]: row for row in server.rows("requests")}
    assert {name: row["outcome"] for name, row in rows.items()} == {
        "left": "gone",
        "broken": "fault",
        "good": "ok",
        "wrong": "client_error",
        "cut": "stopped",
        "refused": "refused",
    }
    assert rows["broken"]["fault"] == "truncated"
    assert rows["broken"]["written_chunks"] == 2
    assert rows["left"]["done_ns"] is None
    assert rows["refused"]["status"] == 429
    assert rows["refused"]["limit_requests"] == 4
    assert rows["refused"]["wait_ns"] > 0


def test_a_client_that_reads_late_gets_everything(tmp_path):
    """Writes that the kernel does not take are held, sent in order, and marked in the log."""
    with running(itl=0, truth=tmp_path) as server:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            sock.settimeout(TIMEOUT_S)
            sock.connect(("127.0.0.1", server.port))
            sock.sendall(request(chat(60_000)))
            assert ask(server, chat(2)).ended == "clean"  # by now the first answer is written as far as it goes
            response = Reader(sock).response()
        server.stop()
    assert response.ended == "clean"
    assert len(response.deltas()) == 60_000
    rows = [row for row in server.rows("tokens") if row["request_number"] == 0]
    assert len(rows) == 60_000
    assert not all(row["complete"] for row in rows)


def test_processes_share_a_port_and_nothing_else(tmp_path):
    """Each process logs what it served; together they served everything once, under numbers that never meet."""
    with running(processes=2, truth=tmp_path) as server:
        assert len(server.ready["pids"]) == 2
        for n in range(40):
            assert ask(server, chat(1), {"x-request-id": str(n)}).ended == "clean"
        assert server.stop() == 0
    rows = server.rows("requests")
    assert sorted(int(row["x_request_id"]) for row in rows) == list(range(40))
    assert len({row["request_number"] for row in rows}) == 40
    assert set(Counter(row["process"] for row in rows)) == {0, 1}
    assert all(row["request_number"] // 10**9 == row["process"] for row in rows)


def test_a_lost_process_ends_them_all():
    """When a child dies the parent stops the others and says so by its exit code."""
    with running(processes=2) as server:
        os.kill(server.ready["pids"][0], signal.SIGKILL)
        assert server.process.wait(TIMEOUT_S) == 1


@pytest.mark.parametrize("processes", [1, 2])
def test_it_ends_with_its_standard_input(processes, tmp_path):
    """So a killed console leaves no orphan, and the truth is whole."""
    with running("--until-stdin-closes", stdin=subprocess.PIPE, processes=processes, truth=tmp_path) as server:
        ask(server, chat(2))
        assert server.process.stdin is not None
        server.process.stdin.close()
        assert server.process.wait(TIMEOUT_S) == 0
        server.process.stdin = None
    assert len(server.rows("tokens")) == 2


def test_what_was_logged_survives_a_kill(tmp_path):
    """Segments are complete files: SIGKILL costs at most the last few seconds' rows."""
    with running(truth=tmp_path) as server:
        ask(server, chat(2))
        while not list(tmp_path.glob("truth-tokens-0.*.parquet")):
            ask(server, chat(2))
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(TIMEOUT_S)
    assert len(server.rows("tokens")) >= 2


@pytest.mark.parametrize(
    ("options", "words"),
    [({"tpm": "many"}, "tpm"), ({"limits": "x"}, "write it like"), ({"host": "198.51.100.7"}, "cannot listen")],
)
def test_wrong_options_exit_with_2(options, words):
    """The command line tells what is wrong on standard error."""
    done = subprocess.run(command(**options), cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize("stream", [True, False])
def test_the_log_proves_a_conversations_history(tmp_path, stream):
    """What a later turn sends as the assistant's words has the fingerprint of the answer that was given, in all APIs with messages."""
    paths = {"/v1/chat/completions": "messages", "/v1/messages": "messages", "/v1/responses": "input"}
    with running(truth=tmp_path, reasoning="50%") as server:
        for path, field in paths.items():
            first = [{"role": "user", "content": "one two"}]
            body = {"model": "m", "stream": stream, "max_tokens": 6, field: first}
            said = content(path, ask(server, body, ANTHROPIC, path=path))
            turns = [*first, {"role": "assistant", "content": said}, {"role": "user", "content": "three"}]
            ask(server, body | {field: turns}, ANTHROPIC, path=path)
        server.stop()
    rows = server.rows("requests")
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        assert first["api"] == second["api"]
        assert (first["messages"], second["messages"]) == (1, 3)
        assert second["roles"] == ["user", "assistant", "user"]
        assert second["message_hashes"][0] == first["message_hashes"][0]
        assert second["message_hashes"][1] == first["answer_hash"]
        assert second["message_hashes"][2] != first["message_hashes"][0]


def content(path: str, found: Response) -> str:
    """The answer's text, reasoning left out."""
    if found.headers["content-type"] == "application/json":
        document = json.loads(found.body)
        if path == "/v1/chat/completions":
            return document["choices"][0]["message"]["content"]
        part = document["content"] if path == "/v1/messages" else document["output"][-1]["content"]
        return part[-1]["text"]
    if path == "/v1/chat/completions":
        return "".join(found.deltas())
    if path == "/v1/messages":
        deltas = [event["delta"] for event in found.events() if event["type"] == "content_block_delta"]
        return "".join(delta.get("text", "") for delta in deltas)
    return "".join(event["delta"] for event in found.events() if event["type"] == "response.output_text.delta")


def test_an_answer_that_was_cut_is_hashed_as_far_as_it_came(tmp_path):
    """The history that a client can know of is what was sent."""
    with running(truth=tmp_path) as server:
        cut = ask(server, chat(8), {"x-sim-fault": "truncated"})
        server.stop()
    assert server.rows("requests")[0]["answer_hash"] == fingerprint("".join(cut.deltas()))
