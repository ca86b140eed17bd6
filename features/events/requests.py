"""What the household itself asks for, by application or hotline, and its refusal to be scored by a machine.

Each of these exists only because the household made it, so no row means that it made none. An application names the
policy item in its text.
"""

from __future__ import annotations

from features.definition import Department, EventKind, Level, Text
from features.unit import Unit

_OWN_REQUEST = Department("SLF", "本人/12345", Text("本人申报和热线", "the household itself, hotline"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "SLF//APPLY",
        Text("自主申报救助", "self-application"),
        _OWN_REQUEST,
        Unit.NONE,
        Level.HOUSEHOLD,
        value="",
        lag_days=(0, 3),
        is_trace=True,
        sensitivity="I",
        coded_text="policy item",
    ),
    EventKind(
        "SLF//HOTLINE",
        Text("12345/12317诉求", "hotline request"),
        _OWN_REQUEST,
        Unit.NONE,
        Level.HOUSEHOLD,
        value="",
        lag_days=(1, 7),
        is_trace=True,
    ),
    EventKind(
        "SLF//OPTOUT",
        Text("拒绝自动化评估", "opts out of automated scoring"),
        _OWN_REQUEST,
        Unit.NONE,
        Level.HOUSEHOLD,
        value="",
        lag_days=(0, 1),
        is_trace=True,
    ),
)
