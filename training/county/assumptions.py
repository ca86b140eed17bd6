"""Every assumed number of the synthetic county, in one place.

Nothing here is an estimate for a real county. The figures were chosen so that the county is plausible in its orders
of magnitude and useful as a test bed: about one household in twenty enters a supported or monitored status within a
year, formerly poor households more often, and most of what drives the risk leaves a trace in some department's data.
Rates are per year and per exposed unit, money is CNY at 2019 prices, lags are not here: they come with the event
kinds (`EventKind.lag_days`).
"""

from __future__ import annotations

from dataclasses import dataclass

from training.county.profiles import SHOCKS, TEMPLATES, ShockKind, Template


@dataclass(frozen=True)
class Assumptions:
    """What is assumed about people, money, shocks, aid, statuses and reporting."""

    # --- time -----------------------------------------------------------------------------------------------------
    time_zone: str = "Asia/Shanghai"
    first_month: str = "2019-01-01"
    # The county lives this long before its first written month, so that shocks and statuses are already mixed.
    warm_up_months: int = 36
    horizon_months: int = 12
    # Outcomes of the last as-of moment must have been reported by then.
    reporting_days: int = 60

    # --- places ---------------------------------------------------------------------------------------------------
    region: str = "demo"
    # Shares of rural, town and city households.
    residence_shares: tuple[float, float, float] = (0.55, 0.25, 0.20)
    # Townships by residence: a county has many villages' townships and few urban ones.
    townships: tuple[int, int, int] = (20, 6, 4)
    # Share of households with land they farm, by residence.
    farm_shares: tuple[float, float, float] = (0.78, 0.18, 0.0)

    # --- people ---------------------------------------------------------------------------------------------------
    templates: tuple[Template, ...] = TEMPLATES
    # Yearly chance that a child who grew up leaves is spread around this age.
    leaving_age: tuple[float, float] = (24.0, 2.6)
    # Share of grown sons who stay and bring a wife home, by residence.
    son_stays: tuple[float, float, float] = (0.40, 0.25, 0.15)
    # Yearly births of a couple's wife between 20 and 40, with a pause of so many months after a birth.
    births_yearly: float = 0.075
    birth_pause_months: int = 20
    # Yearly chance that a parent from elsewhere moves in with a couple, and the parent's age.
    parent_joins_yearly: float = 0.006
    joining_parent_age: tuple[float, float] = (66.0, 80.0)
    # Yearly chance that a whole household moves away from the county.
    moves_away_yearly: float = 0.0025
    # Share of those leaving after a divorce who go back to parents in the county.
    returns_to_parents: float = 0.3
    # Months until a loss changes what a household can bear and is exposed to; as long as the horizon, so that both are
    # known ahead. Until then the loss acts as a blow.
    settling_months: int = 12
    # Yearly mortality at 60, and its growth per year of age (Gompertz); floor for the young.
    mortality_at_60: float = 0.008
    mortality_growth: float = 0.095
    mortality_floor: float = 0.0008
    # Ages at the start of the warm-up that part the cohorts of schooling; chances of primary, middle, high, college.
    schooling_cohorts: tuple[float, float] = (52.0, 32.0)
    education_by_cohort: tuple[tuple[float, ...], ...] = (
        (0.62, 0.28, 0.08, 0.02),
        (0.24, 0.48, 0.18, 0.10),
        (0.06, 0.36, 0.28, 0.30),
    )
    # Towns and cities move people up one class with this chance.
    urban_schooling: float = 0.30
    birth_date_missing: float = 0.003
    minority_share: float = 0.12
    migrant_shares: tuple[float, float, float] = (0.02, 0.10, 0.25)

    # --- work and income ------------------------------------------------------------------------------------------
    # Share of people of working age who earn, by schooling.
    works_shares: tuple[float, ...] = (0.66, 0.76, 0.80, 0.86)
    # Share of earners whose wage reaches the wage records, by schooling, and what city work adds.
    formal_shares: tuple[float, ...] = (0.84, 0.89, 0.94, 0.98)
    formal_urban_bonus: float = 0.02
    # Median monthly wage by schooling, spread between persons (log), factor of town and city.
    wages: tuple[float, ...] = (2050.0, 2650.0, 3300.0, 4900.0)
    wage_spread: float = 0.28
    wage_by_residence: tuple[float, float, float] = (1.0, 1.12, 1.3)
    wage_month_noise: float = 0.06
    # Yearly growth of wages; the county's lines are assumed to grow alike, so risk does not fall with it.
    wage_growth: float = 0.04
    # Monthly residents' pension from 60 and its reach; employees' pension as a share of the last wage.
    residents_pension: float = 190.0
    residents_pension_share: float = 0.93
    employees_pension_share: float = 0.55
    # Yearly farm and business income per farming household: median, spread (log), and the months it is sold in.
    farm_income: tuple[float, float] = (13000.0, 0.55)
    harvests: tuple[tuple[int, float], ...] = ((6, 0.4), (10, 0.6))
    # Share of farming households that keep a herd, and that let land.
    herd_share: float = 0.2
    land_let_share: float = 0.35
    land_rent: tuple[float, float] = (1900.0, 0.5)
    # Reference monthly income per head: households there count as average.
    reference_income: float = 950.0
    # Yearly chances of an earner to change work and register it, and of an adult to be trained.
    job_change_yearly: float = 0.07
    training_yearly: float = 0.025
    # Months without work by size of the job loss; unemployment benefit a month; its longest run.
    months_without_work: tuple[int, int, int] = (3, 6, 11)
    unemployment_benefit: float = 1150.0
    benefit_months: int = 8
    unemployment_registered: float = 0.95
    public_post: tuple[float, float] = (600.0, 0.2)
    public_post_months: int = 12
    trained_after_loss: float = 0.6

    # --- vulnerability: log factors of the hazard ------------------------------------------------------------------
    # Baseline monthly intensity of an average household that nothing has happened to.
    base_monthly: float = 0.0015
    # Approvals are slow around the spring festival and catch up before the year's end.
    base_season: tuple[float, ...] = (0.9, 0.7, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.05, 1.15, 1.2)
    centre: float = -1.75
    per_log_income: float = -0.38
    no_earner: float = 0.50
    one_earner_of_three: float = 0.25
    per_dependent_share: float = 1.60
    elders_alone: float = 0.40
    per_low_schooling: float = 0.12
    formerly_poor: float = 1.15
    rural: float = 0.20
    per_disabled: float = 0.90
    per_chronic: float = 0.30
    low_buffer: float = 0.20
    # Savings are low below this log income against the reference, give or take.
    buffer_from: float = -0.45
    buffer_noise: float = 0.25
    frailty_spread: float = 0.10
    # Added after leaving a status: first year, second and third year, later.
    cleared: tuple[float, float, float] = (1.00, 0.70, 0.35)
    # The hazard's log factor lives on this grid, so that the expectation over future shocks is a table.
    step: float = 0.1
    levels: int = 64
    middle: int = 36
    # No household counts for more than this log factor, whatever comes together.
    highest: float = 1.9

    # --- shocks and aid -------------------------------------------------------------------------------------------
    shocks: tuple[ShockKind, ...] = SHOCKS
    # Sizes of a shock and their chances.
    sizes: tuple[float, float, float] = (0.6, 1.0, 1.9)
    size_shares: tuple[float, float, float] = (0.46, 0.36, 0.18)
    # Aid works from so many months after the shock.
    aid_delay: int = 2
    # Aid reaches well-seen, thinly seen and silent households with this factor of a kind's usual share.
    aid_reach: tuple[float, float, float] = (1.0, 0.7, 0.0)
    # Relative rates by age band 0-17, 18-39, 40-59, 60-74, 75 and over.
    illness_by_age: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 2.6)
    chronic_by_age: tuple[float, ...] = (0.05, 0.3, 1.0, 2.0, 2.2)
    disability_by_age: tuple[float, ...] = (0.3, 0.5, 0.9, 1.8, 3.0)
    # Chronic patients fall seriously ill more often; poorly schooled earners lose work more often.
    illness_if_chronic: float = 1.6
    job_loss_by_schooling: tuple[float, ...] = (1.35, 1.1, 0.9, 0.55)
    # Hazards that strike a whole township: the share of its households that are hit when it is.
    township_hit: float = 0.35

    # --- standing conditions at the start -------------------------------------------------------------------------
    # Disability and chronic illness on record, by age band 0-17, 18-39, 40-59, 60-74, 75 and over.
    disabled_by_age: tuple[float, ...] = (0.008, 0.015, 0.03, 0.06, 0.10)
    chronic_by_age_at_start: tuple[float, ...] = (0.0, 0.02, 0.09, 0.24, 0.32)
    mental_share: float = 0.005
    formerly_poor_share: float = 0.12
    cleared_share: float = 0.07
    in_status_share: float = 0.07

    # --- statuses -------------------------------------------------------------------------------------------------
    # Months in a status and their chances. Recognitions that expire have one or two years.
    spell_months: tuple[int, ...] = (12, 18, 24, 36)
    spell_shares: tuple[float, ...] = (0.38, 0.27, 0.23, 0.12)
    dibao_monthly: tuple[float, float] = (360.0, 0.25)
    destitute_monthly: tuple[float, float] = (950.0, 0.15)
    refused_per_intensity: float = 0.35
    survey_noise: float = 0.12

    assisted_in_status_monthly: float = 0.012
    temporary_assistance: tuple[float, float] = (1500.0, 0.5)

    # --- disability, disasters, family ----------------------------------------------------------------------------
    grade_shares: tuple[float, ...] = (0.12, 0.26, 0.32, 0.30)
    care_subsidy: float = 110.0
    care_subsidy_share: float = 0.75
    living_subsidy: float = 95.0
    living_subsidy_months: int = 24
    rehabilitation: tuple[float, float] = (420.0, 0.6)
    rehabilitation_monthly: float = 0.22
    crop_lost: float = 0.35
    market_lost: float = 0.40
    fire_loss: tuple[float, float] = (9000.0, 0.8)
    orphan_allowance: float = 1000.0
    # Children whom a parent's death or disappearance leaves without support of their own.
    unsupported_share: float = 0.7

    # --- medical money --------------------------------------------------------------------------------------------
    major_stay: tuple[float, float] = (8200.0, 0.45)
    plain_stay: tuple[float, float] = (2000.0, 0.5)
    chronic_visit: tuple[float, float] = (130.0, 0.6)
    drug_purchase: tuple[float, float] = (95.0, 0.6)
    chronic_visits_monthly: float = 0.5
    drugs_monthly: float = 0.45
    reversal_share: float = 0.02
    aid_share_of_cost: tuple[float, float] = (0.25, 0.55)
    premium_by_year: tuple[float, float] = (250.0, 30.0)
    lapse_share: float = 0.035

    # --- school money ---------------------------------------------------------------------------------------------
    # Payment a term by stage: nursery, primary, junior, senior, higher.
    fees: tuple[float, ...] = (1500.0, 320.0, 480.0, 1600.0, 6500.0)
    fee_spread: float = 0.35
    fee_recorded: float = 0.85
    admission_cost: tuple[float, float] = (11000.0, 0.3)
    student_aid_if_poor: float = 0.65
    student_aid_else: float = 0.05
    aid_stops_yearly: float = 0.06

    # --- who is seen ----------------------------------------------------------------------------------------------
    silent_share: float = 0.04
    thin_share: float = 0.13
    # Chance that a department's data reach a household's record: well seen, thinly seen, silent.
    linked_shares: tuple[float, float, float] = (0.996, 0.80, 0.03)
    # Yearly chance to sign an authorisation: anyone, and someone who applied or is in a status.
    signs_yearly: tuple[float, float] = (0.015, 0.35)
    authorisation_months: int = 12
    savings: tuple[float, float] = (21000.0, 1.1)
    debt_service: tuple[float, float] = (1300.0, 0.6)
    housing_fund_from: float = 4200.0
    housing_fund_share: float = 0.12

    # --- reporting ------------------------------------------------------------------------------------------------
    null_share: float = 0.005
    corrected_share: float = 0.010
    retracted_share: float = 0.003
    correction_days: tuple[int, int] = (30, 120)
    longest_lag_days: float = 540.0


ASSUMPTIONS = Assumptions()
