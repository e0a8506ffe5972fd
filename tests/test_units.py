"""Quantities as people write them, and what they are told when they write them wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator import units


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("500ms", 500_000_000),
        ("1.5h", 5_400_000_000_000),
        ("30s", 30_000_000_000),
        ("2min", 120_000_000_000),
        ("2m", 120_000_000_000),  # minutes, as in Go
        ("1m30s", 90_000_000_000),  # parts add up
        ("1d", 86_400_000_000_000),
        ("250us", 250_000),
        ("250 µs", 250_000),
        ("7ns", 7),
        (" 3 s ", 3_000_000_000),
        (".5s", 500_000_000),
        ("1e3ms", 1_000_000_000),
        ("0s", 0),
        (0, 0),  # nothing needs no unit
    ],
)
def test_durations(text, ns):
    """A duration is exact to the nanosecond."""
    assert units.duration_ns(text) == ns


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (30, "write 30s"),  # a bare number
        ("30", "with its unit"),
        ("30sec", "nearest: 's'"),
        ("5 parsecs", "unknown unit"),
        ("-5s", "negative"),
        ("", "with its unit"),
        ("s", "with its unit"),
        ("1s2", "with its unit"),
        ("1..5s", "with its unit"),
        (True, "not True"),
        (None, "not None"),
        ([1], "with its unit"),
        ("400d", "longer than a year"),
        ("1e999s", "longer than a year"),
        ("٣٠s", "with its unit"),  # digits of another script
    ],
)
def test_bad_durations(text, said):
    """A bad duration is a UnitError that shows the fix."""
    with pytest.raises(units.UnitError, match=said):
        units.duration_ns(text)


@pytest.mark.parametrize(
    ("text", "rps"),
    [
        ("20/s", 20),
        ("600/min", 10),
        ("600/m", 10),
        ("5/h", 5 / 3600),
        ("0.5/s", 0.5),
        ("2 / sec", 2),
        ("1e3/s", 1000),
        ("0/s", 0),
    ],
)
def test_rates(text, rps):
    """A rate is arrivals a second; whether zero makes sense is not the unit's to say."""
    assert units.rate_rps(text) == pytest.approx(rps)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (20, "write 20/s"),
        ("20", "such as 20/s"),
        ("20/fortnight", "unknown unit 'fortnight'"),
        ("20/seconds", "nearest: 'second'"),
        ("-1/s", "negative"),
        ("1e9/s", "more than"),
        ("20rps", "such as 20/s"),
        (None, "such as 20/s"),
        (False, "such as 20/s"),
    ],
)
def test_bad_rates(text, said):
    """A bad rate is a UnitError that shows the fix."""
    with pytest.raises(units.UnitError, match=said):
        units.rate_rps(text)


@pytest.mark.parametrize(("text", "value"), [("99%", 0.99), (0.99, 0.99), (1, 1.0), ("0%", 0.0), ("99.9 %", 0.999)])
def test_shares(text, value):
    """A share lies in [0, 1], as a percentage or a number."""
    assert units.share(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [(99, "write 99%"), ("101%", "between"), (-0.1, "between"), ("most", "such as 99%"), (True, "not True")],
)
def test_bad_shares(text, said):
    """A bad share is a UnitError that shows the fix."""
    with pytest.raises(units.UnitError, match=said):
        units.share(text)


@pytest.mark.parametrize(("text", "usd"), [("$5", 5), ("$ 0.60", 0.6), ("5 USD", 5), (0.15, 0.15), (0, 0)])
def test_money(text, usd):
    """An amount is US dollars."""
    assert units.money_usd(text) == usd


@pytest.mark.parametrize("text", ["5€", "$", -1, "-$5", None, True, float("inf"), float("nan")])
def test_bad_money(text):
    """A bad amount is a UnitError."""
    with pytest.raises(units.UnitError, match="US dollars"):
        units.money_usd(text)


@given(st.text(max_size=20))
def test_any_text_is_a_quantity_or_a_unit_error(text):
    """No text makes a parser raise anything but UnitError."""
    for parse in (units.duration_ns, units.rate_rps, units.share, units.money_usd, units.size_bytes):
        try:
            assert parse(text) >= 0
        except units.UnitError:
            continue


@given(st.integers(0, 10**15), st.sampled_from(["ns", "us", "ms", "s"]))
def test_whole_durations_are_exact(count, unit):
    """An integer of any unit is that many of it, without a float between."""
    ns = count * units.NS[unit]
    if ns <= units.LONGEST_NS:
        assert units.duration_ns(f"{count}{unit}") == ns


@pytest.mark.parametrize(
    ("text", "size"), [("256MB", 256_000_000), ("1 GiB", 2**30), ("1.5kB", 1500), ("7B", 7), ("10TB", 10**13)]
)
def test_sizes(text, size):
    """Decimal and binary units, each with its own name."""
    assert units.size_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (1000, "write 1000B"),
        ("256", "with its unit"),
        ("256Mb", "nearest: 'MB'"),
        ("0B", "above 0"),
        ("11TB", "up to 10 TB"),
        (True, "with its unit"),
    ],
)
def test_bad_sizes(text, said):
    """A bare number is refused: it could be bytes or megabytes."""
    with pytest.raises(units.UnitError, match=said):
        units.size_bytes(text)
