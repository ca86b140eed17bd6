"""Event codes: `CATEGORY//NAME`, and patterns over them."""

from __future__ import annotations

import re

_CODE = re.compile(r"[A-Z][A-Z0-9]{1,11}//[A-Z][A-Z0-9_]{0,39}")
_PATTERN = re.compile(r"[A-Z][A-Z0-9]{1,11}//(\*|[A-Z][A-Z0-9_]{0,39})|\*")


def is_code(text: object) -> bool:
    """Whether `text` is written as an event code.

    >>> is_code("CLM//INPATIENT"), is_code("inpatient"), is_code(None)
    (True, False, False)
    """
    return isinstance(text, str) and _CODE.fullmatch(text) is not None


def matches(pattern: str, code: str) -> bool:
    """Whether `code` falls under `pattern`: a code, `CATEGORY//*`, or `*` for any code.

    >>> matches("CLM//*", "CLM//DRUG"), matches("CLM//DRUG", "CLM//DAYS"), matches("*", "EDU//FEE")
    (True, False, True)
    """
    if pattern == "*":
        return True
    if pattern.endswith("//*"):
        return code.startswith(pattern[:-1])
    return pattern == code


def checked_pattern(pattern: str) -> str:
    """The pattern itself, or a refusal.

    >>> checked_pattern("clm")
    Traceback (most recent call last):
    ...
    ValueError: 'clm' is no code pattern; write 'CLM//INPATIENT', 'CLM//*' or '*'
    """
    if _PATTERN.fullmatch(pattern) is None:
        raise ValueError(f"{pattern!r} is no code pattern; write 'CLM//INPATIENT', 'CLM//*' or '*'")
    return pattern
