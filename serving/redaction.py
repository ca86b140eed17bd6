"""Logs without households: what may leave the process as a log line.

While a request runs, only this package may write text; it writes counts, field names and fixed sentences. A record of
any other library is reduced to where it came from. An exception keeps its type and the places it passed through and
loses its message, which often repeats the value that caused it. Exceptions written to hold no value keep theirs.
"""

from __future__ import annotations

import logging
import traceback
from contextvars import ContextVar
from types import TracebackType

from serving.errors import Refusal

OWN = "povrisk"
SILENT_ABOUT = (Refusal,)

request_is_running: ContextVar[bool] = ContextVar("request_is_running", default=False)


class Redaction(logging.Filter):
    """Rewrites a record in place before a handler formats it; drops what the refusal itself already tells."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record may be written, after taking from it what could be somebody's data."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, SILENT_ABOUT):
            return False
        if record.exc_info:
            record.exc_info, record.exc_text = None, places(error)
        record.stack_info = None
        is_own = record.name == OWN or record.name.startswith(OWN + ".")
        # asyncio reports forgotten failures with the whole task, at any time.
        if not is_own and (request_is_running.get() or record.name == "asyncio"):
            record.msg = f"{record.name} ({record.module}:{record.lineno}); text withheld"
            record.args = ()
        return True


def install() -> None:
    """Put the filter on every handler there is, and let our own lines through.

    Handlers hold the filter rather than loggers, because a record climbs to its ancestors' handlers without passing
    their filters.
    """
    logging.captureWarnings(True)
    logging.getLogger(OWN).setLevel(logging.INFO)
    every = [logging.getLogger(), *(logging.getLogger(name) for name in list(logging.root.manager.loggerDict))]
    for handler in {handler for logger in every for handler in logger.handlers}:
        if not any(isinstance(each, Redaction) for each in handler.filters):
            handler.addFilter(Redaction())


def places(error: BaseException | None) -> str:
    """The type of an exception and the places it passed through, without its message.

    >>> try:
    ...     {}["h-4711"]
    ... except KeyError as error:
    ...     "h-4711" in places(error), places(error).splitlines()[-1]
    (False, 'KeyError (message withheld)')
    """
    lines, seen = [], set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        lines.append([*_frames(error.__traceback__), f"{type(error).__name__} (message withheld)"])
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(line for part in reversed(lines) for line in part)


def _frames(trace: TracebackType | None) -> list[str]:
    return [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(trace)]
