"""Sources that may never be used, however well they would predict, each with its reason.

Whoever is poor must not be watched for it. Traces of daily life are neither asked for nor taken: intake refuses such
rows, and the catalogue refuses to declare such a kind of event. A row is known by the category of its code, by a word
in the rest of its code, or by a word in its source.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from features.codes import is_code
from features.definition import EventKind, Text


@dataclass(frozen=True, slots=True)
class BannedSource:
    """One banned kind of source.

    `categories` are codes it could come under; `zh` and `en` are words by which a source gives itself away. A Chinese
    word counts anywhere in a text, an English one only as a whole word. `why` ends the refusal; it must hold none of
    the words, because a refusal never repeats what was written.
    """

    name: Text
    why: str
    categories: tuple[str, ...]
    zh: tuple[str, ...]
    en: tuple[str, ...]


BANNED: tuple[BannedSource, ...] = (
    BannedSource(
        Text("支付流水", "payment streams"),
        "what somebody pays day by day shows habits, not need, and is private",
        categories=("PAY", "PAYMENT", "PAYMENTS", "WALLET", "ALIPAY", "WXPAY", "UNIONPAY"),
        zh=(
            "支付宝",
            "微信支付",
            "云闪付",
            "银联",
            "支付流水",
            "支付记录",
            "支付数据",
            "移动支付",
            "扫码支付",
            "电子钱包",
        ),
        en=(
            *("payment stream", "payment record", "payment data", "payment log", "payment app", "mobile payment"),
            *("alipay", "wechat pay", "wechatpay", "unionpay", "paypal", "e wallet", "mobile money", "card spending"),
        ),
    ),
    BannedSource(
        Text("网约车", "ride-hailing"),
        "booked trips show where somebody goes, not what the household lacks",
        categories=("RID", "RIDE", "RIDES", "RIDEHAIL", "TAXI", "DIDI", "TRIP", "TRIPS"),
        zh=("网约车", "打车", "滴滴", "顺风车", "共享单车", "出行平台", "出行记录"),
        en=("ride hailing", "ridehailing", "ride hail", "ride sharing", "ridesharing", "didi", "uber", "taxi booking"),
    ),
    BannedSource(
        Text("位置与地图", "location and maps"),
        "following somebody's whereabouts is surveillance, not evidence of need",
        categories=("GPS", "LOC", "LOCATION", "MAP", "MAPS", "TRACK"),
        zh=("地图", "定位", "导航", "轨迹", "位置数据", "位置信息", "位置服务", "手机位置", "行程码", "基站"),
        en=(
            *("gps", "location", "geolocation", "maps", "map data", "map service", "cell tower", "mobility trace"),
            *("movement trace", "track log"),
        ),
    ),
    BannedSource(
        Text("电商", "online shopping"),
        "what somebody orders shows taste, not need, and is private",
        categories=("ECM", "ECOM", "ECOMMERCE", "SHOP", "SHOPPING", "TAOBAO"),
        zh=(
            "电商",
            "网购",
            "网上购物",
            "购物平台",
            "购物记录",
            "淘宝",
            "天猫",
            "京东商城",
            "拼多多",
            "美团",
            "饿了么",
            "外卖",
        ),
        en=(
            *("e commerce", "ecommerce", "online shop", "online shopping", "online retailer", "purchase history"),
            *("taobao", "alibaba", "food delivery app", "shopping basket", "loyalty card"),
        ),
    ),
    BannedSource(
        Text("通话记录", "phone logs"),
        "whom somebody talks and writes to is private and says nothing of need",
        categories=("CDR", "TEL", "PHONE", "SMS", "TELCO"),
        zh=(
            *("通话", "话单", "短信记录", "短信内容", "通讯录", "通信运营商", "电信运营商", "手机信令"),
            *("中国移动", "中国联通", "中国电信"),
        ),
        en=(
            *("phone log", "phone record", "phone usage", "call log", "call record", "call detail record", "cdr"),
            *("sms log", "sms record", "text message log", "mobile operator", "telecom operator", "telco"),
            *("contact list", "airtime"),
        ),
    ),
    BannedSource(
        Text("社交媒体", "social media"),
        "what somebody says to friends, and who the friends are, must not count for or against a household",
        categories=("SNS", "SOCIALMEDIA", "WEIBO", "DOUYIN", "CHAT"),
        zh=(
            "社交媒体",
            "社交平台",
            "社交网络",
            "社交账号",
            "微博",
            "朋友圈",
            "抖音",
            "快手",
            "小红书",
            "聊天",
            "短视频",
        ),
        en=(
            *("social media", "social network", "weibo", "wechat moment", "douyin", "tiktok", "kuaishou", "facebook"),
            *("instagram", "twitter", "chat log", "chat history"),
        ),
    ),
    BannedSource(
        Text("应用使用", "app usage"),
        "how somebody spends time on a screen is private and says nothing of need",
        categories=("APP", "APPS", "APPUSAGE", "BROWSE", "BROWSER"),
        zh=(
            "应用使用",
            "APP使用",
            "应用日志",
            "APP日志",
            "上网记录",
            "上网日志",
            "浏览记录",
            "浏览历史",
            "搜索记录",
            "设备指纹",
        ),
        en=(
            *("app usage", "app use", "app log", "app activity", "screen time", "browsing", "browser history"),
            *("web history", "search history", "device fingerprint", "clickstream"),
        ),
    ),
    BannedSource(
        Text("办事渠道使用", "channel use"),
        "the way in which somebody reaches an office must not count for or against a household",
        categories=("CHANNEL", "LOGIN", "LOGINS"),
        zh=("渠道使用", "使用渠道", "渠道偏好", "渠道行为", "登录记录", "登录日志", "登录次数"),
        en=("channel use", "channel usage", "channel preference", "login record", "login log", "login history"),
    ),
    BannedSource(
        Text("生活方式", "lifestyle"),
        "judging a way of living comes close to social scoring, which is unlawful",
        categories=("LIFESTYLE", "HABIT", "HABITS", "LEISURE", "SOCIALCREDIT"),
        zh=("生活方式", "生活习惯", "消费习惯", "消费偏好", "消费记录", "消费流水", "兴趣爱好", "用户画像", "芝麻信用"),
        en=(
            "lifestyle",
            "life style",
            "leisure",
            "consumer profile",
            "consumer segment",
            "sesame credit",
            "zhima credit",
        ),
    ),
)

_BY_CATEGORY = {category: banned for banned in BANNED for category in banned.categories}
_ENGLISH = tuple(
    (re.compile(rf"(?<![a-z0-9])(?:{'|'.join(map(re.escape, banned.en))})s?(?![a-z0-9])"), banned) for banned in BANNED
)
_CHINESE = tuple((word.casefold(), banned) for banned in BANNED for word in banned.zh)


def why_code_banned(code: object) -> str | None:
    """Why an event code may not be taken; None where it may, and for what is no code at all.

    >>> why_code_banned("RIDE//TRIP").split(": ")[1]
    'booked trips show where somebody goes, not what the household lacks; leave the row out'
    >>> why_code_banned("TRF//ACCIDENT") is None
    True
    """
    if not isinstance(code, str) or not is_code(code):
        return None
    banned = _BY_CATEGORY.get(code.split("//")[0]) or _found_in(code)
    return None if banned is None else _reason(banned)


def why_source_banned(source: object) -> str | None:
    """Why rows of a source may not be taken; None where they may.

    >>> why_source_banned("某网约车平台") == why_source_banned("Ride-hailing Ltd") == why_code_banned("RIDE//TRIP")
    True
    >>> why_source_banned("医保") is None
    True
    """
    banned = _found_in(source) if isinstance(source, str) else None
    return None if banned is None else _reason(banned)


def refuse_banned(kind: EventKind) -> None:
    """Refuse a kind whose code, name or department is of a banned sort, as a `ValueError`."""
    written = (kind.department.source, *kind.department.name, *kind.name)
    why = why_code_banned(kind.code) or next((why for text in written if (why := why_source_banned(text))), None)
    if why is not None:
        raise ValueError(f"event kind {kind.code} {why.removesuffix('; leave the row out')}; do not declare it")


def _found_in(text: str) -> BannedSource | None:
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = re.sub(r"[^a-z0-9]+", " ", folded)
    for pattern, banned in _ENGLISH:
        if pattern.search(words):
            return banned
    joined = re.sub(r"\s+", "", folded)
    return next((banned for word, banned in _CHINESE if word in joined), None)


def _reason(banned: BannedSource) -> str:
    return f"is of a kind that may never be used: {banned.why}; leave the row out"
