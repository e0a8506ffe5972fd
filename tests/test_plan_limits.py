"""A plan says which of its steps could not show the limit that its scenario expects."""

from __future__ import annotations

import pytest

from generator.planning import plan
from generator.scenario import reading

LIMIT = "expected_limit: {rate: 10/s, size: 60}"
LONG = "{rate: 8/s, duration: 60s}"


def warned(tmp_path, steps, head=LIMIT, pause="8s"):
    path = tmp_path / "s.yaml"
    text = f"target: {{url: simulator}}\n{head}\npause: {pause}\nsteps: [{', '.join(steps)}]\n"
    path.write_text(text)
    made = plan.make(reading.load(str(path), {"seed": 1}, []), "r", 1)
    return [w for w in made.warnings if any(word in w for word in ("expected limit", "refused", "refusals"))]


def test_a_staircase_that_shows_the_limit_is_not_warned_of(tmp_path):
    """Pauses outlast size / rate, the step above uses the size up, each has 381 requests."""
    assert warned(tmp_path, [LONG, "{rate: 12/s, duration: 40s}"]) == []


def test_nothing_is_said_without_an_expectation(tmp_path):
    """Short steps without pauses are a user's own business."""
    assert warned(tmp_path, ["{rate: 12/s, duration: 5s}"], head="", pause="0s") == []


def test_a_pause_that_does_not_refill_is_warned_of(tmp_path):
    """60 requests come back in 6 s; 5 s are too short."""
    (told,) = warned(tmp_path, [LONG, "{rate: 12/s, duration: 40s}"], pause="5s")
    assert "pause" in told
    assert "6 s" in told


def test_a_step_too_short_to_use_the_limit_up_is_told_its_smallest_onset(tmp_path):
    """(14 − 10)·30 s = 120 requests leave nothing over; in 30 s the limit shows from 10 + 120/30 = 14/s on, 14/s shows it after 30 s."""
    head = "expected_limit: {rate: 10/s, size: 120}"
    (told,) = warned(tmp_path, [LONG, "{rate: 14/s, duration: 30s}", "{rate: 20/s, duration: 25s}"], head, "13s")
    assert "poisson 14/s" in told
    assert "from 14/s on" in told
    assert "after 30 s" in told


def test_too_few_requests_are_warned_of(tmp_path):
    """Of 381 without a refusal Wilson's upper end is 1 %."""
    (told,) = warned(tmp_path, ["{rate: 8/s, duration: 20s}", "{rate: 12/s, duration: 40s}"])
    assert "381" in told
    assert "poisson 8/s" in told
    assert "12/s" not in told


def test_a_staircase_below_the_limit_is_warned_of(tmp_path):
    """What never passes the limit finds none."""
    (told,) = warned(tmp_path, [LONG])
    assert "no step is above" in told


@pytest.mark.parametrize("value", ["{rate: 0/s, size: 3}", "{rate: 10/s, size: 0}", "{rate: 10, size: 3}", "{size: 3}"])
def test_impossible_limits_are_errors(tmp_path, value):
    """A limit gives something back and lets something through, and its rate has a unit."""
    with pytest.raises(Exception, match="expected_limit"):
        warned(tmp_path, [LONG], head=f"expected_limit: {value}")
