"""Prompts that begin alike: who shares a prefix with whom is pure, exact, and as the scenario or the trace says."""

from collections import Counter
from importlib import resources
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import workload
from generator.job import Correction, Length, Step, WorkloadSpec
from generator.run_dir import RunDir
from generator.workload import trace
from generator.workload.make import BLOCK_TABLES
from generator.workload.prefixes import Blocks, Groups
from generator.workload.synthetic import Synthetic, words

SEED = (42, 3)


def groups(count, prompts=None, length=20, seed=SEED):
    return Groups(Synthetic(seed), seed, count, prompts, length)


def common(a, b):
    """Words that two texts have in common from the first on."""
    pairs = zip(a.split(" "), b.split(" "), strict=False)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a.split(" ")), len(b.split(" "))))


@given(st.integers(1, 30), st.integers(1, 10), st.integers(0, 2**40), st.integers(0, 9999))
@settings(deadline=None, max_examples=40)
def test_a_round_has_each_prefix_as_often_as_was_asked(count, prompts, seed, step):
    """Of groups · prompts arrivals in a row each group has just ``prompts``; the next round's groups are new ones."""
    made = groups(count, prompts, seed=(seed, step))
    rounds = [[made.group(r * count * prompts + i) for i in range(count * prompts)] for r in range(2)]
    for number, dealt in enumerate(rounds):
        assert Counter(dealt) == dict.fromkeys(range(number * count, (number + 1) * count), prompts)
    again = groups(count, prompts, seed=(seed, step))
    assert [again.group(n) for n in reversed(range(2 * count * prompts))] == (rounds[0] + rounds[1])[::-1]


def test_without_a_number_of_prompts_groups_last():
    """The same prefixes serve the whole step, each as often as any other."""
    made = groups(8)
    assert Counter(made.group(n) for n in range(800)) == dict.fromkeys(range(8), 100)


@pytest.mark.parametrize("length", [1, 2, 7, 300])
def test_prompts_of_a_group_share_its_prefix_and_no_more(length):
    """Two prompts have ``tokens`` words in common when they are of one group, and not even the first when they are not."""
    made = groups(6, 4, length)
    texts = [made.text(n, length + 20) for n in range(48)]
    for a, b in combinations(range(48), 2):
        assert common(texts[a], texts[b]) == (length if made.group(a) == made.group(b) else 0)
    assert all(len(text.split(" ")) == length + 20 for text in texts)


def test_all_groups_of_a_vocabulary_begin_otherwise():
    """2,048 groups in use at a time have 2,048 first words."""
    made = groups(2048, length=5)
    assert len({made.prefix(g, 5).split(" ")[0] for g in range(2048)}) == 2048


def test_a_prompt_shorter_than_the_prefix_keeps_a_word_of_its_own():
    """At least one word is the arrival's; the rest is the beginning of the prefix."""
    made = groups(1, length=50)
    assert common(made.text(0, 10), made.text(1, 10)) == 9


def test_steps_have_other_prefixes():
    """A step does not find its prefixes in a cache that the step before has filled."""
    assert common(groups(1).prefix(0, 20), groups(1, seed=(42, 4)).prefix(0, 20)) < 6


def shared_blocks(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


HASHES = st.lists(st.lists(st.integers(0, 3) | st.integers(-(2**63), 2**63 - 1), max_size=6), min_size=2, max_size=8)


@given(HASHES, st.integers(1, 40), st.data())
@settings(deadline=None, max_examples=60)
def test_equal_ids_are_equal_words(rows, size, data):
    """Two prompts have just as many blocks in common, from the first on, as their lists of ids; each has the words that it should."""
    ids = np.array([i for row in rows for i in row], dtype=np.int64)
    ends = np.cumsum([len(row) for row in rows])
    made = Blocks(Synthetic(SEED), SEED, ids, ends, size)
    # The last block of a prompt may be cut; without blocks, and beyond them, text is the arrival's own.
    lengths = [max(1, len(row) * size + data.draw(st.integers(-size + 1, size))) for row in rows]
    texts = [made.text(n, length) for n, length in enumerate(lengths)]
    assert [len(text.split(" ")) for text in texts] == lengths
    for a, b in combinations(range(len(rows)), 2):
        whole = min(lengths[a] // size, lengths[b] // size)
        assert min(common(texts[a], texts[b]) // size, whole) == min(shared_blocks(rows[a], rows[b]), whole)


def test_a_mooncake_trace_replays_its_shared_prefixes(tmp_path):
    """Of the shipped slice: the words that two prompts have in common are the trace's common blocks of 512 tokens."""
    file = Path(str(resources.files("scenarios") / "data" / "mooncake_conversation_2000.jsonl.gz"))
    read = trace.load(file)
    (tmp_path / "plan").mkdir()
    run = RunDir(tmp_path)
    np.save(run.lengths_path(0), read.lengths)
    for name, array in zip(BLOCK_TABLES, (read.ids, read.ends), strict=True):
        np.save(run.plan_array_path(f"{name}-0"), array)
    spec = WorkloadSpec("w", Length("trace"), Length("trace"), block_tokens=512)
    made = workload.make(Step(0, "trace", "target", "trace", spec, SEED), run, Correction())
    starts = [0, *read.ends.tolist()]
    ids = [read.ids[a:b].tolist() for a, b in zip(starts, read.ends.tolist(), strict=False)]
    seconds = Counter(row[1] for row in ids if len(row) > 1)
    rows = [n for n, row in enumerate(ids) if len(row) > 1 and seconds[row[1]] > 1][:60] + list(range(20))
    texts = {n: made.prompt(n).text for n in rows}
    several = 0
    for a, b in combinations(rows, 2):
        shared = shared_blocks(ids[a], ids[b])
        several += shared > 1
        whole = min(read.lengths[a, 0], read.lengths[b, 0]) // 512
        assert min(common(texts[a], texts[b]) // 512, whole) == min(shared, whole)
    assert several > 10, "the slice must have something to share"
    assert [made.prompt(n).words for n in rows] == read.lengths[rows, 0].tolist()


def test_blocks_follow_what_the_target_counts(tmp_path):
    """At 2 tokens a word a block of 512 tokens is 256 words."""
    (tmp_path / "plan").mkdir()
    run = RunDir(tmp_path)
    np.save(run.lengths_path(0), np.array([[1200, 1], [1300, 1]], dtype=np.int32))
    for name, array in zip(BLOCK_TABLES, ([1, 2, 3, 1, 2, 4], [3, 6]), strict=True):
        np.save(run.plan_array_path(f"{name}-0"), np.array(array))
    spec = WorkloadSpec("w", Length("trace"), None, block_tokens=512)
    made = workload.make(Step(0, "trace", "target", "trace", spec, SEED), run, Correction(0, 2))
    first, second = made.prompt(0), made.prompt(1)
    assert (first.words, second.words) == (600, 650)
    assert common(first.text, second.text) == 512


def test_the_shared_prefix_of_a_scenario(tmp_path):
    """Wanted lengths include the prefix; groups come from the specification; without tokens to share there are none."""
    spec = WorkloadSpec("w", Length("fixed", 64), None, shared_prefix_tokens=16, prefix_groups=4, prefix_prompts=2)
    step = Step(0, "s", "target", "poisson", spec, SEED)
    made = workload.make(step, RunDir(tmp_path), Correction())
    texts = [made.prompt(n).text for n in range(8)]
    assert all(len(t.split(" ")) == 64 for t in texts)
    assert Counter(" ".join(t.split(" ")[:16]) for t in texts).most_common()[0][1] == 2
    assert len({" ".join(t.split(" ")[:16]) for t in texts}) == 4


@pytest.mark.parametrize("size", [256, 300, 1000, 2048])
def test_a_smaller_vocabulary_still_tells_arrivals_apart(size):
    """With fewer words the spelling is longer, and still one to one; only the given words are used."""
    source = Synthetic(SEED, 0, words()[:size])
    texts = {source.text(n, source.code_words) for n in range(3000)}
    assert len(texts) == 3000
    assert {word for text in texts for word in text.split(" ")} <= set(words()[:size])
    assert set(source.text(1, 5000).split(" ")) <= set(words()[:size])
