"""When each token is due: pure, seeded models of a server's time. No clock, no socket, no token text.

A model takes arrivals and gives back what is due, in time order. Both models keep the same four promises:

- every sequence that is not cancelled gets exactly as many events as it asked for;
- events come out in order of time, and a sequence's never before its arrival;
- what is due depends on the arrivals alone, never on when or how often ``due`` is called;
- the same seed and the same arrivals give the same times.

A caller hands over every arrival up to t before it asks what is due at t. Times are int ns on any one clock.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Hashable
from heapq import heappop, heappush, heapreplace
from typing import Protocol

from simulator.settings import Settings


class Sequence:
    """One answer in the making: ``left`` events are still to come."""

    __slots__ = ("arrived_ns", "input_tokens", "key", "left", "number", "place", "started_ns")

    def __init__(self, key: Hashable, number: int, arrived_ns: int, input_tokens: int, events: int, place: int) -> None:
        if events < 1:
            raise ValueError("a sequence has at least one event")
        self.key = key
        self.number = number
        self.arrived_ns = arrived_ns
        self.input_tokens = input_tokens
        self.left = events
        self.place = place
        self.started_ns: int | None = None


Due = tuple[int, int, Sequence]
"""(due_ns, the sequence's number, the sequence): what the heap holds is what comes out, so that nothing is built anew."""


class Model(Protocol):
    @property
    def waiting(self) -> int:
        """Sequences that arrived and have not started."""

    def arrive(self, key: Hashable, t_ns: int, input_tokens: int, events: int) -> Sequence: ...

    def cancel(self, sequence: Sequence) -> None: ...

    def next_ns(self) -> int | None:
        """When ``due`` will have something, None for never. It may be early (a cancelled sequence), never late."""

    def due(self, now_ns: int) -> list[Due]: ...


def _uniform(rng: random.Random, cv: float) -> float:
    half = cv * 3**0.5
    return rng.uniform(1 - half, 1 + half)


def _normal(rng: random.Random, cv: float) -> float:
    return rng.gauss(1.0, cv)


def _gamma(rng: random.Random, cv: float) -> float:
    return rng.gammavariate(1 / cv**2, cv**2)


LAWS: dict[str, Callable[[random.Random, float], float]] = {"uniform": _uniform, "normal": _normal, "gamma": _gamma}
"""Laws of a factor with mean 1 and coefficient of variation cv. What falls below 0 is cut to 0, which raises the mean a
little for a normal law with a cv above 0.4 or so; gamma needs no cut.
"""


class Jitter:
    """Factors with mean 1, ``draws`` of them (a power of 2) drawn once and read from a seeded place on: one more for each token
    would cost 1 µs.
    """

    def __init__(self, seed: int, cv: float, law: str, draws: int = 1 << 16) -> None:
        self._rng = random.Random(seed)
        draw = LAWS[law]
        self.factors = [max(0.0, draw(self._rng, cv)) for _ in range(draws)] if cv > 0 else [1.0]
        self.mask = len(self.factors) - 1

    def place(self) -> int:
        return self._rng.randrange(self.mask + 1)


class Drift:
    """A target that slows down: factors of 1 + ``a_minute`` · minutes since the first time that it was asked for."""

    def __init__(self, a_minute: float) -> None:
        self._a_minute = a_minute
        self._from_ns: int | None = None

    def at(self, t_ns: int) -> float:
        if self._from_ns is None:
            self._from_ns = t_ns
        return 1.0 + self._a_minute * (t_ns - self._from_ns) / 60e9


class FixedTiming:
    """First event after ``ttft + per_token · input_tokens``, which drifts, each next one ``itl`` later. Sequences do not touch each other."""

    def __init__(self, *, ttft_ns: int, ttft_per_token_ns: int, itl_ns: int, jitter: Jitter, drift: Drift) -> None:
        self._ttft_ns = ttft_ns
        self._ttft_per_token_ns = ttft_per_token_ns
        self._jitter = jitter
        self._drift = drift
        self._gaps_ns = [round(itl_ns * factor) for factor in jitter.factors]
        self._heap: list[Due] = []
        self._arrivals = 0

    @property
    def waiting(self) -> int:
        return 0

    def arrive(self, key: Hashable, t_ns: int, input_tokens: int, events: int) -> Sequence:
        place = self._jitter.place()
        sequence = Sequence(key, self._arrivals, t_ns, input_tokens, events, place)
        sequence.started_ns = t_ns
        self._arrivals += 1
        first_ns = self._ttft_ns + self._ttft_per_token_ns * input_tokens
        due_ns = t_ns + round(first_ns * self._jitter.factors[place] * self._drift.at(t_ns))
        heappush(self._heap, (due_ns, sequence.number, sequence))
        return sequence

    def cancel(self, sequence: Sequence) -> None:
        sequence.left = 0

    def next_ns(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def due(self, now_ns: int) -> list[Due]:
        # Hot: once a token. The next due time counts from the last one, not from now, so lateness never adds up.
        heap = self._heap
        gaps_ns = self._gaps_ns
        mask = self._jitter.mask
        found: list[Due] = []
        while heap:
            entry = heap[0]
            due_ns, number, sequence = entry
            if due_ns > now_ns:
                break
            left = sequence.left - 1
            if left < 0:
                heappop(heap)
                continue
            sequence.left = left
            found.append(entry)
            if left:
                sequence.place = place = (sequence.place + 1) & mask
                heapreplace(heap, (due_ns + gaps_ns[place], number, sequence))
            else:
                heappop(heap)
        return found


class BatchTiming:
    """Continuous batching with prefill first, as early vLLM schedules it, in iterations without a pause between them.

    At the start of an iteration waiting sequences enter, first come first served, while fewer than ``max_batch`` are
    running and their input tokens fit ``prefill_tokens_max`` (one always fits). If any entered, the iteration is their
    prefill and takes ``prefill_base + prefill_per_token · Σ input_tokens``; each of them gets its first event at its end
    and the others get none. Else it is a decode of all n running and takes ``decode_base + decode_per_sequence · n``.
    Jitter and drift multiply an iteration's time. Chunked prefill, memory and preemption are left out.
    """

    def __init__(
        self,
        *,
        max_batch: int,
        prefill_base_ns: int,
        prefill_per_token_ns: int,
        prefill_tokens_max: int,
        decode_base_ns: int,
        decode_per_sequence_ns: int,
        jitter: Jitter,
        drift: Drift,
    ) -> None:
        self._max_batch = max_batch
        self._prefill_base_ns = prefill_base_ns
        self._prefill_per_token_ns = prefill_per_token_ns
        self._prefill_tokens_max = prefill_tokens_max
        self._decode_base_ns = decode_base_ns
        self._decode_per_sequence_ns = decode_per_sequence_ns
        self._jitter = jitter
        self._drift = drift
        self._place = jitter.place()
        self._queue: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._producing: list[Sequence] = []
        self._end_ns: int | None = None
        self._free_ns = 0
        self._arrivals = 0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def running(self) -> int:
        return len(self._running)

    def arrive(self, key: Hashable, t_ns: int, input_tokens: int, events: int) -> Sequence:
        sequence = Sequence(key, self._arrivals, t_ns, input_tokens, events, 0)
        self._arrivals += 1
        self._queue.append(sequence)
        if self._end_ns is None:
            self._begin(max(t_ns, self._free_ns))
        return sequence

    def cancel(self, sequence: Sequence) -> None:
        """Its place in the batch is free from the next iteration on; one that still waits is gone at once."""
        sequence.left = 0
        if sequence.started_ns is None:
            self._queue.remove(sequence)

    def next_ns(self) -> int | None:
        return self._end_ns

    def due(self, now_ns: int) -> list[Due]:
        found: list[Due] = []
        while self._end_ns is not None and self._end_ns <= now_ns:
            end_ns = self._end_ns
            for sequence in self._producing:
                if sequence.left > 0:
                    sequence.left -= 1
                    found.append((end_ns, sequence.number, sequence))
            self._running = [sequence for sequence in self._running if sequence.left > 0]
            self._begin(end_ns)
        return found

    def _begin(self, t_ns: int) -> None:
        """Starts the iteration at ``t_ns``, or the next arrival's if nothing has arrived by then."""
        queue = self._queue
        # An idle engine starts on the first arrival alone: it cannot know what else arrives in the same nanosecond.
        woken = not self._running and bool(queue) and queue[0].arrived_ns > t_ns
        if woken:
            t_ns = queue[0].arrived_ns
        entered: list[Sequence] = []
        tokens = 0
        while queue and queue[0].arrived_ns <= t_ns and len(self._running) < self._max_batch:
            if entered and (woken or tokens + queue[0].input_tokens > self._prefill_tokens_max):
                break
            sequence = queue.popleft()
            sequence.started_ns = t_ns
            tokens += sequence.input_tokens
            entered.append(sequence)
            self._running.append(sequence)
        if entered:
            took_ns = self._prefill_base_ns + self._prefill_per_token_ns * tokens
            self._producing = entered
        elif self._running:
            took_ns = self._decode_base_ns + self._decode_per_sequence_ns * len(self._running)
            self._producing = self._running
        else:
            self._end_ns = None
            self._free_ns = t_ns
            return
        self._place = (self._place + 1) & self._jitter.mask
        # At least 1 ns: iterations without length would never let time go on.
        self._end_ns = t_ns + max(1, round(took_ns * self._jitter.factors[self._place] * self._drift.at(t_ns)))


def from_settings(settings: Settings, process: int = 0) -> Model:
    """The model that the settings name; each process has draws of its own."""
    jitter = Jitter(settings.seed * 1_000 + process, settings.jitter, settings.jitter_law)
    drift = Drift(settings.drift)
    if settings.timing == "fixed":
        return FixedTiming(
            ttft_ns=settings.ttft_ns,
            ttft_per_token_ns=settings.ttft_per_token_ns,
            itl_ns=settings.itl_ns,
            jitter=jitter,
            drift=drift,
        )
    return BatchTiming(
        max_batch=settings.max_batch,
        prefill_base_ns=settings.prefill_base_ns,
        prefill_per_token_ns=settings.prefill_per_token_ns,
        prefill_tokens_max=settings.prefill_tokens_max,
        decode_base_ns=settings.decode_base_ns,
        decode_per_sequence_ns=settings.decode_per_sequence_ns,
        jitter=jitter,
        drift=drift,
    )
