"""What the training cases tell beside the record: what a visitor learns at the door, and what each case teaches.

All of it is invented, like the county. A story never speaks against what the case's own record says, and it goes with
the outcome; it is there because the model could not have known it.
"""

from __future__ import annotations

from dataclasses import dataclass

from features.definition import Text


@dataclass(frozen=True)
class Story:
    """What the visitor learns (None: nothing beyond the record) and what the case teaches. `{group}` in a text
    stands for the domains that the wrong records are about."""

    at_visit: Text | None
    lesson: Text


NOT_ALL = Text(
    "分数高，也有许多户没有出事。高分是先去看看，不是结论。",
    "Many homes with a high score come through well. A high score asks for a visit; it is no verdict.",
)
BY_HAND = Text(
    "没有分数不等于风险低。资料少的户更要上门问。",
    "No score does not mean low risk. Where little is on record, asking in person matters most.",
)
BEYOND = Text(
    "门口听到的，系统看不到。您的判断可以比分数高，也可以低。",
    "What you hear at the door the system cannot see. Your view may go above or below the score.",
)
WRONG = Text(
    "先核对记录，再看分数。点“不属实”，分数会重新计算。",
    "Check the records before you use the score. Mark what is wrong, and the score is worked out again.",
)

# By kind of case, in the order in which the cases are taken.
STORIES: dict[str, tuple[Story, ...]] = {
    "high_nothing": (
        Story(
            Text(
                "在外的亲戚每月寄钱来，已经一年多。", "A relative elsewhere has sent money each month for over a year."
            ),
            BEYOND,
        ),
        Story(None, NOT_ALL),
        Story(
            Text("家里有一笔存款，够用一年多。", "The family has savings that will last for over a year."),
            BEYOND,
        ),
        Story(
            Text(
                "家里说的和记录一样。邻居常来搭手。",
                "The family tells the same as the record. Neighbours often lend a hand.",
            ),
            NOT_ALL,
        ),
    ),
    "wrong_record": (
        *(
            Story(
                Text(
                    "{group}方面有记录是同名的另一户的。",
                    "Records on {group} belong to another family of the same name.",
                ),
                WRONG,
            ),
            Story(
                Text(
                    "{group}方面有记录，家里说从来没有过。",
                    "Of the records on {group} the family says: that was never us.",
                ),
                WRONG,
            ),
            Story(
                Text(
                    "{group}方面有记录，部门已承认登记错了。",
                    "The office says that records on {group} were entered for the wrong home.",
                ),
                WRONG,
            ),
        ),
    ),
    "low_something": (
        Story(
            Text(
                "家里向熟人借了不少钱，没有字据。", "The family owes friends a lot of money, with nothing in writing."
            ),
            BEYOND,
        ),
        Story(
            Text(
                "家里有人上周查出重病，还没有报销过。",
                "Somebody in the family fell badly ill last week; no claim is filed yet.",
            ),
            Text(
                "最近几周的事还没报上来。上门问一句“最近怎么样”。",
                "The last weeks are not on record yet. Ask: how have you been lately?",
            ),
        ),
        Story(
            None,
            Text(
                "分数低的户也会出事。低分不能代替走访。",
                "It also happens to homes with a low score. A low score never stands in for a visit.",
            ),
        ),
        Story(
            Text("挣钱的人说，下个月就没有活干了。", "The one who earns says there will be no work from next month."),
            BEYOND,
        ),
    ),
    "grey_something": (
        Story(
            Text(
                "家里说近来很难，有些东西已经变卖。", "The family says times are hard; some belongings have been sold."
            ),
            BY_HAND,
        ),
        Story(None, BY_HAND),
    ),
    "high_something": (
        Story(
            None,
            Text(
                "记录和走访都指向同一处时，请尽快核对政策。",
                "Where the records and the visit agree, look into the policies soon.",
            ),
        ),
        Story(
            Text(
                "家里证实了记录，还说这个月已借钱买粮。",
                "The family confirms the record and now borrows to buy food.",
            ),
            Text(
                "核实了就尽快办。问到的新情况也要记下。",
                "Once it is checked, act soon. Write down what is new as well.",
            ),
        ),
        Story(
            Text("家里不愿多说，只说还过得去。", "The family would rather not talk and says they manage."),
            Text(
                "一句“还过得去”不等于没事。过些天再去一次。",
                "“We manage” does not mean that all is well. Come again in some days.",
            ),
        ),
        Story(
            Text("家里有人常来探望，也带些东西。", "Relatives come by and bring things now and then."),
            Text(
                "有人帮，不等于够用。问清每月能有多少。",
                "Some help may still be too little. Ask how much it is each month.",
            ),
        ),
    ),
    "low_nothing": (
        Story(
            None,
            Text(
                "记录平稳，家里也平稳。按平常安排就好。",
                "The record is calm and so is the home. Usual attention is enough.",
            ),
        ),
        Story(
            Text(
                "家里欠熟人一点钱，说秋收后就还上。",
                "The family owes friends a little and will pay it back after the harvest.",
            ),
            Text(
                "不是每个难处都会变成返贫。记下，下次再问。",
                "Not every trouble ends in poverty. Write it down and ask again.",
            ),
        ),
    ),
    "grey_nothing": (
        Story(
            Text(
                "家里刚从外地回来，所以本地没有记录。工作稳定。",
                "The family just moved back, so there is no local record. Work is steady.",
            ),
            Text(
                "资料少也可能平安无事。去问了才知道。",
                "Little on record can also mean that all is well. Only asking tells.",
            ),
        ),
    ),
}
