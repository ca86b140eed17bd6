"""A bag of boosters as one model file: the trees of all members, each member's share of the mean in its leaves.

One file scores and explains in one pass: the sum of its trees is the mean of the members' margins, and so are its
contributions. Two bags grown anew agree on far more of a visit list than two single models do (`docs/results.md`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import lightgbm as lgb

_BLOCK = re.compile(r"\n(?=Tree=\d+\n)")
_END = "\nend of trees"


def bagged(members: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """One LightGBM text from the texts of several members, and how many trees each brought.

    The margin of the result is the mean of the members' margins. All must have been grown on the same columns and
    bins.

    Raises `ValueError` for no members, members of other columns, and texts that are not LightGBM's.
    """
    if not members:
        raise ValueError("a bag needs at least one member")
    head, tail, blocks, sizes = "", "", [], []
    for text in members:
        start, *trees = _BLOCK.split(text.split(_END, 1)[0])
        if _END not in text or "tree_sizes=" not in start:
            raise ValueError("a member is not the text of a LightGBM model")
        columns = start.split("tree_sizes=", 1)[0]
        if head and columns != head:
            raise ValueError("the members were grown on other columns or bins")
        head, tail = columns, tail or text.split(_END, 1)[1]
        blocks += [_scaled(tree, 1.0 / len(members)) for tree in trees]
        sizes.append(len(trees))
    numbered = [re.sub(r"^Tree=\d+", f"Tree={i}", block.strip("\n")) + "\n\n\n" for i, block in enumerate(blocks)]
    lengths = " ".join(str(len(block.encode())) for block in numbered)
    text = f"{head}tree_sizes={lengths}\n\n{''.join(numbered)}end of trees{tail}"
    # Written by LightGBM itself, so that the file is what LightGBM would have written for these trees.
    return str(lgb.Booster(model_str=text).model_to_string()), tuple(sizes)


def _scaled(tree: str, share: float) -> str:
    return "\n".join(_scaled_line(line, share) for line in tree.split("\n"))


def _scaled_line(line: str, share: float) -> str:
    name, _, numbers = line.partition("=")
    if name not in ("leaf_value", "internal_value"):
        return line
    return f"{name}=" + " ".join(repr(float(number) * share) for number in numbers.split())
