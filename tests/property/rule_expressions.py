"""Random conditions and numbers of the rule language, as text.

Every word and every keyword is taken from `WORDS` itself, so that a new one is drawn as soon as it exists.
"""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

from features.rules.words import WORDS, Kind, Takes, Where, Word
from tests.property.rule_worlds import CODES, INDICATORS, NUMBERS

Pool = tuple[str, ...]
_PATTERNS = (*CODES, "DB//*", "CLM//*", "EMP//*")
_NAMES: Mapping[str, tuple[str, ...]] = {
    "lives_in": ("rural", "town", "city"),
    "has_role": ("head", "child"),
    "indicator": INDICATORS,
    "dimensions_raised": ("orange",),
}
_NUMBERS: Mapping[str, tuple[str, ...]] = {
    "members_aged": ("6, 16", "18, 60"),
    "living_item": tuple(str(item) for item in range(1, 11)),
}
_LITERALS = ("0", "1", "2", "2.5", "5", "7.5", "90", "365", "0.3137")
_WINDOWS = (
    "days=90", "days=365", "months=12", "months=1", "months=24", "this_year=True", "ahead_days=60",
    "days=365, from_days=90", "days=90, from_days=30",
)  # fmt: skip
_SIGNS = ("<", "<=", ">", ">=", "==")


@st.composite
def codes(draw: st.DrawFn, pool: Pool) -> str:
    """One code, a family, or several of them; mostly such as the world's events are of."""
    one = st.one_of(st.sampled_from(pool), st.sampled_from(pool), st.sampled_from(_PATTERNS))
    patterns = draw(st.lists(one, min_size=1, max_size=2, unique=True))
    written = [f'"{pattern}"' if pattern.endswith("*") else pattern for pattern in patterns]
    return written[0] if len(written) == 1 else f"[{', '.join(written)}]"


@st.composite
def keywords(draw: st.DrawFn, pool: Pool, word: Word) -> str:
    """Keywords that the word knows; the ones it needs are always there."""
    ways: dict[str, st.SearchStrategy[str]] = {
        "at_least": st.sampled_from(["at_least=2", "at_least=2.5", "at_least=pack.line"]),
        "at_most": st.sampled_from(["at_most=2.5", "at_most=5", "at_most=pack.other"]),
        "text_starts": st.sampled_from(['text_starts="I63"', 'text_starts=["I6", "C"]', "text_starts=pack.provinces"]),
        "text_other_than": st.sampled_from(['text_other_than=["I63"]', "text_other_than=pack.provinces"]),
        "lag_days": st.just("lag_days=60"),
        "ended_by": codes(pool).map("ended_by={}".format),
        "lapses_months": st.sampled_from(["lapses_months=12", "lapses_months=3"]),
        "then": codes(pool).map("then={}".format),
        "to": codes(pool).map("to={}".format),
        "within_days": st.sampled_from(["within_days=30", "within_days=90", "within_days=0"]),
    }
    windows = list(_WINDOWS) if "this_year" in word.keywords else ["months=12", "months=7"]
    if "days" in word.keywords and "months" not in word.keywords:
        windows = ["days=30", "days=180"]
    chosen = []
    if "days" in word.keywords or "months" in word.keywords:
        needs_one = bool({"days", "months"} & set(word.required))
        chosen.append(draw(st.sampled_from(windows if needs_one else ["", "", "", *windows])))
    for name in word.keywords:
        if name in ways and (name in word.required or draw(st.integers(0, 5)) == 0):
            chosen.append(draw(ways[name]))
    return "".join(f", {each}" for each in chosen if each)


@st.composite
def calls(draw: st.DrawFn, pool: Pool, word: Word, scope: Where, depth: int = 1) -> str:
    """One word with arguments and keywords that it takes."""
    inner = Where.PERSON if word.opens_person else scope
    if word.takes is Takes.NOTHING:
        return word.name
    if word.takes is Takes.CODES:
        argument = draw(codes(pool))
    elif word.takes is Takes.NAME:
        argument = f'"{draw(st.sampled_from(_NAMES[word.name]))}"'
    elif word.takes is Takes.LITERAL_NUMBERS:
        argument = draw(st.sampled_from(_NUMBERS[word.name]))
    elif word.takes is Takes.NUMBERS:
        n = draw(st.integers(1, 3))
        argument = ", ".join(draw(expressions(pool, Kind.NUMBER, inner, depth - 1)) for _ in range(n))
    else:
        wanted = Kind.TRUTH if word.takes is Takes.TRUTH else Kind.NUMBER
        argument = draw(expressions(pool, wanted, inner, depth - 1))
    return f"{word.name}({argument}{draw(keywords(pool, word))})"


@st.composite
def expressions(draw: st.DrawFn, pool: Pool, kind: Kind, scope: Where, depth: int = 2) -> str:
    """A random expression of that kind, asked of a household or of a person."""

    def below(of: Kind) -> str:
        return draw(expressions(pool, of, scope, depth - 1))

    words = [word for word in WORDS.values() if word.gives is kind and word.where in (Where.EITHER, scope)]
    if depth <= 0:
        words = [word for word in words if word.takes not in (Takes.TRUTH, Takes.NUMBER, Takes.NUMBERS)]
    shapes = ["word"] * 6 + ["quantity"] + (["literal", "pack"] if kind is Kind.NUMBER else [])
    if depth > 0:
        shapes += (
            ["logic", "not", *["compare"] * 4] if kind is Kind.TRUTH else ["+", "-", "*", "/", "choice", "negative"]
        )
    shape = draw(st.sampled_from(shapes))
    if shape == "quantity":
        return draw(st.sampled_from(["paid_12m", "per_head"])) if kind is Kind.NUMBER else "is_in"
    if shape == "literal":
        return draw(st.sampled_from(_LITERALS))
    if shape == "pack":
        return f"pack.{draw(st.sampled_from(NUMBERS))}"
    if shape == "compare":
        right = draw(st.sampled_from([*_LITERALS, "pack.line", ""])) or below(Kind.NUMBER)
        return f"{below(Kind.NUMBER)} {draw(st.sampled_from(_SIGNS))} {right}"
    if shape == "logic":
        return f"({below(kind)} {draw(st.sampled_from(['and', 'or']))} {below(kind)})"
    if shape == "not":
        return f"(not {below(kind)})"
    if shape == "/":
        divisors = ["4", "3", "pack.line", "paid_12m", "per_head", *(["members"] if scope is Where.HOUSEHOLD else [])]
        return f"({below(kind)} / {draw(st.sampled_from(divisors))})"
    if shape in ("+", "-", "*"):
        return f"({below(kind)} {shape} {below(kind)})"
    if shape == "choice":
        return f"({below(kind)} if {below(Kind.TRUTH)} else {below(kind)})"
    if shape == "negative":
        return f"(-{below(kind)})"
    return draw(calls(pool, draw(st.sampled_from(words)), scope, depth))
