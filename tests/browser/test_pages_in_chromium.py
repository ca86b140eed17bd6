"""The pages as people meet them: on a phone and a desktop, in Chinese and English, by keyboard, on paper."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.conftest import DESKTOP, PHONE, PICTURES, sign_in
from tests.browser.site import KINDS, Site
from tests.server import RunningService

AXE = Axe()
LANGUAGES = {"zh": "zh", "en": "en"}
OTHERS = {"queue": "/", "training": "/training", "card": "/card", "person": "/person", "login": "/login"}


def grave(page: Page) -> list[str]:
    """What axe calls serious or critical on the page."""
    found = AXE.run(page).response["violations"]
    return [f"{each['id']}: {each['help']}" for each in found if each["impact"] in ("serious", "critical")]


def is_wider_than_its_window(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def photographed(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("device", "size"), [("phone", PHONE), ("desktop", DESKTOP)])
def test_every_kind_of_visit_page_is_sound_on_phone_and_desktop_in_both_languages(
    chromium: Browser, service: RunningService, site: Site, language: str, device: str, size: dict[str, int]
) -> None:
    with chromium.new_context(viewport=size, base_url=service.url) as context:
        page = sign_in(context)
        for kind in KINDS:
            page.goto(f"/visit/{site.assessments[kind]}?lang={language}")
            photographed(page, f"visit-{kind}-{device}-{language}")
            assert page.get_attribute("html", "lang", strict=True).startswith(LANGUAGES[language]), kind
            assert not is_wider_than_its_window(page), kind
            assert grave(page) == [], kind
            assert page.is_visible('[data-part="tier"]'), kind
            has_number = page.locator('[data-part="frequency"]').count() > 0
            assert has_number == (kind == "high"), kind


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("device", "size"), [("phone", PHONE), ("desktop", DESKTOP)])
def test_the_other_pages_are_sound_too(
    chromium: Browser, service: RunningService, site: Site, language: str, device: str, size: dict[str, int]
) -> None:
    with chromium.new_context(viewport=size, base_url=service.url) as context:
        page = sign_in(context)
        addresses = {**OTHERS, "history": f"/household/{site.assessments['high']}", "case": "/training/1"}
        addresses["sheet"] = f"/visit/{site.assessments['high']}/sheet"
        for name, address in addresses.items():
            reply = page.goto(f"{address}?lang={language}")
            photographed(page, f"{name}-{device}-{language}")
            assert reply is not None and reply.status == 200, name
            assert name == "sheet" or not is_wider_than_its_window(page), name
            assert grave(page) == [], name


def test_what_must_be_known_at_the_door_stands_on_the_first_screen(signed_in: BrowserContext, site: Site) -> None:
    page = signed_in.new_page()
    page.goto(f"/visit/{site.assessments['high']}?lang=zh")
    for part in ("tier", "frequency"):
        box = page.locator(f'[data-part="{part}"]').first.bounding_box()
        assert box is not None and box["y"] + box["height"] <= PHONE["height"], part
    above = page.evaluate(
        """() => { let text = '';
        const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
        while (walker.nextNode()) {
          if (!walker.currentNode.parentElement.checkVisibility()) continue;
          const range = document.createRange(); range.selectNode(walker.currentNode);
          const box = range.getBoundingClientRect();
          if (box.height > 0 && box.bottom <= window.innerHeight) text += walker.currentNode.data; }
        return text; }"""
    )
    assert 20 < len(re.findall(r"[\u4e00-\u9fff]", above)) <= 220


def test_a_normal_visit_takes_six_taps_and_corrects_the_record(signed_in: BrowserContext, site: Site) -> None:
    page = signed_in.new_page()
    page.goto(f"/visit/{site.assessments['tapped']}?lang=zh")
    page.locator('[data-part="feedback"]').scroll_into_view_if_needed()
    shown = page.locator('[data-part="feedback"] fieldset[data-fact]').locator("visible=true")
    taps = 0
    for i in range(min(4, shown.count())):
        shown.nth(i).locator('label[for$="-confirmed"]').click()
        taps += 1
    page.locator('[data-part="judgement"] label[for$="-about_right"]').click()
    taps += 1
    page.locator('[data-part="submit"]').click()
    taps += 1
    page.wait_for_selector('[data-part="receipt"]')
    photographed(page, "receipt-phone-zh")
    assert taps <= 6
    assert grave(page) == []


def test_a_visit_can_be_recorded_without_scripts(chromium: Browser, service: RunningService, site: Site) -> None:
    with chromium.new_context(viewport=PHONE, base_url=service.url, java_script_enabled=False) as context:
        page = sign_in(context)
        page.goto(f"/visit/{site.assessments['typed']}?lang=en")
        page.locator('[data-part="feedback"] fieldset[data-fact]').first.locator('label[for$="-wrong"]').click()
        page.locator('[data-part="submit"]').click()
        page.wait_for_selector('[data-part="receipt"]')


def test_who_is_asked_first_sees_no_tier_and_no_number_before_the_own_view(
    signed_in: BrowserContext, site: Site
) -> None:
    page = signed_in.new_page()
    page.goto("/?lang=en")
    row = page.locator('[data-part="queue-row"]', has=page.locator(f'a[href*="{site.assessments["blind"]}"]'))
    assert row.count() == 1 and "Your view first" in row.inner_text()
    page.goto(f"/visit/{site.assessments['blind']}?lang=en")
    photographed(page, "blind-phone-en")
    hidden = ("tier", "frequency", "rules", "reasons", "lowers", "change")
    assert [part for part in hidden if page.locator(f'[data-part="{part}"]').count()] == []
    assert "per 100" not in page.inner_text("main") and "of 100" not in page.inner_text("main")
    assert grave(page) == []
    page.locator('[data-part="concern"] button[value="medium"]').click()
    page.wait_for_selector('[data-part="tier"]')


def test_the_keyboard_reaches_everything_and_shows_where_it_is(signed_in: BrowserContext, site: Site) -> None:
    page = signed_in.new_page()
    page.goto(f"/visit/{site.assessments['high']}?lang=en")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#main"
    reached = set()
    for _ in range(220):
        page.keyboard.press("Tab")
        told = page.evaluate(
            """() => { const at = document.activeElement, style = getComputedStyle(at);
            return [at.tagName + ':' + (at.name || at.dataset.part || at.getAttribute('href') || ''),
                    style.outlineStyle !== 'none' || style.boxShadow !== 'none' || at === document.body]; }"""
        )
        assert told[1], told[0]
        reached.add(told[0])
        if "submit" in told[0]:
            break
    assert any("submit" in each for each in reached)


def test_a_sheet_is_one_page_of_a5_and_asks_nobody_else_for_anything(
    chromium: Browser, service: RunningService, site: Site, tmp_path: Path
) -> None:
    asked: list[str] = []
    with chromium.new_context(viewport=PHONE, base_url=service.url) as context:
        page = sign_in(context)
        page.on("request", lambda request: asked.append(request.url))
        for kind in KINDS:
            for language in LANGUAGES:
                page.goto(f"/visit/{site.assessments[kind]}/sheet?lang={language}")
                printed = page.pdf(format="A5", prefer_css_page_size=False)
                assert len(re.findall(rb"/Type\s*/Page\b(?!s)", printed)) == 1, (kind, language)
                (PICTURES / f"sheet-{kind}-{language}.pdf").write_bytes(printed)
    assert asked and all(url.startswith((service.url, "data:")) for url in asked)


def test_the_pages_use_a_chinese_font(signed_in: BrowserContext, site: Site) -> None:
    page = signed_in.new_page()
    page.goto(f"/visit/{site.assessments['high']}?lang=zh")
    session = signed_in.new_cdp_session(page)
    session.send("DOM.enable")
    session.send("CSS.enable")
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    heading = session.send("DOM.querySelector", {"nodeId": root, "selector": "h1, h2"})["nodeId"]
    fonts = session.send("CSS.getPlatformFontsForNode", {"nodeId": heading})["fonts"]
    assert any("CJK" in font["familyName"] or "Han" in font["familyName"] for font in fonts), fonts


def test_an_address_that_does_not_exist_gets_a_page_and_no_echo(signed_in: BrowserContext) -> None:
    page = signed_in.new_page()
    reply = page.goto("/visit/as-ffffffffffffffffffffffff?lang=en")
    photographed(page, "unknown-phone-en")
    assert reply is not None and reply.status == 404
    assert "ffffffff" not in page.inner_text("body")
    assert grave(page) == []
