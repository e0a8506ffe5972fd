"""Which of several repetitions of one plan a run is, and with which seeds it goes. Plain values: they travel in the plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Seeds = Literal["same", "fresh"]

_APART = 1 << 32
"""Seeds that are drawn, and most that a person gives, lie below: so words of a repetition are those of no other seed."""


@dataclass(frozen=True, slots=True)
class Repetition:
    """Run ``number`` (from 1) of at most ``most`` of the group ``group``. ``seeds`` same: each has the same arrivals, lengths and choices,
    and other words in its prompts; fresh: all of them are its own. ``until``: the rules that end the repeating early.
    """

    group: str
    number: int
    most: int
    seeds: Seeds = "same"
    until: tuple[str, ...] = ()


def text_seed(seed: int, number: int) -> int | None:
    """The seed of the words of repetition ``number``; None of the first one, whose words are the plain run's.

    Prompts that came again would be found in a prefix cache, and every repetition but the first would be quicker than what is measured.
    """
    return None if number == 1 else seed + (number - 1) * _APART


def run_seed(seed: int, number: int) -> int:
    """The seed of everything in repetition ``number`` where seeds are fresh; the first has the scenario's own."""
    return seed + number - 1
