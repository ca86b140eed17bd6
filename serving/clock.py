"""What time it is for the service: the real time, or the same hour of the day that `POVRISK_TODAY` names."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime

from features.window import MICROS_PER_DAY, Micros
from serving.settings import Settings


def now(settings: Settings) -> Micros:
    """Microseconds since 1970 in UTC.

    >>> now(Settings(today="1970-01-11")) // MICROS_PER_DAY
    10
    """
    moment = time.time_ns() // 1000
    if not settings.today:
        return moment
    day = datetime.combine(date.fromisoformat(settings.today), datetime.min.time(), UTC)
    return int(day.timestamp()) * 1_000_000 + moment % MICROS_PER_DAY
