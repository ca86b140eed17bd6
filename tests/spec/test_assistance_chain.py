"""The assistance chain: in order, from what was known, without what is sealed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from features.definition import Text
from features.history import History, visible
from features.rules.rulebook import rulebook
from models.assistance_chain import AID, CONTACTS, REGULAR_AID, SEALED, SIGNALS, Alert, alerts, assistance_chain
from models.rules import ruled
from tests.records import CORE, Row, at, event, history, household, member

TODAY = "2026-11-30"
STAY = event("CLM//INPATIENT", "2026-09-12", "2026-09-14", 14_200.0, person_id="p1")
CERTIFICATE = event("DIS//CERT_NEW", "2026-10-01", "2026-10-08", 2, person_id="p1")
HOTLINE = event("SLF//HOTLINE", "2026-10-10", "2026-10-10")
VISIT = event("GRD//VISIT", "2026-10-12", "2026-10-13", 2)
DIBAO = event("DB//ENTER", "2026-10-28", "2026-11-05", 900.0)
NURSING = event("DIS//SUB_CARE", "2026-10-28", "2026-11-04", 300.0, person_id="p1")
STORY = [STAY, CERTIFICATE, HOTLINE, VISIT, DIBAO, NURSING]
FIRED = Text("新办二级残疾证", "new grade-2 certificate")


def rows(made: History, *codes: str) -> set[int]:
    """Positions of the events of these codes."""
    return {i for i, k in enumerate(made.code.tolist()) if made.catalogue.kinds[k].code in codes}


def chain(events: Sequence[Row], *rests_on: str, on: str = TODAY, **more: Any) -> list[dict[str, Any]]:
    """The chain where one trigger rests on the codes given; the trigger is not true where nothing is."""
    made = history(events, [member("p1")])
    seen = visible(made, at(on))
    behind = rows(made, *rests_on) & set(seen.rows.tolist())
    found = [Alert("DIS-01", FIRED, behind)] if rests_on else []
    return assistance_chain(made, seen, 0, found, **more)


def said(steps: Sequence[dict[str, Any]]) -> list[str]:
    return [f"{step['step']} {step.get('code') or step.get('id')} {step['at'][:10]}" for step in steps]


def test_signal_alert_call_visit_and_aid_stand_in_order() -> None:
    assert said(chain(STORY, "DIS//CERT_NEW")) == [
        "signal DIS//CERT_NEW 2026-10-01",
        "alert DIS-01 2026-10-08",
        "call SLF//HOTLINE 2026-10-10",
        "visit GRD//VISIT 2026-10-12",
        "aid DB//ENTER 2026-10-28",
        "aid DIS//SUB_CARE 2026-10-28",
    ]


def test_a_step_says_when_it_became_known_and_from_whom() -> None:
    signal, alert, *_ = chain(STORY, "DIS//CERT_NEW")
    assert signal == {
        "step": "signal",
        "at": "2026-10-01T00:00:00+08:00",
        "known_at": "2026-10-08T00:00:00+08:00",
        "id": None,
        "code": "DIS//CERT_NEW",
        "text": {"zh": "新办残疾证", "en": "disability certificate issued"},
        "source": "残联",
    }
    assert alert["at"] == alert["known_at"] == signal["known_at"]
    assert alert["text"] == FIRED._asdict()


def test_what_a_trigger_rests_on_is_a_signal_and_other_bills_are_none() -> None:
    assert "signal CLM//INPATIENT 2026-09-12" not in said(chain(STORY, "DIS//CERT_NEW"))
    assert said(chain(STORY, "DIS//CERT_NEW", "CLM//INPATIENT"))[0] == "signal CLM//INPATIENT 2026-09-12"


def test_an_alert_waits_for_the_last_of_its_evidence() -> None:
    late = event("CLM//INPATIENT", "2026-09-12", "2026-10-20", 14_200.0, person_id="p1")
    assert said(chain([late, CERTIFICATE], "CLM//INPATIENT", "DIS//CERT_NEW"))[-1] == "alert DIS-01 2026-10-20"


def test_of_many_bills_only_the_largest_are_shown() -> None:
    bills = [event("CLM//DRUG", f"2026-10-{d:02d}", value=float(d), person_id="p1") for d in range(1, 9)]
    assert said(chain(bills, "CLM//DRUG")) == [
        "signal CLM//DRUG 2026-10-06",
        "signal CLM//DRUG 2026-10-07",
        "signal CLM//DRUG 2026-10-08",
        "alert DIS-01 2026-10-08",
    ]


def test_nothing_is_told_before_it_was_known_or_before_it_happened() -> None:
    assert said(chain(STORY, "DIS//CERT_NEW", on="2026-10-06")) == []
    assert said(chain(STORY, "DIS//CERT_NEW", on="2026-10-10"))[-1] == "call SLF//HOTLINE 2026-10-10"
    ahead = event("LIP//EDGE_ENTER", "2026-12-20", "2026-11-01")
    assert said(chain([ahead])) == []


def test_a_corrected_or_retracted_row_is_told_as_it_is_known_now() -> None:
    gone = VISIT | {"event_id": "x", "status": "retracted", "supersedes": VISIT["event_id"]}
    assert said(chain([VISIT])) == ["visit GRD//VISIT 2026-10-12"]
    assert said(chain([VISIT, gone])) == []


def test_a_regular_payment_stands_once_and_again_after_a_pause() -> None:
    paid = [event("DIS//SUB_CARE", f"2026-{m:02d}-05", value=300.0, person_id="p1") for m in (2, 3, 5, 6, 9, 10, 11)]
    assert said(chain(paid)) == ["aid DIS//SUB_CARE 2026-02-05", "aid DIS//SUB_CARE 2026-09-05"]
    another = paid[1] | {"person_id": "p2", "event_id": "of another"}
    assert said(chain([*paid, another])).count("aid DIS//SUB_CARE 2026-03-05") == 1
    grants = [event("LS//GRANT", f"2026-{m:02d}-05", value=500.0) for m in (2, 3)]
    assert len(chain(grants)) == 2


def test_the_chain_holds_two_years_and_payments_that_began_earlier_are_no_news() -> None:
    old = event("DIS//CERT_NEW", "2024-11-29", value=2, person_id="p1")
    assert said(chain([old], "DIS//CERT_NEW")) == []
    assert said(chain([old], months=25)) == ["signal DIS//CERT_NEW 2024-11-29"]
    months = [(2024, 10), (2024, 11), (2024, 12), (2025, 1), (2025, 2)]
    paid = [event("DIS//SUB_CARE", f"{y}-{m:02d}-05", value=300.0, person_id="p1") for y, m in months]
    assert said(chain(paid)) == []


def test_a_trigger_without_dated_evidence_has_no_place_in_time() -> None:
    made = history(STORY, [member("p1")])
    undated = [Alert("FAM-03", FIRED, ())]
    steps = assistance_chain(made, visible(made, at(TODAY)), 0, undated)
    assert steps and not any(step["step"] == "alert" for step in steps)


def test_of_what_is_sealed_only_the_time_is_told() -> None:
    warned = event("HKM//DV_WARNING", "2026-10-03", person_id="p1")
    made = history([warned], [member("p1")])
    seen = visible(made, at(TODAY))
    found = [Alert("FAM-09", Text("家暴告诫", "domestic violence"), rows(made, "HKM//DV_WARNING"), is_sealed=True)]
    hidden = assistance_chain(made, seen, 0, found)
    assert [step["at"][:10] for step in hidden] == ["2026-10-03", "2026-10-03"]
    assert all(step["text"] == SEALED._asdict() and step["source"] is None for step in hidden)
    assert not any(word in str(hidden) for word in ("HKM", "FAM-09", "家暴", "violence"))
    shown = assistance_chain(made, seen, 0, found, with_sealed=True)
    assert said(shown) == ["signal HKM//DV_WARNING 2026-10-03", "alert FAM-09 2026-10-03"]


def test_each_household_has_its_own_chain_whatever_the_order_of_the_rows() -> None:
    other = event("GRD//VISIT", "2026-10-20", value=0.0, household="h2")
    made = history([other, *reversed(STORY)], [member("p1"), member("q1", household="h2")])
    seen = visible(made, at(TODAY))
    assert said(assistance_chain(made, seen, 1, [])) == ["visit GRD//VISIT 2026-10-20"]
    assert assistance_chain(made, seen, 0, []) == chain(STORY)


def test_the_lists_of_codes_are_of_the_catalogue_and_apart() -> None:
    lists = [set(SIGNALS), set(CONTACTS), set(AID)]
    assert set().union(*lists) <= set(CORE.by_code)
    assert sum(map(len, lists)) == len(set().union(*lists))
    assert REGULAR_AID <= AID


@pytest.fixture(scope="module")
def told() -> tuple[list[Alert], list[dict[str, Any]]]:
    """The story of the elderly couple under the shipped rules."""
    couple = [member("p1", born="1953-03-01", role="head"), member("p2", born="1955-08-01", role="spouse")]
    made = history(STORY, couple, [household("h1", "city", "cn-hangzhou-demo")])
    seen = visible(made, at(TODAY))
    found = alerts(ruled(rulebook(), made, seen).states, 0)
    return found, assistance_chain(made, seen, 0, found)


def test_true_triggers_bring_their_own_words_and_events(told: tuple[list[Alert], list[dict[str, Any]]]) -> None:
    by_id = {alert.id: alert for alert in told[0]}
    assert set(by_id) >= {"DIS-01", "MED-05"}
    assert "DIS-05" not in by_id
    assert by_id["DIS-01"].text in [level.text or each.text for each in rulebook().indicators for level in each.levels]


def test_the_couples_story_is_told_in_order(told: tuple[list[Alert], list[dict[str, Any]]]) -> None:
    steps = said(told[1])
    wanted = [
        "signal CLM//INPATIENT 2026-09-12",
        "alert MED-05 2026-09-14",
        "signal DIS//CERT_NEW 2026-10-01",
        "alert DIS-01 2026-10-08",
        "call SLF//HOTLINE 2026-10-10",
        "visit GRD//VISIT 2026-10-12",
        "aid DB//ENTER 2026-10-28",
    ]
    assert [step for step in steps if step in wanted] == wanted
