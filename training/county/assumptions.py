"""Every assumed number of the synthetic county: what it is, what befalls it, and what a real check centre found.

The numbers of departments that only leave traces stand in `assumptions_traces.py`, held here as `traces`.

Nothing here is an estimate for a real county. The figures were chosen so that the county is plausible in its orders
of magnitude and useful as a test bed: about one household in eighteen enters a supported or monitored status within
a year, formerly poor households more than twice as often, and most of what drives the risk leaves a trace in some
department's data. Rates are per year and exposed unit; money is CNY at the prices of the first written year; a pair
(median, spread) is lognormal with the spread on the log scale; a pair (low, high) is a range. Lags from event to
report are not here: they come with the event kinds (`EventKind.lag_days`).
"""

from __future__ import annotations

from dataclasses import dataclass

from training.county.assumptions_traces import TRACES, Traces
from training.county.profiles import ShockKind, Template

SEASONS: dict[str, tuple[float, ...]] = {
    "even": (1.0,) * 12,
    # Illness and deaths peak in the cold months.
    "winter": (1.4, 1.3, 1.1, 0.95, 0.85, 0.8, 0.8, 0.8, 0.85, 0.95, 1.05, 1.15),
    # Floods and storms of the summer half-year, before the autumn harvest.
    "summer": (0.1, 0.1, 0.3, 0.7, 1.3, 2.2, 2.5, 2.2, 1.4, 0.7, 0.3, 0.2),
    # Employers settle, or fail to, before the spring festival.
    "new_year": (2.0, 1.2, 0.7, 0.7, 0.7, 0.8, 0.8, 0.8, 0.8, 0.9, 1.1, 1.5),
    # Certificates of admission arrive in August; the bill is due at once.
    "august": (0.0,) * 7 + (1.0,) + (0.0,) * 4,
}

# name, share of rural and of other households, age of the head, share of men among heads, others relative to the head
_WIFE, _CHILD, _SECOND = ("spouse", -5, 2), ("child", -30, -23), ("child", -35, -28)
TEMPLATES = (
    Template("elder alone", 0.070, 0.060, (62, 84), 0.42),
    Template("elder couple", 0.110, 0.090, (61, 80), 0.92, (("spouse", -6, 2),)),
    Template("adult alone", 0.055, 0.090, (24, 57), 0.62),
    Template("couple", 0.100, 0.130, (27, 58), 0.88, (_WIFE,)),
    Template("couple, one child", 0.130, 0.250, (26, 46), 0.88, (_WIFE, _CHILD)),
    Template("couple, two children", 0.150, 0.130, (28, 46), 0.88, (_WIFE, _CHILD, _SECOND)),
    Template("couple, grown child", 0.130, 0.110, (47, 59), 0.88, (_WIFE, _CHILD)),
    Template("one parent", 0.035, 0.050, (28, 50), 0.40, (_CHILD,)),
    Template("one parent, two children", 0.015, 0.012, (30, 48), 0.40, (_CHILD, _SECOND)),
    Template("three generations", 0.120, 0.050, (30, 48), 0.90, (_WIFE, _CHILD, ("parent", 23, 31))),
    Template(
        "large family", 0.050, 0.018, (32, 48), 0.90, (_WIFE, _CHILD, _SECOND, ("parent", 23, 30), ("parent", 22, 29))
    ),
    Template("grandparents, grandchild", 0.035, 0.010, (58, 72), 0.85, (_WIFE, ("other", -63, -52))),
)

# name, exposed unit, a year, weight, peak and length in months, aided, relief, season, family, weakness, susceptible,
# share of a township's exposed households hit when it comes
SHOCKS = (
    ShockKind("illness", "illness", 0.0155, 0.17, 8.0, 42, 0.45, 0.5, "winter", "medical", "few_hands", 0.8),
    ShockKind("stay", "illness", 0.080, 0.016, 6.0, 30, 0.15, 0.5, "winter", "medical", "few_hands", 0.8),
    ShockKind("chronic", "chronic", 0.018, 0.05, 10.0, 48, 0.25, 0.4, "even", "medical", "elders_alone", 0.8),
    ShockKind("disability", "disability", 0.0060, 0.24, 10.0, 48, 0.6, 0.4, "even", "disability", "elders_alone", 0.8),
    ShockKind("job_loss", "job_loss", 0.058, 0.12, 8.0, 42, 0.25, 0.5, "new_year", "work", "one_earner", 0.8),
    ShockKind("arrears", "earners", 0.009, 0.032, 5.0, 20, 0.2, 0.5, "new_year", "work", "one_earner", 0.8),
    ShockKind("injury", "earners", 0.0045, 0.112, 7.0, 30, 0.4, 0.5, "even", "work", "one_earner", 0.8),
    ShockKind("crop_loss", "farm", 0.075, 0.028, 6.0, 30, 0.3, 0.5, "summer", "disaster", "few_hands", 0.8, 0.35),
    ShockKind("market", "farm", 0.03, 0.016, 6.0, 30, 0.1, 0.5, "even", "disaster", "few_hands", 0.8),
    ShockKind("house_loss", "house", 0.006, 0.112, 7.0, 36, 0.6, 0.5, "summer", "disaster", "few_hands", 0.8, 0.06),
    ShockKind("fire", "house", 0.003, 0.104, 7.0, 36, 0.5, 0.5, "even", "disaster", "low_buffer", 0.8),
    ShockKind("death", "mortality", 1.0, 0.07, 8.0, 36, 0.3, 0.4, "winter", "family", "one_earner", 0.8),
    ShockKind("divorce", "couple", 0.009, 0.072, 8.0, 36, 0.1, 0.4, "even", "family", "one_earner", 0.8),
    ShockKind("missing", "adults", 0.0006, 0.12, 7.0, 24, 0.3, 0.4, "even", "family", "one_earner", 0.8),
    ShockKind("admission", "turning_18", 0.55, 0.056, 7.0, 30, 0.35, 0.5, "august", "education", "low_buffer", 0.8),
    ShockKind("dropout", "teenagers", 0.010, 0.048, 7.0, 30, 0.2, 0.4, "even", "education", "few_hands", 0.8),
    ShockKind("pension_stop", "pensioners", 0.009, 0.04, 5.0, 24, 0.2, 0.5, "even", "work", "elders_alone", 0.8),
)


@dataclass(frozen=True)
class Assumptions:
    """What is assumed about people, money, blows, aid, statuses and reporting."""

    # --- time -----------------------------------------------------------------------------------------------------
    time_zone: str = "Asia/Shanghai"
    first_month: str = "2019-01-01"
    # The county lives this long before its first written month, so that blows and statuses are mixed by then.
    warm_up_months: int = 36
    horizon_months: int = 12
    # Months until a loss changes what a household can bear and is exposed to: the horizon, so that both are known
    # ahead. Until then the loss acts as a blow.
    settling_months: int = 12
    # Outcomes of the last as-of moment must have been reported by then.
    reporting_days: int = 60

    # --- places: rural, town, city --------------------------------------------------------------------------------
    region: str = "demo"
    residence_shares: tuple[float, float, float] = (0.55, 0.25, 0.20)
    townships: tuple[int, int, int] = (20, 6, 4)
    # Share of households with land they farm.
    farm_shares: tuple[float, float, float] = (0.78, 0.18, 0.0)
    migrant_shares: tuple[float, float, float] = (0.02, 0.10, 0.25)
    # Minority households: overall, and how much more often in their own townships (every fifth) and elsewhere.
    minority_share: float = 0.12
    minority_by_township: tuple[float, float] = (3.4, 0.4)

    # --- people ---------------------------------------------------------------------------------------------------
    templates: tuple[Template, ...] = TEMPLATES
    # Age at which a child leaves (mean, spread), held to a range; the years more for those already older.
    leaving_age: tuple[float, float] = (24.0, 2.6)
    leaving_age_range: tuple[float, float] = (19.0, 34.0)
    late_leaving_years: tuple[float, float] = (0.1, 9.0)
    # Share of grown sons who stay and bring a wife home, by residence; the years by which she is younger.
    son_stays: tuple[float, float, float] = (0.40, 0.25, 0.15)
    bride_younger: tuple[float, float] = (-1.0, 4.0)
    # Births a year to wives of these ages, with a pause after each; share of boys.
    births_yearly: float = 0.075
    mother_ages: tuple[float, float] = (20.0, 40.0)
    birth_pause_months: int = 20
    boy_share: float = 0.52
    # Yearly chance that a parent from elsewhere moves in with a couple; the parent's age; share of mothers.
    parent_joins_yearly: float = 0.006
    joining_parent_age: tuple[float, float] = (66.0, 80.0)
    joining_mother_share: float = 0.65
    # Yearly chance that a whole household moves away; share going back to parents in the county after a divorce.
    moves_away_yearly: float = 0.0025
    returns_to_parents: float = 0.3
    # Yearly mortality: at 60, its growth per year of age, its floor.
    mortality_at_60: float = 0.008
    mortality_growth: float = 0.095
    mortality_floor: float = 0.0008
    # Ages at the start that part the cohorts of schooling; chances of primary, middle, high school, college; share
    # of people in towns and cities who got one class further.
    schooling_cohorts: tuple[float, float] = (52.0, 32.0)
    schooling: tuple[tuple[float, ...], ...] = (
        (0.62, 0.28, 0.08, 0.02),
        (0.24, 0.48, 0.18, 0.10),
        (0.06, 0.36, 0.28, 0.30),
    )
    urban_schooling: float = 0.30
    birth_date_missing: float = 0.003

    # --- work and income ------------------------------------------------------------------------------------------
    # By schooling: share who earn; share of earners in the wage records, with more in towns and fewer of a minority.
    works_shares: tuple[float, ...] = (0.66, 0.76, 0.80, 0.86)
    formal_shares: tuple[float, ...] = (0.90, 0.93, 0.96, 0.99)
    formal_urban_bonus: float = 0.02
    formal_if_minority: float = 0.92
    # Monthly wage: median by schooling, factor by residence, spread between people, noise between months, growth.
    wages: tuple[float, ...] = (2050.0, 2650.0, 3300.0, 4900.0)
    wage_by_residence: tuple[float, float, float] = (1.0, 1.12, 1.3)
    wage_spread: float = 0.28
    wage_month_noise: float = 0.06
    # Lines of assistance are assumed to grow alike, so the risk does not fall as wages grow.
    wage_growth: float = 0.04
    residents_pension: float = 190.0
    residents_pension_share: float = 0.93
    employees_pension_share: float = 0.55
    pension_stop_months: tuple[float, float] = (2.0, 4.0)  # at size 0, more for each size
    # Farm and business income a year; months of sale and their shares; noise; herds, land let, rent.
    farm_income: tuple[float, float] = (13000.0, 0.55)
    harvests: tuple[tuple[int, float], ...] = ((6, 0.4), (10, 0.6))
    sales_noise: float = 0.15
    herd_share: float = 0.2
    herd_heads: float = 8.0
    land_let_share: float = 0.35
    land_rent: tuple[float, float] = (1900.0, 0.5)
    # Share of a year's sales that a blow of size 1 costs.
    crop_lost: float = 0.35
    market_lost: float = 0.40
    job_change_yearly: float = 0.07
    training_yearly: float = 0.025
    training_days: tuple[float, float] = (5.0, 40.0)
    # After a job loss: months without work by size, give or take; registration; benefit; a public post in the country.
    months_without_work: tuple[int, int, int] = (3, 6, 11)
    months_without_work_range: tuple[float, float] = (0.7, 1.4)
    unemployment_registered: float = 0.95
    unemployment_benefit: float = 1150.0
    benefit_months: int = 8
    public_post: tuple[float, float] = (600.0, 0.2)
    public_post_months: int = 12
    trained_after_loss: float = 0.6
    # Months of pay owed, and months off work after an injury, at size 0 and more for each size; grade of an injury.
    months_owed: tuple[float, float] = (1.0, 2.0)
    injured_months: tuple[float, float] = (2.0, 3.0)
    injury_grade: tuple[float, float] = (10.5, -3.2)

    # --- vulnerability: log factors of the hazard ------------------------------------------------------------------
    # Monthly intensity of an average household that nothing has happened to. Approvals are slow around the spring
    # festival and catch up before the year's end.
    base_monthly: float = 0.0023
    base_season: tuple[float, ...] = (0.9, 0.7, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.05, 1.15, 1.2)
    centre: float = -1.38
    # Monthly income per head that counts as average; the log distance from it counts up to a limit.
    reference_income: float = 950.0
    income_range: float = 1.3
    # Log incomes between which a household passes from poor to not poor.
    poor_between: tuple[float, float] = (-0.4, 0.4)
    per_log_income: float = -0.25
    # What weighs on a household weighs more where other props are missing. First number in any household; second
    # added when at most one member is of working age (elders alone: when the income is low).
    per_dependent_share: tuple[float, float] = (0.30, 1.60)
    per_disabled: tuple[float, float] = (0.20, 1.20)
    formerly_poor: tuple[float, float] = (0.60, 1.10)
    elders_alone: tuple[float, float] = (0.00, 0.50)
    no_earner: float = 0.35
    one_earner_of_three: float = 0.20
    per_low_schooling: float = 0.08
    rural: float = 0.20
    per_chronic: float = 0.30
    low_buffer: float = 0.25
    # Savings are low below this log income against the average, give or take.
    buffer_from: float = -0.35
    buffer_noise: float = 0.15
    frailty_spread: float = 0.08
    # Added after leaving a status: in the first year, the second and third, later.
    cleared: tuple[float, float, float] = (0.80, 0.50, 0.20)
    # The log factor lives on a grid, so that the expectation over blows to come is a table; it has a ceiling.
    step: float = 0.1
    levels: int = 72
    middle: int = 36
    highest: float = 2.1

    # --- blows and aid --------------------------------------------------------------------------------------------
    shocks: tuple[ShockKind, ...] = SHOCKS
    sizes: tuple[float, float, float] = (0.7, 1.0, 1.6)
    size_shares: tuple[float, float, float] = (0.46, 0.36, 0.18)
    # Aid works from so many months after the blow; it reaches well-seen, thinly seen and silent households with this
    # factor of the kind's usual share.
    aid_delay: int = 2
    aid_reach: tuple[float, float, float] = (1.0, 0.7, 0.0)
    # Relative rates by age 0-17, 18-39, 40-59, 60-74, 75 and over; of the chronically ill; by schooling.
    illness_by_age: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 2.6)
    chronic_by_age: tuple[float, ...] = (0.05, 0.3, 1.0, 2.0, 2.2)
    disability_by_age: tuple[float, ...] = (0.3, 0.5, 0.9, 1.8, 3.0)
    illness_if_chronic: float = 1.6
    job_loss_by_schooling: tuple[float, ...] = (1.35, 1.1, 0.9, 0.55)
    temporary_assistance: tuple[float, float] = (1500.0, 0.5)
    fire_loss: tuple[float, float] = (9000.0, 0.8)
    rooms_by_size: float = 1.6
    relocated: tuple[float, float] = (0.3, 0.25)  # chance at size 0, more for each size
    # A child whom a death or disappearance leaves without support of its own: chance, monthly allowance.
    unsupported_share: float = 0.7
    orphan_allowance: float = 1000.0

    # --- conditions at the start ----------------------------------------------------------------------------------
    disabled_by_age: tuple[float, ...] = (0.008, 0.015, 0.03, 0.06, 0.10)
    chronic_by_age_at_start: tuple[float, ...] = (0.0, 0.02, 0.09, 0.24, 0.32)
    mental_share: float = 0.005
    # Formerly registered poor: share; log odds of belonging, per log income, if rural, with a disabled member.
    formerly_poor_share: float = 0.12
    formerly_poor_pull: tuple[float, float, float] = (-0.9, 0.8, 0.5)
    cleared_share: float = 0.07
    in_status_share: float = 0.07

    # --- statuses -------------------------------------------------------------------------------------------------
    spell_months: tuple[int, ...] = (12, 18, 24, 36)
    spell_shares: tuple[float, ...] = (0.38, 0.27, 0.23, 0.12)
    # Pull of each route: dibao in the country and elsewhere, destitute support where somebody qualifies, edge of
    # dibao, rigid expenditure and what illness adds to it, monitoring (country only) and what being formerly poor adds.
    route_dibao: tuple[float, float] = (0.30, 0.62)
    route_destitute: float = 0.55
    route_edge: float = 0.24
    route_rigid: tuple[float, float] = (0.10, 0.55)
    route_monitored: tuple[float, float] = (0.45, 0.35)
    # Months after which a blow's part in an entry has faded by a factor e; hazard of blows that counts as sudden.
    cause_fades_months: float = 8.0
    sudden_from: float = 0.03
    dibao_monthly: tuple[float, float] = (360.0, 0.25)
    dibao_adjusted: tuple[float, float] = (0.95, 1.15)
    dibao_grace_months: int = 9
    destitute_monthly: tuple[float, float] = (950.0, 0.15)
    rigid_ratio: tuple[float, float] = (0.6, 0.5)  # least, mean above it
    assisted_in_status_monthly: float = 0.012
    refused_per_intensity: float = 0.35
    survey_noise: float = 0.12

    # --- disability and illness -----------------------------------------------------------------------------------
    grade_shares: tuple[float, ...] = (0.12, 0.26, 0.32, 0.30)
    grade_by_size: tuple[float, float, float] = (4.1, -1.2, 0.3)  # at size 0, for each size, spread
    certificate_renewed: float = 0.85
    care_subsidy: float = 110.0
    care_subsidy_share: float = 0.75
    living_subsidy: float = 95.0
    living_subsidy_months: int = 24
    rehabilitation: tuple[float, float] = (420.0, 0.6)
    rehabilitation_monthly: float = 0.22
    major_stay: tuple[float, float] = (8200.0, 0.45)
    major_stay_by_size: tuple[float, float] = (0.35, 0.65)
    plain_stay: tuple[float, float] = (2000.0, 0.5)
    stay_days: tuple[float, float] = (3.0, 900.0)  # least, payment a further day
    care_after_illness_months: int = 18
    chronic_visit: tuple[float, float] = (130.0, 0.6)
    chronic_visits_monthly: float = 0.5
    drug_purchase: tuple[float, float] = (95.0, 0.6)
    drugs_monthly: float = 0.45
    drugs_if_healthy: float = 0.1
    reversal_share: float = 0.02
    reversed_part: tuple[float, float] = (0.2, 1.0)
    aid_share_of_cost: tuple[float, float] = (0.25, 0.55)
    chronic_aided_cost: float = 900.0
    premium_by_year: tuple[float, float] = (250.0, 30.0)
    # Premium left unpaid: share; factors of migrants and of the subsidised; months without cover.
    lapse_share: float = 0.035
    lapse_factors: tuple[float, float] = (2.5, 0.2)
    lapse_months: tuple[float, float] = (3.0, 15.0)

    # --- school ---------------------------------------------------------------------------------------------------
    # Payment a term by stage: nursery, primary, junior, senior, higher.
    fees: tuple[float, ...] = (1500.0, 320.0, 480.0, 1600.0, 6500.0)
    fee_spread: float = 0.35
    fee_recorded: float = 0.85
    admission_cost: tuple[float, float] = (11000.0, 0.3)
    dropout_days: float = 30.0
    dropout_months: tuple[float, float] = (4.0, 8.0)
    student_aid_shares: tuple[float, float] = (0.65, 0.05)  # formerly poor or supported, others
    student_aid_grades: tuple[tuple[float, ...], ...] = ((0.4, 0.4, 0.2), (0.1, 0.4, 0.5))
    aid_stops_yearly: float = 0.06

    # --- who is seen ----------------------------------------------------------------------------------------------
    silent_share: float = 0.04
    thin_share: float = 0.13
    # Log odds of being silent or thinly seen: minority, migrants, households headed by people over 65.
    hidden_pull: tuple[float, float, float] = (0.4, 0.5, 0.5)
    # Chance that a department's data reach a household's record: well seen, thinly seen, silent.
    linked_shares: tuple[float, float, float] = (0.996, 0.85, 0.03)
    # Yearly chance to sign an authorisation without an application: anyone, and those in a status or above this
    # monthly hazard.
    signs_yearly: tuple[float, float] = (0.015, 0.35)
    pressed_from: float = 0.02
    authorisation_months: int = 12
    # What the bank then tells; the second number of a pair is for households with low savings.
    savings: tuple[float, float] = (21000.0, 1.1)
    savings_if_low: float = 0.15
    debt_service: tuple[float, float] = (1300.0, 0.6)
    has_debt: tuple[float, float] = (0.25, 0.50)
    is_overdue: tuple[float, float] = (0.05, 0.22)
    overdue_days: float = 50.0
    housing_fund_from: float = 4200.0
    housing_fund_share: float = 0.12

    # --- what checks find -----------------------------------------------------------------------------------------
    # Not assumed but counted by a real check centre, of an S province. Here they are priors: the county holds such
    # cases at about these rates. Recipients of a disability subsidy who drew destitute support as well.
    duplicate_share: float = 1_116 / 199_292
    # Checks on request, as the tables of three years give them: the record contradicted what was declared. In the
    # first year of checks much comes to light, later little. The first written year stands for that first year.
    contradicted_first_year: float = 6_380 / 29_296
    contradicted_later: float = (1_948 + 5) / (48_814 + 105)
    # Applicants for housing aid (here: for the rent subsidy) and for medical aid.
    contradicted_housing: float = 438 / 2_776
    contradicted_medical: float = 75 / 813
    # What the departments leave on record that changes nothing.
    traces: Traces = TRACES

    # --- reporting ------------------------------------------------------------------------------------------------
    null_share: float = 0.005
    corrected_share: float = 0.010
    slip_spread: float = 0.5
    # Of the payments that can be withdrawn.
    retracted_share: float = 0.0035
    correction_days: tuple[int, int] = (30, 120)
    longest_lag_days: float = 540.0


ASSUMPTIONS = Assumptions()
