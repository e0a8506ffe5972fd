"""Conversations: what is said in turn k of session s, with the history that was really heard.

Session s is the s-th arrival of its step; its turns count from 1. Each user message is new text of the workload's own lengths, or the
dataset's; what the assistant said is the target's own answer. Only histories of sessions that go on are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from generator.apis.api import Messages
from generator.job import Correction, Pause, Step, WorkloadSpec
from generator.names import REQUESTS_A_STEP
from generator.run_dir import RunDir
from generator.workload import dataset, lengths
from generator.workload.dataset import Dataset
from generator.workload.make import Prompt, Workload, make
from generator.workload.mix import Mixed, mix_of, region

TURNS = 101
"""Stream of a step's seed that the number of turns comes from."""


class TurnCounts:
    """How many turns each session has and how long it thinks, whatever is heard: all that it takes to tell what was due."""

    def __init__(self, step: Step, run: RunDir) -> None:
        self._mix = mix_of(step)
        self._parts = [_part(alone, run, i, len(step.alone())) for i, alone in enumerate(step.alone())]

    def place(self, s: int) -> tuple[_Part, int]:
        """The workload of session ``s``, and the session's number among its own."""
        if self._mix is None:
            return self._parts[0], s
        which, own = self._mix.place(s)
        return self._parts[which], own

    def turns(self, s: int) -> int:
        """At least 1; a workload without conversations asks once."""
        part, own = self.place(s)
        return part.turns(own)

    def pause(self, s: int) -> Pause:
        """The law of the time between an answer and the next turn."""
        session = self.place(s)[0].spec.session
        return session.think if session is not None else Pause()

    def workload(self, s: int) -> Step:
        """The step as if the workload of session ``s`` were its only one."""
        return self.place(s)[0].step


class Conversations(TurnCounts):
    """A ``Workload`` whose request number n is turn n mod T + 1 of session n div T, with T = ``step.turns``."""

    def __init__(self, step: Step, run: RunDir, corrections: Mapping[str, Correction]) -> None:
        super().__init__(step, run)
        assert step.turns is not None
        self._most = step.turns
        self._first_id = step.step_id * REQUESTS_A_STEP
        self._mixed = bool(step.mix)
        self._voices = {id(p): _Voice(p, run, corrections.get(p.step.target, Correction())) for p in self._parts}
        self._heard: dict[int, Messages] = {}

    def prompt(self, n: int) -> Prompt:
        s, k = divmod(n, self._most)
        part, own = self.place(s)
        voice, spec = self._voices[id(part)], part.spec if self._mixed else None
        if part.spec.session is None:
            return replace(voice.first(own), spec=spec)
        spoken = voice.first(own) if k == 0 else voice.later(own * self._most + k, own, k)
        told = spoken.messages or ({"role": "user", "content": spoken.text},)
        return replace(
            spoken,
            messages=(*self._heard.get(s, ()), *told),
            spec=spec,
            session_id=self._first_id + s * self._most,
            turn=k + 1,
            turns=(turns := part.turns(own)),
            keep_text=k + 1 < turns,
        )

    def heard(self, s: int, asked: Prompt, text: str) -> None:
        """The answer to a session's turn, which its next one will carry."""
        self._heard[s] = (*(asked.messages or ()), {"role": "assistant", "content": text})

    def over(self, s: int) -> None:
        """No turn of this session follows."""
        self._heard.pop(s, None)

    @property
    def kept(self) -> int:
        """Histories in memory."""
        return len(self._heard)


@dataclass(frozen=True, slots=True)
class _Part:
    """One workload of a step. ``said``: its dataset, where that has the turns; ``number`` of ``parts`` in the mix."""

    step: Step
    said: Dataset | None
    drawn: lengths.Drawn | None
    number: int
    parts: int

    @property
    def spec(self) -> WorkloadSpec:
        return self.step.workload

    def turns(self, own: int) -> int:
        session = self.spec.session
        if session is None:
            return 1
        most = session.most if self.said is None else min(session.most, len(self.said.turns(own)))
        wanted = most if self.drawn is None else self.drawn[region(self.number, self.parts) + own]
        return max(1, min(most, wanted))


def _part(step: Step, run: RunDir, number: int, parts: int) -> _Part:
    session, spec = step.workload.session, step.workload
    said = dataset.planned(spec, run, step.seed) if session is not None and spec.dataset is not None else None
    drawn = None
    if session is not None and session.turns is not None:
        drawn = lengths.Drawn(session.turns, step.seed, TURNS)
    return _Part(step, said, drawn, number, parts)


class _Voice:
    """What one workload's users say."""

    def __init__(self, part: _Part, run: RunDir, correction: Correction) -> None:
        spec, self._said = part.spec, part.said
        session = spec.session
        opening = session.first_input_tokens if session is not None else None
        first = replace(spec, session=None, input_tokens=opening or spec.input_tokens)
        self._first = make(replace(part.step, workload=first), run, correction)
        # A shared prefix stands at a conversation's beginning, not before each of its messages.
        later = replace(spec, session=None, shared_prefix_tokens=0, prefix_groups=0)
        self._later: Workload = make(replace(part.step, workload=later), run, correction)
        makers = 2 * part.parts
        self._first_at = 0 if spec.dataset is not None else region(2 * part.number, makers)
        self._later_at = 0 if spec.dataset is not None else region(2 * part.number + 1, makers)

    def first(self, own: int) -> Prompt:
        prompt = self._first.prompt(self._first_at + own)
        if self._said is None:
            return prompt
        system = self._said.system(own)
        opening = ({"role": "system", "content": system},) if system is not None else ()
        text = self._said.turns(own)[0]
        return replace(prompt, text=text, messages=(*opening, {"role": "user", "content": text}), record=None)

    def later(self, number: int, own: int, k: int) -> Prompt:
        """A message after the first. What the target was heard to say is as long as it is, so how long the whole is is not ours to
        choose."""
        prompt = self._later.prompt(self._later_at + number) if self._said is None else self._first.prompt(own)
        text = prompt.text if self._said is None else self._said.turns(own)[k]
        return replace(prompt, text=text, messages=None, record=None, input_tokens=None, words=None)


def of_step(step: Step, run: RunDir, corrections: Mapping[str, Correction]) -> Workload:
    """The workload of any step. Raises ScenarioError where a dataset's file has gone or changed since the plan."""
    if step.turns is not None:
        return Conversations(step, run, corrections)
    made = [make(alone, run, corrections.get(alone.target, Correction())) for alone in step.alone()]
    return Mixed(step, made) if step.mix else made[0]
