"""Assumed numbers of the departments that only leave traces: they follow from what a household lives through anyway.

None of them enters the hazard. Units and forms are those of `assumptions.py`: rates are per year and household unless
said otherwise, money is CNY, (median, spread) is lognormal, (low, high) a range. A share of blows that something
follows is that of blows of size 1; larger blows are followed more often.
"""

from __future__ import annotations

from dataclasses import dataclass

from training.county.profiles import Trace

# At any time a year, after a blow of size 1, months after it.
RENT_ARREARS = Trace(0.02, 0.35, (1, 5))
BILLS_UNPAID = Trace(0.006, 0.07, (2, 6))
DEBTOR = Trace(0.0015, 0.02, (6, 18))
UNION_FILES = Trace(0.0005, 0.12, (1, 5))
INSURED_PAYOUT = Trace(0.0, 0.05, (2, 6))
CALLS = Trace(0.008, 0.03, (1, 3))


@dataclass(frozen=True)
class Traces:
    """What is assumed about housing, bills, police, courts, businesses, gifts, visits, checks and areas."""

    # --- housing and bills ----------------------------------------------------------------------------------------
    # Rural homes that the survey found unsafe, with how many times more without savings or if formerly poor; those it
    # found safe; the months after the start of the grid by which it was through; share of grade D among the unsafe.
    unsafe_share: float = 0.035
    unsafe_if_poor: float = 2.0
    safe_share: float = 0.15
    survey_months: int = 60
    worst_share: float = 0.3
    # After damage: share surveyed; grades by size of the blow. Then repaired: share, months until.
    surveyed_after_loss: float = 0.6
    surveyed_months: tuple[int, int] = (1, 2)
    grades_after_loss: tuple[int, int, int] = (2, 3, 4)
    repaired_share: float = 0.85
    repaired_months: tuple[int, int] = (8, 24)
    # Renters with a filed lease by residence, of migrants and of others; rent; share of leases running all the time.
    leased_by_migrants: tuple[float, float, float] = (0.10, 0.35, 0.40)
    leased_by_others: tuple[float, float, float] = (0.0, 0.03, 0.05)
    rent: tuple[float, float] = (640.0, 0.30)
    leased_throughout: float = 0.5
    lease_months: tuple[int, int] = (10, 48)
    # Applications for the rent subsidy outside the country: in a status, without savings, others; share granted, the
    # subsidy, how long it runs; arrears of the public rent and what is owed.
    housing_applies: tuple[float, float, float] = (0.12, 0.09, 0.012)
    rent_subsidy_share: float = 0.7
    rent_subsidy: tuple[float, float] = (310.0, 0.25)
    rent_subsidy_months: tuple[int, int] = (24, 48)
    rent_arrears: Trace = RENT_ARREARS
    rent_owed: tuple[float, float] = (1100.0, 0.5)
    bills_unpaid: Trace = BILLS_UNPAID
    bills_if_low_buffer: float = 2.0
    bill: tuple[float, float] = (230.0, 0.6)
    cut_off_share: float = 0.25
    cut_off_months: tuple[int, int] = (1, 2)
    cut_off_days: tuple[float, float] = (4.0, 0.7)
    # Water: failures that come over a rural township, share of its households hit, single failures elsewhere; days.
    water_fails: float = 0.12
    water_hit_share: float = 0.15
    water_fails_alone: float = 0.003
    water_days: tuple[float, float] = (7.0, 1.0)
    water_longest: float = 90.0

    # --- elders ---------------------------------------------------------------------------------------------------
    # Yearly chance of an assessment from an age on: ordinary, chronically ill, over the age of the subsidy, severely
    # disabled.
    assessed_from_age: float = 65.0
    assessed_yearly: tuple[float, float, float, float] = (0.05, 0.20, 0.45, 0.80)
    # Loss of ability on a scale where whole numbers are grades: at 75, by decade, for chronic illness, for severe
    # disability, spread between people.
    ability: tuple[float, float, float, float, float] = (-0.4, 0.9, 0.5, 1.6, 0.7)
    subsidy_from_age: tuple[float, float] = (80.0, 90.0)
    old_age_subsidy: tuple[float, float] = (60.0, 120.0)
    old_age_subsidy_share: float = 0.92
    # Paid on after a death until somebody notices: share of the dead who drew a benefit, months.
    paid_on_share: float = 0.05
    paid_on_months: tuple[int, int] = (1, 6)

    # --- police and traffic ---------------------------------------------------------------------------------------
    # Migrants' region codes stand for provinces and counties that do not exist. Share from another province; share
    # who move often, and months between their permits.
    regions_of_this_province: tuple[str, ...] = ("990502", "990713", "991124")
    regions_elsewhere: tuple[str, ...] = ("970102", "970305", "980211", "980407", "981503")
    from_another_province: float = 0.6
    moves_often: float = 0.06
    moves_every_months: int = 4
    # Warnings of domestic violence: in any couple's home; share of divorces that one came before, months before.
    violence: float = 0.0006
    violence_before_divorce: float = 0.08
    violence_months: tuple[int, int] = (1, 10)
    defrauded: float = 0.004
    defrauded_if_old: float = 2.0
    fraud_loss: tuple[float, float] = (6500.0, 1.1)
    accident_of_fractures: float = 0.3
    accident_of_deaths: float = 0.10

    # --- courts and prisons ---------------------------------------------------------------------------------------
    debtor: Trace = DEBTOR
    debtor_if_low_buffer: float = 2.0
    judgment: tuple[float, float] = (24000.0, 0.9)
    child_upkeep_share: float = 0.35
    child_upkeep_months: tuple[int, int] = (2, 8)
    child_upkeep: tuple[float, float] = (300.0, 1200.0)
    parent_upkeep: float = 0.002
    parent_upkeep_monthly: tuple[float, float] = (200.0, 600.0)
    # Prison: share of the unregistered losses of work of some length; yearly for men without work; their terms.
    imprisoned_share: float = 0.5
    imprisoned_least_months: int = 4
    imprisoned_idle: float = 0.005
    # Times more often in households with support, so that a check of recipients has cases to find.
    imprisoned_if_supported: float = 8.0
    term_months: tuple[int, int] = (6, 36)

    # --- businesses and the union ---------------------------------------------------------------------------------
    # Of those who earn outside the wage records: share with a business, up to how old; share that opens one.
    has_business: float = 0.25
    business_age_months: int = 72
    opens_yearly: float = 0.03
    capital: tuple[float, float] = (26000.0, 0.9)
    closes_yearly: float = 0.04
    closes_after_market: float = 0.2
    closes_months: tuple[int, int] = (1, 3)
    union_files: Trace = UNION_FILES

    # --- gifts and payouts ----------------------------------------------------------------------------------------
    # Waits are in months and begin with the month after, so that nothing stands before what it follows.
    appeals_after_illness: float = 0.045
    appeals_if_low_buffer: float = 1.5
    appeal_months: tuple[int, int] = (1, 4)
    appeal: tuple[float, float] = (80000.0, 0.6)
    gift_after_appeal: float = 0.45
    gift_months: tuple[int, int] = (1, 3)
    gift: tuple[float, float] = (4200.0, 0.7)
    gift_after_loss: float = 0.08
    new_year_gift: float = 0.02
    small_gift: tuple[float, float] = (700.0, 0.4)
    insured_payout: Trace = INSURED_PAYOUT
    payout: tuple[float, float] = (5200.0, 0.5)

    # --- requests and checks --------------------------------------------------------------------------------------
    # Share of entries that began with the household's own application; days from it to the answer, to the check.
    applied_share: float = 0.7
    answer_days: tuple[float, float] = (12.0, 35.0)
    check_days: tuple[float, float] = (1.0, 9.0)
    signs_with_application: float = 0.85
    # Share of those with medical aid who applied for it and signed.
    applies_for_medical_aid: float = 0.18
    # What else households apply for after a blow: kinds of blows, policy item, share.
    applies_after: tuple[tuple[tuple[str, ...], str, float], ...] = (
        (("house_loss", "fire"), "H01", 0.25),
        (("illness",), "A07", 0.08),
        (("admission",), "D02", 0.15),
        (("arrears",), "F07", 0.20),
    )
    applies_months: tuple[int, int] = (1, 2)
    calls: Trace = CALLS
    calls_after_refusal: float = 0.10
    calls_days: tuple[float, float] = (1.0, 20.0)
    opts_out: float = 0.0012
    # What contradicts an application for dibao is found more often where it was refused.
    found_if_refused: float = 4.0
    # From this wage on no check is asked for: the wage records speak for themselves.
    no_check_from_wage: float = 6500.0
    # Dwellings held by rural and by other households: none, one, two. Whose record contradicts: from this many on.
    dwellings: tuple[tuple[float, ...], tuple[float, ...]] = ((0.02, 0.88, 0.10), (0.25, 0.65, 0.10))
    dwellings_too_many: int = 3
    vehicle_share: tuple[float, float] = (0.28, 0.12)  # others, without savings
    vehicle: tuple[float, float] = (32000.0, 0.45)
    vehicle_most: float = 80000.0
    vehicle_too_dear: tuple[float, float] = (120000.0, 320000.0)
    # What contradicts: dwellings alone, a vehicle alone; else both.
    contradicts_by: tuple[float, float] = (0.45, 0.40)
    balance_noise: float = 0.3
    sells: tuple[float, float] = (0.06, 0.20)  # dwelling, vehicle: share of those who have one, after a blow
    sale_months: tuple[int, int] = (1, 4)
    sale_share: tuple[float, float] = (0.5, 0.9)
    dwelling_price: tuple[float, float] = (90000.0, 0.5)

    # --- visits ---------------------------------------------------------------------------------------------------
    # Visits a year: ordinary, elders alone, formerly poor, in a status.
    visited: tuple[float, float, float, float] = (0.15, 0.7, 1.2, 2.6)
    flagged_after: float = 0.05
    flagged_months: tuple[int, int] = (1, 2)
    # Monthly hazard from which a visitor notes something, something serious, something urgent.
    finding_from: tuple[float, float, float] = (0.006, 0.02, 0.06)
    living_share: float = 0.35
    # Months for which an illness or a dropout still counts when living conditions are judged.
    remembered_months: int = 24
    digital_share: float = 0.20
    misread_share: float = 0.03
    # Digital ability: at 45, by decade of age, by class of schooling, spread.
    digital: tuple[float, float, float, float] = (1.3, -0.55, 0.45, 0.5)

    # --- areas ----------------------------------------------------------------------------------------------------
    # Price index: spread and memory of quarterly changes; slumps a year, their depth.
    price: tuple[float, float] = (0.05, 0.8)
    price_slump: float = 0.05
    price_slump_depth: float = 0.45
    layoff_yearly: float = 0.2
    layoff_persons: tuple[float, float] = (80.0, 0.6)
    resettled_townships: int = 2


TRACES = Traces()
