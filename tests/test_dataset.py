"""Prompts from files: every form gives the same records, every fault names its place, what is kept is what the filters say."""

import gzip
import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import workload
from generator.errors import ScenarioError
from generator.job import Correction, DatasetOptions, Length, Step, WorkloadSpec
from generator.run_dir import RunDir
from generator.workload import dataset, picking
from generator.workload.dataset import Dataset

RECORDS = [
    {"prompt": "one", "id": "a", "want": 5},
    {"prompt": "zwei\u2028 zwei", "id": "b", "want": 6},
    {"prompt": '三, "three"', "id": "c", "want": 7},
]


def written(folder, name, records=RECORDS):
    """The records in the form that the name says."""
    path = folder / name
    form = name.removesuffix(".gz").rsplit(".", 1)[1]
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
        return path
    if form == "jsonl":
        data = "".join(json.dumps(r, ensure_ascii=False) + "\r\n\n" for r in records)
    elif form == "json":
        data = json.dumps(records, indent=1)
    else:
        rows = [[json.dumps(str(v), ensure_ascii=False).replace('\\"', '""') for v in r.values()] for r in records]
        data = "\n".join(",".join(row) for row in [list(records[0]), *rows])
    path.write_bytes(gzip.compress(data.encode()) if name.endswith(".gz") else data.encode())
    return path


FORMS = ["d.jsonl", "d.jsonl.gz", "d.json", "d.json.gz", "d.csv", "d.csv.gz", "d.parquet"]


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_prompts(tmp_path, name):
    """Prompts, in the file's order and from the start again; the record is whole; a wanted length is the record's own."""
    read = Dataset(written(tmp_path, name), DatasetOptions(output_tokens_field="want"))
    assert len(read) == 3
    assert [read.text(n) for n in range(4)] == ["one", "zwei\u2028 zwei", '三, "three"', "one"]
    assert read.record(1)["id"] == "b"
    assert [read.output_tokens(read.record(n)) for n in range(3)] == [5, 6, 7]


@pytest.mark.parametrize("name", FORMS)
def test_the_plans_index_gives_what_the_file_gave(tmp_path, name):
    """A worker that maps the index reads the records that the plan kept, and no others."""
    path = written(tmp_path, name)
    options = DatasetOptions(min_chars=4)
    planned = Dataset(path, options)
    again = Dataset(path, options, (0, 0), planned.index)
    assert (
        [again.text(n) for n in range(4)]
        == [planned.text(n) for n in range(4)]
        == ["zwei\u2028 zwei", '三, "three"'] * 2
    )


def test_text_a_prompt_a_line_or_a_paragraph(tmp_path):
    """Blank lines part paragraphs and are no prompts; the record of a text is the text."""
    path = tmp_path / "p.txt"
    path.write_bytes(b"\none\r\ntwo\n \nthree\n\n\nfour\nfive")
    lines = Dataset(path)
    assert [lines.text(n) for n in range(len(lines))] == ["one", "two", "three", "four", "five"]
    whole = Dataset(path, DatasetOptions(paragraphs=True))
    assert [whole.text(n) for n in range(len(whole))] == ["one\r\ntwo", "three", "four\nfive"]
    assert whole.record(1) == "three"


@given(st.lists(st.lists(st.text("ab ", min_size=1).filter(str.strip), min_size=1, max_size=4), min_size=1, max_size=6))
@settings(deadline=None, max_examples=50)
def test_paragraphs_are_lines_between_blank_ones(tmp_path_factory, paragraphs):
    """Whatever the lines, joining them with blank lines and reading paragraphs gives them back."""
    path = tmp_path_factory.mktemp("p") / "p.txt"
    path.write_text("\n\n".join("\n".join(lines) for lines in paragraphs))
    read = Dataset(path, DatasetOptions(paragraphs=True))
    assert [read.text(n) for n in range(len(read))] == ["\n".join(lines) for lines in paragraphs]


HUMAN = {"from": "human", "value": "hi"}
GPT = {"from": "gpt", "value": "hello"}
MORE = {"from": "human", "value": "and?"}


@pytest.mark.parametrize(
    ("value", "text", "messages", "turns"),
    [
        ("hi", "hi", None, ("hi",)),
        (["first", "second"], "first", None, ("first", "second")),
        # ShareGPT: up to the last thing that a person says; the answer after it is what is asked for.
        ([HUMAN, GPT, MORE, GPT], "and?", [("user", "hi"), ("assistant", "hello"), ("user", "and?")], ("hi", "and?")),
        ([{"from": "system", "value": "be kind"}, HUMAN], "hi", [("system", "be kind"), ("user", "hi")], ("hi",)),
        (
            [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "no"}],
            "hi",
            [("user", "hi")],
            ("hi",),
        ),
        # A tool's result comes after the person's last word and is part of what is asked.
        (
            [{"role": "user", "content": "hi"}, {"role": "tool", "content": "42"}],
            "42",
            [("user", "hi"), ("tool", "42")],
            ("hi",),
        ),
    ],
)
def test_shapes(value, text, messages, turns):
    """The shape of the value, not the field's name, tells what it is."""
    picked = picking.pick({"x": value}, "x")
    assert (picked.text, picked.turns) == (text, turns)
    assert (picked.messages and [(m["role"], m["content"]) for m in picked.messages]) == messages


def test_messages_of_parts():
    """OpenAI's messages pass through as they are; the text is that of the text parts."""
    parts = [{"type": "text", "text": "what is"}, {"type": "image_url", "image_url": {"url": "data:"}}]
    picked = picking.pick({"messages": [{"role": "user", "content": parts}]}, None)
    assert picked.text == "what is"
    assert picked.messages == ({"role": "user", "content": parts},)


def test_fields():
    """A known field is found, a named one is taken, dots lead inside, and a field whose name has a dot is itself."""
    assert picking.pick({"id": 1, "turns": ["a", "b"]}, None).text == "a"
    assert picking.pick({"prompt": "p", "question": "q"}, "question").text == "q"
    assert picking.pick({"data": {"q": ["x"]}}, "data.q").text == "x"
    assert picking.pick({"data.q": "y", "data": {"q": "x"}}, "data.q").text == "y"


def test_a_whole_record_is_its_json(tmp_path):
    """For a plain HTTP API a record needs no prompt: its text is its JSON; where it has a known field, that is the text."""
    path = written(tmp_path, "d.jsonl", [{"a": 1}, {"prompt": "p"}])
    read = Dataset(path, DatasetOptions(whole=True))
    assert [read.text(0), read.text(1)] == ['{"a":1}', "p"]


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("p.jsonl", b"", {}, "p.jsonl: no prompts"),
        ("p.jsonl", b'{"prompt": "a"}\n{"x": "b"}\n', {}, r"p.jsonl:2: none of the fields prompt, .*; it has x; name the field"),
        ("p.jsonl", b'{"prompt": "a"}\n', {"field": "q.r"}, "p.jsonl:1: no field `q.r`; it has prompt"),
        ("p.jsonl", b'{"prompt": " "}\n', {}, "p.jsonl:1: the prompt is empty; min_chars: 1 leaves such records out"),
        ("p.jsonl", b'{"turns": []}\n', {}, "p.jsonl:1: the conversation has no message of a person"),
        ("p.jsonl", b'{"conversations": [{"from": "gpt", "value": "x"}]}\n', {}, "no message of a person"),
        ("p.jsonl", b'{"conversations": [{"from": "cat", "value": "x"}]}\n', {}, "p.jsonl:1: message 1 is from 'cat'; known"),
        ("p.jsonl", b'{"messages": ["x", {}]}\n', {}, "p.jsonl:1: message 1 has neither role and content"),
        ("p.jsonl", b'{"prompt": 3}\n', {}, "p.jsonl:1: `prompt` is neither a text nor a list of messages, but 3"),
        ("p.jsonl", b"[1]\n", {}, "p.jsonl:1: a JSON object is wanted"),
        ("p.jsonl", b"\n{\n", {}, "p.jsonl:2: not JSON"),
        ("p.jsonl", b"\xff\n", {}, "p.jsonl:1: not JSON"),
        ("p.jsonl", b'{"prompt": "a", "k": "x"}', {"output_tokens_field": "k"}, "p.jsonl:1: `k` is no number of tokens, but 'x'"),
        ("p.jsonl", b'{"prompt": "a"}', {"min_chars": 9}, "p.jsonl: no prompts left by min_chars 9"),
        ("p.json", b'{"prompt": "a"}', {}, "p.json: a JSON array of objects is wanted"),
        ("p.json", b'[{"prompt": "a"}, 3]', {}, "p.json: item 2: a JSON object is wanted"),
        ("p.csv", b"", {}, "p.csv: the dataset is empty"),
        ("p.csv", b'prompt\na\n""\n', {}, "p.csv:3: the prompt is empty"),
        ("p.csv", b"prompt\na,b\n", {}, "p.csv:2: more values than the header has columns"),
        ("p.csv", b"prompt\n\xff\n", {}, "p.csv: the dataset is damaged"),
        ("p.txt", b"a\n\xff\n", {}, "p.txt:2: not UTF-8 text"),
        ("p.parquet", b"PAR1", {}, "p.parquet: the dataset is no Parquet file that can be read"),
        ("p.dat", b"x", {}, "p.dat: .dat tells no format; give format: jsonl, json, csv, parquet or text"),
        ("p.jsonl.gz", b"plain", {}, "p.jsonl.gz: the dataset cannot be read"),
        ("p.jsonl.gz", gzip.compress(b"{}" * 999, mtime=0)[:-9], {}, "p.jsonl.gz: the dataset is damaged"),
    ],
)  # fmt: skip
def test_a_bad_dataset_names_its_place(tmp_path, name, content, options, message):
    """Every fault of a file of prompts is a ScenarioError with the file, and the line or item where there is one."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ScenarioError, match=message):
        Dataset(path, DatasetOptions(**options))


def test_a_dataset_that_is_not_there(tmp_path):
    """A missing file is told by its name."""
    with pytest.raises(ScenarioError, match=r"p\.jsonl: the dataset cannot be read: No such file"):
        Dataset(tmp_path / "p.jsonl")


def test_a_dataset_that_changes_after_the_plan(tmp_path):
    """An index of another file would cut prompts anywhere: it is refused."""
    path = written(tmp_path, "d.jsonl")
    index = Dataset(path).index
    path.write_text('{"prompt": "other"}\n')
    with pytest.raises(ScenarioError, match="has changed since the plan"):
        Dataset(path, None, (0, 0), index)


def test_what_every_worker_would_hold_is_bounded(tmp_path, monkeypatch):
    """A packed file beyond the bound is an error that tells what to do; mapped files have none."""
    monkeypatch.setattr(dataset, "HELD_BYTES", 50)
    for name in ("d.jsonl.gz", "d.csv", "d.json"):
        with pytest.raises(ScenarioError, match="make it JSONL or text, not packed"):
            Dataset(written(tmp_path, name, RECORDS * 3))
    assert len(Dataset(written(tmp_path, "d.jsonl", RECORDS * 3))) == 9


def test_filters_by_length(tmp_path):
    """Limits are inclusive; tokens are those that the given tokenizer counts."""
    path = written(tmp_path, "d.jsonl", [{"prompt": "a" * k} for k in range(1, 10)])
    read = Dataset(path, DatasetOptions(min_chars=3, max_chars=7))
    assert [len(read.text(n)) for n in range(len(read))] == [3, 4, 5, 6, 7]
    counted = Dataset(path, DatasetOptions(min_tokens=4, max_tokens=4), count=lambda text: math.ceil(len(text) / 2))
    assert [len(counted.text(n)) for n in range(len(counted))] == [7, 8]
    empty = written(tmp_path, "e.jsonl", [{"prompt": ""}, {"prompt": "a"}])
    assert len(Dataset(empty, DatasetOptions(min_chars=1))) == 1


@given(st.integers(1, 60), st.integers(0, 2**40), st.integers(0, 50))
@settings(deadline=None, max_examples=40)
def test_shuffled_passes_are_permutations_of_the_seeds(tmp_path_factory, size, seed, step):
    """Each pass has every prompt once; any order of asking gives the same; another seed, step or pass another order."""
    path = tmp_path_factory.mktemp("s") / "p.txt"
    path.write_text("\n".join(f"{i}" for i in range(size)))
    shuffled = DatasetOptions(order="shuffled")
    read, again = Dataset(path, shuffled, (seed, step)), Dataset(path, shuffled, (seed, step))
    passes = [[read.text(p * size + i) for i in range(size)] for p in range(3)]
    assert all(sorted(p, key=int) == [str(i) for i in range(size)] for p in passes)
    assert [again.text(n) for n in reversed(range(3 * size))] == [t for p in passes for t in p][::-1]
    if size >= 12:  # 1 in 12! that a permutation comes twice
        other = Dataset(path, shuffled, (seed, step + 1))
        assert passes[0] != passes[1]
        assert passes[0] != [other.text(n) for n in range(size)]


def test_turns_and_system_message(tmp_path):
    """What a session will say, and the system message before it."""
    talk = [{"from": "system", "value": "be kind"}, HUMAN, GPT, MORE, GPT]
    read = Dataset(written(tmp_path, "d.jsonl", [{"conversations": talk}, {"turns": ["a", "b", "c"]}, {"prompt": "p"}]))
    assert [read.turns(n) for n in range(3)] == [("hi", "and?"), ("a", "b", "c"), ("p",)]
    assert [read.system(n) for n in range(3)] == ["be kind", None, None]


def test_a_prompt_of_a_dataset(tmp_path):
    """The call gets text, messages and the whole record; a record's own wanted length comes before the workload's."""
    path = written(tmp_path, "d.jsonl", [{"conversations": [HUMAN, GPT], "want": 9, "id": 7}])
    (tmp_path / "plan").mkdir()
    for field, wanted in (("want", 9), (None, 4)):
        spec = WorkloadSpec(
            "w", None, Length("fixed", 4), str(path), dataset_options=DatasetOptions(output_tokens_field=field)
        )
        step = Step(0, "closed 1", "target", "closed", spec, (1, 0), concurrency=1)
        prompt = workload.make(step, RunDir(tmp_path), Correction()).prompt(5)
        assert (prompt.text, prompt.input_tokens, prompt.output_tokens, prompt.words) == ("hi", None, wanted, None)
        assert prompt.messages == ({"role": "user", "content": "hi"},)
        assert prompt.record["id"] == 7
