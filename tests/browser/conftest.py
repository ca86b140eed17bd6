"""The real service with a filled store, and a real Chromium to look at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.site import Site, fill
from tests.server import TOKENS, RunningService, running_service

NEEDS = "needs chromium and a Chinese font (Debian: apt install chromium fonts-noto-cjk)"
# Without the last ones Chromium keeps trying to reach its maker.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 800}
PICTURES = Path(__file__).parent.parent.parent / "build" / "screenshots"


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of a process."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip(NEEDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def site(tiny_county: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The filled store."""
    from models.bundle import read_bundle

    return fill(tmp_path_factory.mktemp("site") / "store.db", tiny_county, read_bundle(tiny_bundle))


@pytest.fixture(scope="package")
def service(site: Site, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The service on that store, on the day that its data ends."""
    place = tmp_path_factory.mktemp("service")
    told = {"POVRISK_STORE": site.store, "POVRISK_TODAY": site.today, "POVRISK_VISITS": "4"}
    with running_service(tiny_bundle, place, **told) as running:
        yield running


@pytest.fixture
def signed_in(chromium: Browser, service: RunningService) -> Iterator[BrowserContext]:
    """A phone whose owner has signed in as a caseworker."""
    with chromium.new_context(viewport=PHONE, base_url=service.url, locale="zh-CN") as context:
        sign_in(context)
        yield context


def sign_in(context: BrowserContext, role: str = "caseworker") -> Page:
    """Sign in by the form; the page that follows."""
    page = context.new_page()
    page.goto("/login")
    page.fill("input[name=token]", TOKENS[role])
    page.click("[type=submit]")
    page.wait_for_selector('[data-part="queue"]')
    return page
