"""Logs without households: what may leave the process as text, in order or in a crash.

While a request runs, and in every thread but the main one, only this package may write text; it writes counts, field
names and fixed sentences. A record of any other library is reduced to where it came from. An exception keeps its type
and the places it passed through and loses its message, which often repeats the value that caused it; so do exceptions
that nobody catches. A process that dies leaves no image of its memory, and what it traces it takes over from nobody.
"""

from __future__ import annotations

import faulthandler
import logging
import resource
import sys
import threading
import traceback
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from opentelemetry.context import Context
from opentelemetry.propagate import set_global_textmap
from opentelemetry.propagators.textmap import TextMapPropagator

from serving.errors import Refusal
from serving.log_lines import OWN, write_own_lines

SILENT_ABOUT = (Refusal,)
logger = logging.getLogger("povrisk.serving")

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
        if not is_own and (request_is_running.get() or record.name == "asyncio" or not _is_main(record)):
            record.msg = f"{record.name} ({record.module}:{record.lineno}); text withheld"
            record.args = ()
        return True


def install() -> None:
    """Make this process write nothing but what may be written. Raises `LogRefused`.

    Handlers hold the filter rather than loggers, because a record climbs to its ancestors' handlers without passing
    their filters.
    """
    logging.captureWarnings(True)
    # A log line that cannot be formatted would otherwise be shown with its arguments.
    logging.raiseExceptions = False
    write_own_lines(Redaction())
    every = [logging.getLogger(), *(logging.getLogger(name) for name in list(logging.root.manager.loggerDict))]
    for handler in {handler for each in every for handler in each.handlers}:
        if not any(isinstance(each, Redaction) for each in handler.filters):
            handler.addFilter(Redaction())
    sys.excepthook = _uncaught
    sys.unraisablehook = lambda lost: _lost("an object", lost.exc_value)
    threading.excepthook = lambda lost: _lost("a thread", lost.exc_value)
    # Function names and lines alone, no values.
    faulthandler.enable()
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    # Of 1 byte: with 0 Linux still pipes the image to a program that asks for it (core(5)).
    resource.setrlimit(resource.RLIMIT_CORE, (min(1, most) if most >= 0 else 1, most))
    # BentoML would write a caller's own trace id into its log lines.
    set_global_textmap(_NothingTakenOver())


class _NothingTakenOver(TextMapPropagator):
    """Reads no trace of a caller's and hands none on."""

    def extract(self, carrier: Any, context: Context | None = None, getter: Any = None) -> Context:
        """The context as it was."""
        return Context() if context is None else context

    def inject(self, carrier: Any, context: Context | None = None, setter: Any = None) -> None:
        """Nothing."""

    @property
    def fields(self) -> set[str]:
        """No header."""
        return set()


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logger.critical("the process ends by a fault\n%s", places(error))


def _lost(what: str, error: BaseException | None) -> None:
    if not isinstance(error, SystemExit):
        logger.error("%s ended by a fault\n%s", what, places(error))


def _is_main(record: logging.LogRecord) -> bool:
    return record.thread == threading.main_thread().ident


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
