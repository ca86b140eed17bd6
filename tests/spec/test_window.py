"""Moments and windows: calendar months of the dataset's zone, ends of days, and what lies inside."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from features.window import (
    ALWAYS,
    NEVER,
    as_of_moment,
    day,
    ever,
    from_micros,
    has_begun,
    has_not_ended,
    horizon_end,
    is_known,
    is_within,
    is_within_horizon,
    last,
    month_ends,
    months_before,
    parsed,
    to_micros,
    written,
)

SHANGHAI, NEW_YORK = "Asia/Shanghai", "America/New_York"
HOUR = 3_600_000_000
moments = st.datetimes(datetime(1950, 1, 1), datetime(2090, 1, 1)).map(lambda d: to_micros(d.replace(tzinfo=UTC)))
zones = st.sampled_from([SHANGHAI, NEW_YORK, "UTC", "America/Argentina/Buenos_Aires", "Australia/Lord_Howe"])


def inside(moment: str, as_of: str, months: int, zone: str) -> bool:
    return bool(is_within(np.array([parsed(moment, zone)]), as_of_moment(as_of, zone), last(months=months), zone)[0])


@pytest.mark.parametrize(
    ("moment", "months", "expected"),
    [
        ("2024-03-31T00:00:00", 1, "2024-02-29T00:00:00+08:00"),
        ("2023-03-31T00:00:00", 1, "2023-02-28T00:00:00+08:00"),
        ("2024-02-29T10:30:00", 12, "2023-02-28T10:30:00+08:00"),
        ("2024-01-15T00:00:00", 1, "2023-12-15T00:00:00+08:00"),
        ("2024-01-31T00:00:00", 24, "2022-01-31T00:00:00+08:00"),
        ("2024-01-31T00:00:00", -1, "2024-02-29T00:00:00+08:00"),
        ("2023-12-31T23:59:59.999999", -2, "2024-02-29T23:59:59.999999+08:00"),
        ("2024-05-20T08:00:00", 0, "2024-05-20T08:00:00+08:00"),
    ],
)
def test_months_keep_the_day_or_hold_at_the_last_of_the_month(moment: str, months: int, expected: str) -> None:
    assert written(months_before(parsed(moment, SHANGHAI), months, SHANGHAI), SHANGHAI) == expected


@given(moments, st.integers(-60, 60), zones)
def test_months_move_the_calendar_and_nothing_but_the_day_held_and_a_clock_that_was_put_on(
    moment: int, months: int, zone: str
) -> None:
    before = from_micros(moment).astimezone(ZoneInfo(zone))
    after = from_micros(months_before(moment, months, zone)).astimezone(ZoneInfo(zone))
    assert (before.year * 12 + before.month) - (after.year * 12 + after.month) == months
    held = after.day == before.day or (after.day < before.day and (after + timedelta(days=1)).day == 1)
    shift = abs((after.replace(tzinfo=None, day=1) - before.replace(tzinfo=None)).total_seconds()) % 86_400
    # Only an hour that the clocks skip on that very day may be read as the hour after (or before) it.
    assert held
    assert min(shift, 86_400 - shift) <= 3_600


@given(moments, zones)
def test_longer_windows_hold_the_shorter_ones(as_of: int, zone: str) -> None:
    starts = [last(months=months).start(as_of, zone) for months in (1, 3, 6, 12, 24)]
    assert all(longer < shorter for shorter, longer in pairwise(starts))
    assert ever().start(as_of, zone) == ALWAYS


def test_months_are_those_of_the_datasets_zone() -> None:
    # The same instants: in Shanghai the day is over on the 28th at 16:00 UTC, so February there is not February here.
    as_of = parsed("2026-02-28T16:00:00Z", "UTC")
    assert written(months_before(as_of, 1, SHANGHAI), "UTC") == "2026-01-31T16:00:00+00:00"
    assert written(months_before(as_of, 1, "UTC"), "UTC") == "2026-01-28T16:00:00+00:00"


@pytest.mark.parametrize("zone", [SHANGHAI, NEW_YORK, "UTC"])
def test_twelve_monthly_payments_fall_into_twelve_months(zone: str) -> None:
    payments = np.array([parsed(f"{2024 + m // 12}-{m % 12 + 1:02d}-01", zone) for m in range(36)])
    for as_of in ("2025-12-31", "2026-03-31", "2026-10-31", "2026-11-30"):
        assert is_within(payments, as_of_moment(as_of, zone), last(months=12), zone).sum() == 12
        assert is_within(payments, as_of_moment(as_of, zone), last(months=1), zone).sum() == 1


def test_a_month_with_a_change_of_clocks_is_an_hour_shorter_or_longer() -> None:
    def hours(as_of: str) -> float:
        end = as_of_moment(as_of, NEW_YORK)
        return (end - last(months=1).start(end, NEW_YORK)) / HOUR

    assert hours("2026-03-31") == 31 * 24 - 1
    assert hours("2026-11-30") == 30 * 24 + 1
    assert hours("2026-05-31") == 31 * 24


def test_the_end_of_a_day_of_23_hours_is_its_midnight() -> None:
    assert written(as_of_moment("2026-03-08", NEW_YORK), NEW_YORK) == "2026-03-09T00:00:00-04:00"
    assert as_of_moment("2026-03-08", NEW_YORK) - parsed("2026-03-08", NEW_YORK) == 23 * HOUR
    assert as_of_moment("2026-11-01", NEW_YORK) - parsed("2026-11-01", NEW_YORK) == 25 * HOUR


def test_an_hour_that_the_clocks_skip_or_repeat_is_read_once_and_never_refused() -> None:
    skipped = months_before(parsed("2026-04-08T02:30:00", NEW_YORK), 1, NEW_YORK)
    assert parsed("2026-03-08T01:30:00", NEW_YORK) < skipped <= parsed("2026-03-08T03:30:00", NEW_YORK)
    repeated = months_before(parsed("2026-12-01T01:30:00", NEW_YORK), 1, NEW_YORK)
    assert written(repeated, NEW_YORK) == "2026-11-01T01:30:00-04:00"


def test_an_as_of_given_as_a_date_is_the_end_of_that_day_and_a_time_is_itself() -> None:
    assert as_of_moment("2026-11-01", SHANGHAI) == parsed("2026-11-02", SHANGHAI)
    assert as_of_moment("2026-11-01T00:00:00", SHANGHAI) == parsed("2026-11-01", SHANGHAI)
    assert as_of_moment("2026-11-01T12:00:00Z", SHANGHAI) == parsed("2026-11-01T20:00:00", SHANGHAI)
    assert inside("2026-11-01T23:59:59.999999", "2026-11-01", 1, SHANGHAI)
    assert not inside("2026-11-02", "2026-11-01", 1, SHANGHAI)


@pytest.mark.parametrize("same_day", ["2026-11-01", "20261101", "2026-W44-7", "2026W447"])
def test_a_date_in_any_form_that_is_read_means_the_end_of_its_day(same_day: str) -> None:
    assert as_of_moment(same_day, SHANGHAI) == as_of_moment("2026-11-01", SHANGHAI)


@given(st.dates(), zones, zones)
def test_a_day_begins_at_its_midnight_in_each_zone_however_often_it_is_read(on: date, zone: str, other: str) -> None:
    assume(1 < on.year < 9999)
    for name in (zone, other, zone):
        midnight = datetime(on.year, on.month, on.day, tzinfo=ZoneInfo(name))
        assert (
            parsed(on.isoformat(), name) == round((midnight - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 10**6
        )


def test_a_day_that_does_not_exist_is_refused_each_time() -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match=r"day is out of range|Invalid isoformat"):
            parsed("2026-02-30", SHANGHAI)


def test_a_window_is_closed_at_its_start_and_open_at_the_moment() -> None:
    assert inside("2026-10-02", "2026-11-01", 1, SHANGHAI)
    assert not inside("2026-10-01T23:59:59.999999", "2026-11-01", 1, SHANGHAI)
    as_of = as_of_moment("2026-11-01", SHANGHAI)
    edges = np.array([as_of - 1, as_of, as_of + 1])
    assert is_within(edges, as_of, ever(), SHANGHAI).tolist() == [True, False, False]


def test_a_row_is_seen_from_its_report_until_its_replacement() -> None:
    seen_from = np.array([9, 10, 11, 9, 9])
    until = np.array([NEVER, NEVER, NEVER, 10, 11])
    assert is_known(seen_from, until, 10).tolist() == [True, True, False, False, True]


def test_outcomes_are_looked_for_after_the_moment_and_on_the_horizons_last_instant() -> None:
    as_of = as_of_moment("2024-02-28", SHANGHAI)
    end = horizon_end(as_of, 12, SHANGHAI)
    assert written(end, SHANGHAI) == "2025-02-28T00:00:00+08:00"
    edges = np.array([as_of, as_of + 1, end, end + 1])
    found = is_within_horizon(edges, np.full(4, as_of), np.full(4, end))
    assert found.tolist() == [False, True, True, False]


def test_a_spell_runs_from_after_its_beginning_to_its_last_instant() -> None:
    assert has_begun(np.array([9, 10, 11]), 10).tolist() == [True, False, False]
    assert has_not_ended(np.array([9, 10, NEVER]), 10).tolist() == [False, True, True]


def test_month_ends_are_midnights_whatever_the_clocks_do() -> None:
    found = month_ends(parsed("2026-01-31", NEW_YORK), as_of_moment("2026-12-31", NEW_YORK), 1, NEW_YORK)
    assert [day(moment - 1, NEW_YORK)[5:] for moment in found] == [
        "01-31", "02-28", "03-31", "04-30", "05-31", "06-30", "07-31", "08-31", "09-30", "10-31", "11-30", "12-31",
    ]  # fmt: skip
    assert all(from_micros(moment).astimezone(ZoneInfo(NEW_YORK)).hour == 0 for moment in found)
    assert month_ends(parsed("2026-02-01", "UTC"), parsed("2026-02-28", "UTC"), 1, "UTC") == []


@given(moments, zones)
def test_a_moment_survives_being_written(moment: int, zone: str) -> None:
    assert to_micros(from_micros(moment)) == moment
    # In the hour that clocks repeat, only the written offset tells the two apart.
    assert parsed(written(moment, zone), zone) == moment


def test_the_last_day_of_the_calendar_has_no_end() -> None:
    assert day(parsed("9999-12-31", "UTC"), "UTC") == "9999-12-31"
    with pytest.raises(ValueError, match="choose an earlier one"):
        as_of_moment("9999-12-31", SHANGHAI)


def test_what_is_no_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        to_micros(datetime(2026, 1, 1))
    with pytest.raises(ValueError, match="at least one month"):
        last(months=0)
    for text in ("2026-02-30", "yesterday", "2026-13-01", "2026-01-01T25:00:00", ""):
        with pytest.raises(ValueError, match=r"isoformat|out of range|must be in|Invalid|month"):
            parsed(text, SHANGHAI)
