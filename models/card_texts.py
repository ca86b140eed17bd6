"""The fixed words of the model card in Chinese and English: uses, limits, who decides, and the names of its figures.

Chinese sentences are short, because the card is also read on a phone by people who knock on doors.
"""

from __future__ import annotations

from features.definition import Text

INTENDED_USES = {
    "prioritise_visit": Text("建议先走访哪些户。", "Suggesting which households to visit first."),
    "prepare_visit": Text(
        "准备走访：看哪些记录，问哪些问题。", "Preparing a visit: which records to look at, what to ask."
    ),
}
FORBIDDEN_USES = {
    "deny_or_reduce_benefit": Text(
        "不得据此拒绝、减少、暂停或取消任何救助，也不得自动给予。",
        "Refusing, reducing, suspending or ending any assistance by it, or granting any automatically.",
    ),
    "remove_from_monitoring": Text(
        "不得用分数低代替走访，也不得据此把户移出监测名单。",
        "Using a low score in place of a visit, or to take a household off the watch list.",
    ),
    "fraud_suspicion": Text("不得据此怀疑或查处骗取救助。", "Suspecting or pursuing anybody for fraud."),
    "staff_appraisal": Text("不得用于考核、排名基层工作人员。", "Rating or ranking the people who do the work."),
    "public_ranking": Text("不得公布户名单、排名或分数。", "Publishing names, ranks or scores of households."),
    "outside_purposes": Text(
        "不得用于执法、信贷、就业或入学审查。", "Law enforcement, credit, employment or school admission."
    ),
}
CANNOT_KNOW = {
    "kin_support": Text("亲友和邻里的帮扶", "help from relatives and neighbours"),
    "informal_debt": Text("私人借款", "private loans"),
    "last_weeks": Text("最近几周还没有上报的事", "what happened in the last weeks and is not reported yet"),
    "own_wishes": Text("家庭自己的打算和意愿", "the family's own plans and wishes"),
    "intent_of_spending": Text("钱为什么花", "what spending was meant for"),
}
DECISION = (
    Text(
        "系统不作决定。是否纳入、怎么帮扶，由人核实后按程序决定。",
        "The system decides nothing. People decide whether and how to help, after checking, by the usual procedure.",
    ),
    Text(
        "分数低不说明没有困难。没有分数也不说明风险低。",
        "A low score is no evidence of no need. No score does not mean low risk.",
    ),
)
OBJECTION = (
    Text(
        "本人或家属可以要求查看、说明和更正记录，也可以要求不用模型评估。",
        "A household may ask to see, to have explained and to have corrected what is on record, and may ask not to be "
        "scored by the model.",
    ),
    Text(
        "向村（社区）或乡镇（街道）民政窗口提出。异议不影响应得的救助。",
        "Ask the village or township office for civil affairs. An objection takes no assistance away.",
    ),
)
MODEL = Text(
    "多棵小决策树相加，再校准成概率。每个分数都能精确分解到各个方面。",
    "A sum of small decision trees, calibrated to a probability. Every score divides exactly into its domains.",
)
MONOTONE = Text("只升不降或只降不升的指标数", "Features that can only raise, or only lower, the score as they grow")
MATURE = Text(
    "只用到期且已过通常上报时滞的结果。未到期的结果是未知，不算“没有”。",
    "Only outcomes whose time is over and usually reported by now. One that is not due is unknown, never “none”.",
)
UNVISITED = Text(
    "没走访不等于没困难：没有记录的困难，模型学不到。",
    "Not visited is not the same as not in need: what nobody recorded the model could not learn.",
)
TREATED = Text(
    "期间得到帮扶的户保留并标明；他们的结果可能是帮扶之后的结果。",
    "Households that were helped in the meantime are kept and marked; their outcome is one after help.",
)
NOT_REPORTED = Text("没有这项数字。", "No figure for this is on record.")
INSUFFICIENT = Text("依据不足，不作判断。", "Insufficient evidence; nothing is claimed.")
FEW = Text("为保护少数户，不公布", "withheld, to protect few households")
UNDECIDED = Text("未能判定", "undecided")
PASSED, FAILED = Text("通过", "passed"), Text("未通过", "FAILED")

TITLES = {
    "intended_uses": Text("用途", "Intended use"),
    "forbidden_uses": Text("禁止用途", "Forbidden use"),
    "foresees": Text("预测什么", "What it foresees"),
    "data": Text("数据", "Data"),
    "label_honesty": Text("结果记录是否可信", "How far the outcomes can be trusted"),
    "model": Text("模型", "The model"),
    "performance": Text("效果", "Performance"),
    "capacity": Text("走访能力与等级线", "Visiting capacity and bands"),
    "calibration": Text("概率准不准", "Calibration"),
    "groups": Text("各类家庭", "Groups of households"),
    "abstention": Text("不给分的情形", "When no score is given"),
    "gates": Text("发布条件", "Gates"),
    "cannot_know": Text("系统看不到的", "What it cannot know"),
    "decision": Text("谁来决定", "Who decides"),
    "objection": Text("如何提出异议", "How to object"),
    "versions": Text("版本", "Versions"),
}
WORDS = {
    "card": Text("模型说明卡", "Model card"),
    "horizon": Text("个月内", "months ahead"),
    "base_rate": Text("训练数据中每100户平均", "Of 100 households in the training data, on average"),
    "name": Text("名称", "Name"),
    "provenance": Text("来源", "Provenance"),
    "digest": Text("数据指纹", "Digest"),
    "regions": Text("地区", "Regions"),
    "train_rows": Text("训练行数", "Training rows"),
    "train_until": Text("训练到", "Trained until"),
    "test": Text("测试", "Test"),
    "rows": Text("行", "rows"),
    "households": Text("户", "households"),
    "positives": Text("出现结果", "with the outcome"),
    "until": Text("至", "to"),
    "source": Text("部门", "Source"),
    "median_lag": Text("时滞中位数（天）", "Median lag (days)"),
    "late_lag": Text("95%在（天）内", "95 % within (days)"),
    "treated": Text("期间得到帮扶的占比", "Share helped in the meantime"),
    "route": Text("发现途径", "Found by"),
    "features": Text("指标数", "Features"),
    "members": Text("子模型数", "Members"),
    "domain": Text("方面", "Domain"),
    "share": Text("占比", "Share"),
    "weight": Text("对分数的影响占比", "Share of what moves scores"),
    "metric": Text("度量", "Metric"),
    "value": Text("数值", "Value"),
    "interval": Text("95%区间", "95 % interval"),
    "model": Text("本模型", "This model"),
    "against": Text("对比", "Against"),
    "difference": Text("差", "Difference"),
    "verdict": Text("结论", "Verdict"),
    "tier": Text("等级", "Tier"),
    "from": Text("概率从", "Probability from"),
    "reached": Text("出现结果的户中走访到的占比", "Share of the households with the outcome that are reached"),
    "decile": Text("分数从低到高", "Scores, lowest to highest"),
    "foretold": Text("预测", "Foretold"),
    "observed": Text("实际", "Observed"),
    "picture": Text("校准图", "Calibration plot"),
    "group": Text("类别", "Group"),
    "code": Text("代码", "Code"),
    "gate": Text("条件", "Gate"),
    "needed": Text("要求", "Needed"),
    "result": Text("结果", "Result"),
    "absent_domains": Text("本目录没有的方面", "Domains this catalogue lacks"),
    "valid_until": Text("有效期至", "Valid until"),
    "library": Text("程序库", "Library"),
    "missing": Text("没有数字的部分", "Sections without figures"),
    "none": Text("无", "none"),
}
METRICS = {
    "auc": Text("AUC", "AUC"),
    "average_precision": Text("平均精确率", "Average precision"),
    "recall_at_2pct": Text("走访2%时的召回率", "Recall at 2 % capacity"),
    "recall_at_5pct": Text("走访5%时的召回率", "Recall at 5 % capacity"),
    "recall_at_10pct": Text("走访10%时的召回率", "Recall at 10 % capacity"),
    "brier": Text("Brier 分数", "Brier score"),
    "log_loss": Text("对数损失", "Log-loss"),
    "observed_expected": Text("实际／预测", "Observed / expected"),
    "observed_expected_top_decile": Text("最高一成的实际／预测", "Observed / expected, top decile"),
    "calibration_slope": Text("校准斜率", "Calibration slope"),
}
VERDICTS = {
    "ahead": Text("更好", "ahead"),
    "tied": Text("相当", "tied"),
    "behind": Text("更差", "behind"),
    "ok": Text("未见差距", "no gap seen"),
    "warn": Text("注意", "warning"),
    "block": Text("不可发布", "blocks publication"),
    "insufficient": INSUFFICIENT,
    "reference": Text("对照", "reference"),
}
MODELS = {
    "best_single_feature": Text("最好的单项指标", "best single feature"),
    "income_logistic": Text("只看收入的逻辑回归", "logistic, income only"),
    "all_logistic": Text("全部指标的逻辑回归", "logistic, all features"),
    "points": Text("积分规则", "points of the rules"),
    "best_trigger": Text("最好的触发规则", "best single trigger"),
    "ebm": Text("可解释加性模型", "explainable boosting machine"),
    "one_lightgbm": Text("单个默认模型", "one plain LightGBM"),
    "champion": Text("现用模型", "the model in use"),
}
# What each gate is called, and in Chinese what it needs; in English the gate says it itself.
GATES = {
    "auc_above_best_single_feature": (Text("AUC", "AUC"), "高于最好的单项指标"),
    "observed_expected": (Text("实际／预测", "Observed / expected"), "0.9 至 1.1"),
    "positives_in_test": (Text("测试中出现结果的行数", "Test rows with the outcome"), "至少 50"),
    "log_loss_below_base_rate": (Text("对数损失", "Log-loss"), "低于只用平均值"),
    "calibration_slope": (Text("校准斜率", "Calibration slope"), "0.8 至 1.2"),
    "observed_expected_top_decile": (
        Text("最高一成的实际／预测", "Observed / expected, top decile"),
        "0.8 至 1.25",
    ),
    "log_loss_against_challengers": (
        Text("对数损失与最好的对比模型之差", "Log-loss beyond the best challenger's"),
        "没有明显更好的对比模型",
    ),
    "average_precision_against_best_single_feature": (
        Text("平均精确率与最好的单项指标之差", "Average precision beyond the best single feature's"),
        "不明显低于 0",
    ),
    "abstention_share": (Text("不给分的占比", "Share without a score"), "至多 0.15"),
    "champion_auc": (Text("AUC 与现用模型之差", "AUC beyond the model in use"), "不明显更差"),
    "champion_average_precision": (
        Text("平均精确率与现用模型之差", "Average precision beyond the model in use"),
        "不明显更差",
    ),
    "champion_recall_at_5pct": (
        Text("走访5%时的召回率与现用模型之差", "Recall at 5 % capacity beyond the model in use"),
        "不明显更差",
    ),
    "champion_recall_at_10pct": (
        Text("走访10%时的召回率与现用模型之差", "Recall at 10 % capacity beyond the model in use"),
        "不明显更差",
    ),
    "champion_log_loss": (Text("对数损失与现用模型之差", "Log-loss beyond the model in use"), "不明显更差"),
}
ROUTES = {
    "self": Text("本人申请", "own application"),
    "visit": Text("走访", "a visit"),
    "push": Text("部门推送", "a department's notice"),
    "model": Text("模型提示", "the model's notice"),
    "other": Text("其他", "other"),
    "unknown": Text("不清楚", "not known"),
}
TIERS = {
    "red": Text("红", "red"),
    "orange": Text("橙", "orange"),
    "yellow": Text("黄", "yellow"),
}
