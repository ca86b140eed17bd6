"""Tokens at rest are digests, run out on their day, and change while the service runs."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from serving import tokens as module
from serving.sessions import Sessions
from serving.token_commands import token as command
from serving.tokens import LOOK_AGAIN_S, Role, Tokens, TokensRefused, entry_of, new_token, read_tokens, tokens_from

SECRET = "not-to-be-seen"
TODAY = datetime.now(UTC).date()


def digest(token: str) -> str:
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def roles(tokens: Tokens, *given: str) -> list[str | None]:
    return [None if role is None else role.value for role in map(tokens.role, given)]


def test_a_digest_stands_for_its_token_and_is_none_itself() -> None:
    tokens = read_tokens(f"platform:{digest('one')},caseworker:two")
    assert roles(tokens, "one", "two") == ["platform", "caseworker"]
    assert roles(tokens, digest("one"), digest("one").removeprefix("sha256:"), digest("two")) == [None, None, None]


def test_a_role_may_have_several_tokens() -> None:
    tokens = read_tokens(f"platform:old,platform:{digest('new')},platform:third")
    assert roles(tokens, "old", "new", "third") == ["platform"] * 3


@pytest.mark.parametrize("form", [SECRET, digest(SECRET)])
def test_a_token_counts_up_to_its_last_day(form: str) -> None:
    for days, role in ((-400, None), (-1, None), (0, "platform"), (1, "platform"), (400, "platform")):
        tokens = read_tokens(f"platform:{form} until={TODAY + timedelta(days=days)}, researcher:r")
        assert roles(tokens, SECRET, "r") == [role, "researcher"]


@pytest.mark.parametrize("today", ["2020-01-01", "2099-01-01"])
def test_the_day_of_the_records_neither_brings_a_token_back_nor_ends_it(
    today: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POVRISK_TODAY", today)
    tokens = read_tokens(f"platform:one until={TODAY - timedelta(days=2)},platform:two until={TODAY}")
    assert roles(tokens, "one", "two") == [None, "platform"]


@pytest.mark.parametrize(
    "written",
    [
        "platform:sha256:",
        "platform:sha256:abc",
        f"platform:sha256:{'A' * 64}",
        f"platform:sha256:{'a' * 63}",
        f"platform:sha256:{'a' * 65}",
        f"platform:{SECRET} until=",
        f"platform:{SECRET} until=2026-02-30",
        f"platform:{SECRET} until=20260201",
        f"platform:{SECRET} until=2026-02-01T00:00",
        f"platform:{SECRET} till=2026-02-01",
        f"platform:{SECRET} until=2026-02-01 more",
        "platform: until=2026-02-01",
        f"platform:{SECRET},caseworker:{digest(SECRET)}",
    ],
)
def test_an_entry_that_is_none_is_refused_and_not_repeated(written: str) -> None:
    with pytest.raises(TokensRefused, match=r"^token [12] ") as caught:
        read_tokens(written)
    assert SECRET not in str(caught.value)
    assert "abc" not in str(caught.value)


class Turned:
    """A file of tokens that is looked at again whenever the test says so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 0.0
        self._age = 0
        self.write("platform:one\ncaseworker:two\n")
        self.tokens = tokens_from({"POVRISK_TOKENS_FILE": str(path)})
        assert self.tokens is not None
        self.tokens._clock = lambda: self.now
        self.tokens._look_at = 0.0

    def write(self, text: str) -> None:
        """Another text; the clock of the disk need not be fine enough to tell."""
        self.path.write_text(text)
        self._age += 1
        os.utime(self.path, ns=(self._age * 10**9, self._age * 10**9))

    def roles(self, *given: str) -> list[str | None]:
        assert self.tokens is not None
        return roles(self.tokens, *given)

    def later(self) -> None:
        self.now += LOOK_AGAIN_S


@pytest.fixture
def turned(tmp_path: Path) -> Turned:
    return Turned(tmp_path / "tokens")


def test_a_changed_file_is_read_while_the_service_runs(turned: Turned) -> None:
    turned.write("platform:new\nplatform:one\n")
    assert turned.roles("new", "one", "two") == ["platform", "platform", None]
    turned.write("platform:new\n")
    assert turned.roles("new", "one") == ["platform", "platform"]
    turned.later()
    assert turned.roles("new", "one") == ["platform", None]


def test_the_file_is_looked_at_once_in_a_while_and_read_only_when_it_changed(
    turned: Turned, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"stat": 0, "read": 0}
    stat, read = module._state_of, module._text_of
    monkeypatch.setattr(module, "_state_of", lambda path: counts.update(stat=counts["stat"] + 1) or stat(path))
    monkeypatch.setattr(module, "_text_of", lambda path: counts.update(read=counts["read"] + 1) or read(path))
    for _ in range(500):
        turned.roles("one")
        turned.now += LOOK_AGAIN_S / 100
    assert 4 <= counts["stat"] <= 7
    assert counts["read"] == 0


@pytest.mark.parametrize(
    "broken", [f"boss:{SECRET}", "", f"platform:{SECRET} x", f"platform:{SECRET}\nplatform:", "gone"]
)
def test_a_broken_file_keeps_the_old_tokens_and_is_told_of_once(
    turned: Turned, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    if broken == "gone":
        turned.path.unlink()
    else:
        turned.write(broken)
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            assert turned.roles("one", "two", SECRET) == ["platform", "caseworker", None]
            turned.later()
    assert len(caplog.records) == 1
    assert "those read before stay" in caplog.text
    assert SECRET not in caplog.text
    turned.write("platform:mended\n")
    assert turned.roles("mended", "one") == ["platform", None]


def test_a_token_runs_out_while_the_service_runs(turned: Turned, monkeypatch: pytest.MonkeyPatch) -> None:
    turned.write(f"platform:one until={TODAY}\ncaseworker:two\n")
    assert turned.roles("one") == ["platform"]
    monkeypatch.setattr(module, "has_ended", lambda ends_at: True)
    assert turned.roles("one") == ["platform"]
    turned.later()
    assert turned.roles("one", "two") == [None, "caseworker"]


def test_a_session_ends_with_its_token(turned: Turned) -> None:
    assert turned.tokens is not None
    sessions = Sessions(b"k" * 32, turned.tokens, hours=9.0)
    cookie = sessions.opened("two")
    assert cookie is not None
    found = sessions.session(cookie)
    assert found is not None
    assert found.role is Role.CASEWORKER
    turned.write("platform:one\n")
    turned.later()
    assert sessions.session(cookie) is None


def run(*arguments: str) -> Iterator[str]:
    result = CliRunner().invoke(command, list(arguments))
    assert result.exit_code == 0, result.output
    return iter(result.output.splitlines())


@pytest.mark.parametrize("role", [role.value for role in Role])
def test_a_new_token_is_known_by_its_line_alone(role: str) -> None:
    told = json.loads(next(run("--role", role, "--until", str(TODAY), "--json")))
    assert told["token"] not in told["line"]
    assert told["line"].endswith(f" until={TODAY}")
    assert roles(read_tokens(told["line"]), told["token"]) == [role]
    shown = [line.strip() for line in run("--role", role)]
    assert roles(read_tokens(shown[3]), shown[1]) == [role]
    assert shown[1] != told["token"]


@pytest.mark.parametrize(
    "wrong", ["", "--role boss", "--role platform --until soon", "--role platform --until 2020-01-01"]
)
def test_what_is_no_role_or_no_day_to_come_is_misuse(wrong: str) -> None:
    assert CliRunner().invoke(command, wrong.split()).exit_code == 2


def test_new_tokens_are_long_and_never_the_same() -> None:
    made = {new_token() for _ in range(1000)}
    assert len(made) == 1000
    assert min(map(len, made)) == 43
    assert entry_of("a", "platform") == f"platform:{digest('a')}"
