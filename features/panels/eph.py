"""What a quarterly household survey of Argentine cities (EPH) says about a household.

Every event is dated at the visit that reported it. The windows are chosen for the survey's rhythm: three months
hold exactly one visit, six months the visits of two quarters in a row. What rarely changes (housing, schooling, kind
of work) is reported once and again when it changes; its features read the last report.

Amounts are written as multiples of the household's own poverty line, because prices rose by a quarter each year.
The sex of a person, their age and where they live are no features, except for the number of children and old people.
"""

from __future__ import annotations

from features.definition import Department, Direction, EventKind, Feature, Group, Level, Measure, Text
from features.unit import Unit
from features.window import Window, ever, last

SURVEY = Department("EPH", "EPH", Text("常住住户调查（EPH）", "Permanent Household Survey (EPH)"))
VISIT, TWO_VISITS = last(months=3), last(months=6)

_LINE, _PERSONS = (0.0, 5000.0), (0.0, 60.0)


def _kind(
    name: str,
    zh: str,
    en: str,
    unit: Unit = Unit.COUNT,
    bounds: tuple[float, float] = _PERSONS,
    value: str = "persons",
    marks: str = "",
) -> EventKind:
    return EventKind(
        f"EPH//{name}", Text(zh, en), SURVEY, unit, Level.HOUSEHOLD, value, (0, 0), bounds=bounds, sensitivity=marks
    )


def _amount(name: str, zh: str, en: str, bounds: tuple[float, float] = _LINE) -> EventKind:
    zh, en = f"{zh}（与贫困线之比）", f"{en}, as a multiple of the poverty line"
    return _kind(name, zh, en, Unit.SCALE, bounds, "amount of the month divided by the household's poverty line", "F")


def _flag(name: str, zh: str, en: str, marks: str = "F") -> EventKind:
    return _kind(name, zh, en, Unit.SCALE, (0.0, 1.0), "1 yes, 0 no", marks)


def _scale(name: str, zh: str, en: str, top: float) -> EventKind:
    return _kind(name, zh, en, Unit.SCALE, (0.0, top), "place on the scale named")


def _share(name: str, zh: str, en: str) -> EventKind:
    return _kind(name, zh, en, Unit.SHARE, (0.0, 1.0), "share of the members", "H")


def _months(name: str, zh: str, en: str) -> EventKind:
    return _kind(name, zh, en, Unit.MONTHS, (0.0, 120.0), "months, middle of the answered range")


KINDS: tuple[EventKind, ...] = (
    _amount("INCOME_TO_LINE", "家庭月收入", "household income of the month"),
    _amount(
        "INCOME_CHANGE", "家庭月收入较三个月前的变化", "change of income since three months before", (-5000.0, 5000.0)
    ),
    _amount("WORK_TO_LINE", "劳动收入", "income from work"),
    _amount("TOP_EARNER_TO_LINE", "收入最高者的主业收入", "main-job income of the best-paid member"),
    _amount("PENSION_TO_LINE", "养老金", "pensions"),
    _amount("AID_TO_LINE", "现金救助", "cash assistance"),
    _amount("KIN_TO_LINE", "亲友汇款或赡养费", "money from other households"),
    _flag("PROPERTY_INCOME", "有租金、利润或利息收入", "had rent, profit or interest"),
    _flag("JOB_LOSS_PAY", "领取离职补偿或失业保险", "had severance pay or unemployment insurance"),
    _flag("SCHOLARSHIP", "领取助学金", "had a scholarship"),
    _flag("GOODS_AID", "获得实物或食品救助", "was given goods or food by an institution"),
    _flag("KIN_GOODS", "亲友给予实物", "was given goods by relatives or neighbours"),
    _flag("SAVINGS_SPENT", "动用积蓄", "spent savings"),
    _flag("KIN_LOAN", "向亲友借款", "borrowed from relatives or friends"),
    _flag("BANK_LOAN", "向银行借款", "borrowed from a bank"),
    _flag("INSTALMENTS", "分期付款购物", "bought in instalments"),
    _flag("BELONGINGS_SOLD", "变卖物品", "sold belongings"),
    _flag(
        "LAST_RESORTS", "儿童务工、乞讨或其他应急办法", "a child worked, someone begged, or other last resorts", "FM"
    ),
    _kind("EMPLOYED", "就业人数", "members in work"),
    _kind("UNEMPLOYED", "失业人数", "members looking for work"),
    _kind("IDLE_ADULTS", "18至64岁未就业人数", "members of 18 to 64 years without work"),
    _kind("INFORMAL", "未缴养老金的雇员数", "employees without pension contributions"),
    _kind("FORMAL", "缴纳养老金的雇员数", "employees with pension contributions"),
    _kind("OWN_ACCOUNT", "自营就业人数", "members who work on own account"),
    _kind("TEMPORARY", "有期限的雇员数", "employees whose job has an end date"),
    _kind("PUBLIC_JOB", "公共部门就业人数", "members who work for the state"),
    _kind("DOMESTIC_WORK", "家政就业人数", "members who work as household staff"),
    _kind("CONSTRUCTION", "建筑业就业人数", "members who work in construction"),
    _kind("UNDEREMPLOYED", "工时不足的就业人数", "members who work less than they want to"),
    _kind(
        "HOURS", "全家每周工时", "hours of work of all members in the week", Unit.SCALE, (0.0, 2000.0), "hours a week"
    ),
    _months(
        "JOB_MONTHS",
        "雇员中最长的在职时间（家政除外）",
        "longest time in the job of an employee, household staff apart",
    ),
    _months(
        "HEAD_JOB_MONTHS",
        "户主作为雇员的在职时间（家政除外）",
        "time in the job of the head as an employee, household staff apart",
    ),
    _months("JOBLESS_MONTHS", "失业者中最长的求职时间", "longest search for work"),
    _flag("HEAD_WORKS", "户主就业", "the head works", ""),
    _flag("HEAD_INFORMAL", "户主为未缴养老金的雇员", "the head is an employee without pension contributions", ""),
    _flag("SPOUSE_WORKS", "配偶就业", "the spouse works", ""),
    _kind("JOBS_LOST", "三个月内失去工作的人数", "members who lost their work in three months"),
    _kind("JOBS_FOUND", "三个月内找到工作的人数", "members who found work in three months"),
    _share("UNCOVERED", "没有医疗保障的成员比例", "members without health cover"),
    _share("INSURED", "有社会医疗保险的成员比例", "members in social health insurance"),
    _kind("COVER_LOST", "三个月内失去医疗保障的人数", "members who lost health cover in three months", marks="H"),
    _kind("DISABLED", "因残疾未就业的人数", "members who do not work because of a disability", marks="H"),
    _scale("HEAD_EDUCATION", "户主学历（0无，6大学毕业）", "schooling of the head (0 none, 6 degree)", 6.0),
    _scale("BEST_EDUCATION", "成员最高学历（0无，6大学毕业）", "highest schooling of an adult (0 none, 6 degree)", 6.0),
    _scale("MEAN_EDUCATION", "25岁以上成员平均学历", "mean schooling of members of 25 years and over", 6.0),
    _kind("AT_SCHOOL", "5至17岁在学人数", "members of 5 to 17 years at school", marks="M"),
    _kind("OUT_OF_SCHOOL", "5至17岁失学人数", "members of 5 to 17 years who left school", marks="M"),
    _kind("PRIVATE_SCHOOL", "5至17岁在私立学校人数", "members of 5 to 17 years at private schools", marks="M"),
    _kind(
        "IDLE_YOUTH", "16至24岁未上学且未就业人数", "members of 16 to 24 years neither at school nor in work", marks="M"
    ),
    _kind("DROPPED_OUT", "三个月内离开学校的儿童数", "children who left school in three months", marks="M"),
    _scale("FLOOR", "地面材料（1瓷砖或木，3泥土）", "floor (1 tiles or wood, 3 earth)", 3.0),
    _flag("LIGHT_ROOF", "屋顶为铁皮、纸板或草", "roof of bare metal, board or straw", ""),
    _scale("WATER", "取水距离（0室内，2院外）", "way to water (0 indoors, 2 off the plot)", 2.0),
    _flag("OWN_WELL", "不用自来水", "water is not from the public network", ""),
    _scale("SANITATION", "排污（0下水道，4无厕所）", "sanitation (0 sewer, 4 no bathroom)", 4.0),
    _flag("DUMP", "住处附近有垃圾场", "lives near a rubbish dump", "L"),
    _flag("FLOOD", "住处易受洪水", "lives where it floods", "L"),
    _flag("SHANTY", "住在棚户区", "lives in a shanty settlement", "L"),
    _scale("FUEL", "做饭燃料（0管道煤气，2柴或煤油）", "cooking fuel (0 piped gas, 2 wood or kerosene)", 2.0),
    _kind("ROOMS", "房间数", "rooms", Unit.SCALE, (0.0, 20.0), "number"),
    _kind("BEDROOMS", "卧室数", "bedrooms", Unit.SCALE, (0.0, 20.0), "number"),
    _flag("OWNS_HOME", "自有住房和土地", "owns house and land", "F"),
    _flag("RENTS", "租房", "rents", "F"),
    _flag("INSECURE_HOME", "住房权属不稳", "lives in the home without a title or a lease", "F"),
    _kind("MEMBERS", "登记的家庭人口", "members listed"),
    _flag("COUPLE", "户主有配偶同住", "the head lives with a spouse", ""),
    _kind("RETIRED", "退休人数", "members in retirement"),
    _kind("JOINED", "三个月内新增人口", "members who joined in three months"),
    _kind("LEFT", "三个月内离开的人口", "members who left in three months"),
)

_BY_NAME = {kind.code.removeprefix("EPH//"): kind for kind in KINDS}
_BETTER, _WORSE, _OPEN = Direction.MORE_IS_BETTER, Direction.MORE_IS_WORSE, Direction.OPEN
_READINGS: dict[str, tuple[Measure, Window, Text]] = {
    "3m": (Measure.LAST, VISIT, Text("近3个月内受访时", "at the visit of the last 3 months")),
    "mean_6m": (Measure.MEAN, TWO_VISITS, Text("近6个月平均", "mean of the visits of the last 6 months")),
    "min_6m": (Measure.MIN, TWO_VISITS, Text("近6个月最低", "least at a visit of the last 6 months")),
    "max_6m": (Measure.MAX, TWO_VISITS, Text("近6个月最高", "most at a visit of the last 6 months")),
    "reported": (Measure.LAST, ever(), Text("最近一次所报", "as last reported")),
}


def _read(kind: str, reading: str, group: Group, direction: Direction = _OPEN) -> Feature:
    """One reading of one kind of event; the feature's name, unit, bounds and wording follow from the two."""
    declared = _BY_NAME[kind]
    measure, window, words = _READINGS[reading]
    assert declared.bounds is not None
    return Feature(
        name=f"{kind.lower()}_{reading}",
        meaning=Text(f"{words.zh}：{declared.name.zh}", f"{declared.name.en}, {words.en}"),
        group=group,
        measure=measure,
        unit=declared.unit,
        codes=(declared.code,),
        window=window,
        bounds=declared.bounds,
        direction=direction,
    )


def _each(group: Group, reading: str, direction: Direction, *kinds: str) -> tuple[Feature, ...]:
    return tuple(_read(kind, reading, group, direction) for kind in kinds)


def _per(name: str, of: str, group: Group, zh: str, en: str, direction: Direction = _OPEN, top: float = 1.0) -> Feature:
    """One feature divided by another, `of` written "a / b"; a share unless `top` allows more than one."""
    a, b = of.split(" / ")
    unit = Unit.SHARE if top == 1.0 else Unit.SCALE
    meaning, bounds = Text(zh, en), (0.0, top)
    return Feature(name, meaning, group, Measure.RATIO, unit, of=(a, b), bounds=bounds, direction=direction)


def _aged(name: str, ages: tuple[int, int], zh: str, en: str) -> Feature:
    meaning, group = Text(zh, en), Group.HOUSEHOLD
    return Feature(name, meaning, group, Measure.MEMBERS_AGED, Unit.COUNT, ages=ages, bounds=_PERSONS)


_HOME, _WORK, _AID, _COPING = Group.HOUSEHOLD, Group.EMPLOYMENT, Group.ASSISTANCE, Group.COPING

# Income is what the household has against its line; a source of income belongs to the domain that pays it.
FEATURES: tuple[Feature, ...] = (
    *_each(_HOME, "3m", _OPEN, "MEMBERS", "JOINED", "LEFT"),
    *_each(_HOME, "reported", _OPEN, "COUPLE", "RETIRED"),
    Feature("members", Text("现有人口", "members"), _HOME, Measure.MEMBERS, Unit.COUNT, bounds=_PERSONS),
    _aged("members_under_6", (0, 6), "6岁以下人口", "members under 6 years"),
    _aged("members_under_18", (0, 18), "18岁以下人口", "members under 18 years"),
    _aged("members_18_to_64", (18, 65), "18至64岁人口", "members of 18 to 64 years"),
    _aged("members_over_64", (65, 130), "65岁及以上人口", "members of 65 years and over"),
    _per("under_18_share", "members_under_18 / members", _HOME, "18岁以下人口比例", "share of members under 18 years"),
    *_each(Group.INCOME, "3m", _BETTER, "INCOME_TO_LINE"),
    *_each(Group.INCOME, "mean_6m", _BETTER, "INCOME_TO_LINE"),
    *_each(Group.INCOME, "min_6m", _BETTER, "INCOME_TO_LINE"),
    *_each(Group.INCOME, "3m", _OPEN, "INCOME_CHANGE"),
    Feature(
        name="income_to_line_before",
        meaning=Text(
            "上一次受访（三个月前）时：家庭月收入（与贫困线之比）",
            "household income three months before the visit, as a multiple of the poverty line",
        ),
        group=Group.INCOME,
        measure=Measure.DIFFERENCE,
        unit=Unit.SCALE,
        of=("income_to_line_3m", "income_change_3m"),
        bounds=_LINE,
    ),
    *_each(Group.INCOME, "reported", _OPEN, "PROPERTY_INCOME"),
    *_each(_WORK, "3m", _BETTER, "FORMAL"),
    *_each(_WORK, "min_6m", _BETTER, "FORMAL"),
    *_each(_WORK, "3m", _OPEN, "EMPLOYED", "UNEMPLOYED", "IDLE_ADULTS", "INFORMAL", "OWN_ACCOUNT", "HOURS"),
    *_each(_WORK, "3m", _OPEN, "WORK_TO_LINE", "TOP_EARNER_TO_LINE", "JOBS_LOST", "JOBS_FOUND"),
    *_each(_WORK, "3m", _OPEN, "JOB_MONTHS", "HEAD_JOB_MONTHS", "JOBLESS_MONTHS"),
    *_each(_WORK, "mean_6m", _OPEN, "WORK_TO_LINE"),
    *_each(_WORK, "max_6m", _OPEN, "UNEMPLOYED"),
    *_each(_WORK, "reported", _OPEN, "HEAD_WORKS", "HEAD_INFORMAL", "SPOUSE_WORKS", "UNDEREMPLOYED"),
    *_each(_WORK, "reported", _OPEN, "TEMPORARY", "PUBLIC_JOB", "DOMESTIC_WORK", "CONSTRUCTION", "JOB_LOSS_PAY"),
    _per("work_share_3m", "work_to_line_3m / income_to_line_3m", _WORK, "劳动收入占比", "share of income from work"),
    _per(
        "top_earner_share_3m",
        "top_earner_to_line_3m / work_to_line_3m",
        _WORK,
        "一人所占劳动收入",
        "one earner's share",
    ),
    _per("employed_share_3m", "employed_3m / members_3m", _WORK, "就业人口比例", "share of members in work"),
    _per(
        "informal_share_3m",
        "informal_3m / employed_3m",
        _WORK,
        "就业者中无养老缴费比例",
        "share of jobs without pension",
    ),
    _per(
        "hours_per_worker_3m", "hours_3m / employed_3m", _WORK, "人均每周工时", "hours a week of each worker", top=168.0
    ),
    *_each(Group.MEDICAL, "3m", _WORSE, "UNCOVERED"),
    *_each(Group.MEDICAL, "mean_6m", _WORSE, "UNCOVERED"),
    *_each(Group.MEDICAL, "3m", _BETTER, "INSURED"),
    *_each(Group.MEDICAL, "mean_6m", _BETTER, "INSURED"),
    *_each(Group.MEDICAL, "3m", _OPEN, "COVER_LOST"),
    *_each(Group.DISABILITY, "reported", _WORSE, "DISABLED"),
    *_each(Group.EDUCATION, "reported", _BETTER, "HEAD_EDUCATION", "BEST_EDUCATION", "MEAN_EDUCATION"),
    *_each(Group.EDUCATION, "reported", _OPEN, "AT_SCHOOL", "OUT_OF_SCHOOL", "PRIVATE_SCHOOL", "IDLE_YOUTH"),
    *_each(Group.EDUCATION, "3m", _OPEN, "DROPPED_OUT"),
    *_each(Group.HOUSING, "reported", _WORSE, "FLOOR", "LIGHT_ROOF", "WATER", "SANITATION"),
    *_each(Group.HOUSING, "reported", _OPEN, "OWN_WELL", "FUEL", "DUMP", "FLOOD", "SHANTY", "ROOMS", "BEDROOMS"),
    *_each(Group.HOUSING, "reported", _OPEN, "OWNS_HOME", "RENTS", "INSECURE_HOME"),
    _per("rooms_per_member", "rooms_reported / members_3m", Group.HOUSING, "人均房间", "rooms a member", _BETTER, 20.0),
    _per(
        "beds_per_member",
        "bedrooms_reported / members_3m",
        Group.HOUSING,
        "人均卧室",
        "bedrooms a member",
        _BETTER,
        20.0,
    ),
    *_each(_AID, "3m", _BETTER, "PENSION_TO_LINE"),
    *_each(_AID, "mean_6m", _BETTER, "PENSION_TO_LINE"),
    *_each(_AID, "3m", _OPEN, "AID_TO_LINE"),
    *_each(_AID, "mean_6m", _OPEN, "AID_TO_LINE"),
    *_each(_AID, "reported", _OPEN, "GOODS_AID", "SCHOLARSHIP"),
    _per(
        "pension_share_3m",
        "pension_to_line_3m / income_to_line_3m",
        _AID,
        "养老金占比",
        "share of income from pensions",
    ),
    *_each(_COPING, "3m", _OPEN, "KIN_TO_LINE", "SAVINGS_SPENT", "KIN_LOAN"),
    *_each(_COPING, "max_6m", _OPEN, "SAVINGS_SPENT", "KIN_LOAN"),
    *_each(_COPING, "reported", _OPEN, "KIN_GOODS", "BANK_LOAN", "INSTALMENTS", "BELONGINGS_SOLD", "LAST_RESORTS"),
)
