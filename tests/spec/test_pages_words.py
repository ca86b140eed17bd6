"""The words of the caseworker's pages: both languages, plain, short, and of association only."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from models.change import PARTS
from models.plain_words import LONGEST_ZH, banned_words, length_zh
from serving.pages.rendering import FOLDER
from serving.pages.words import WORDS, word

OURS = ("base", "login", "queue", "visit", "sheet", "feedback_done", "error")
SUSPICION = ("造假", "欺骗", "嫌疑", "可疑", "懒", "黑名单", "suspect", "fraudster", "blacklist", "lazy")
# Told so that nobody uses the system for it.
SAYS_WHAT_IS_FORBIDDEN = {"purpose"}


def templates() -> list[Path]:
    return [path for path in (FOLDER / "templates").glob("*.html") if path.stem in OURS or path.stem.startswith("_")]


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_word_is_there_in_both_languages_with_the_same_values() -> None:
    for key, (zh, en) in WORDS.items():
        assert zh.strip() and en.strip(), key
        assert fields(zh) == fields(en), key
        if key not in ("other_language", "stop", "colon", "comma"):
            assert re.search(r"[\u4e00-\u9fff]", zh), key
            assert not re.search(r"[\u4e00-\u9fff]", en), key


def test_no_word_says_what_causes_what_or_suspects_anybody() -> None:
    for key, texts in WORDS.items():
        assert [found for text in texts for found in banned_words(text)] == [], key
        if key not in SAYS_WHAT_IS_FORBIDDEN:
            assert [each for each in SUSPICION for text in texts if each in text.lower()] == [], key


def test_a_chinese_sentence_has_at_most_28_characters() -> None:
    sentences = [(key, each) for key, (zh, _) in WORDS.items() for each in re.split(r"[。；？！?]", zh)]
    assert [key for key, sentence in sentences if length_zh(sentence) > LONGEST_ZH] == []


def test_an_english_sentence_has_at_most_20_words() -> None:
    long = [key for key, (_, en) in WORDS.items() for each in re.split(r"[.;?!:]", en) if len(each.split()) > 20]
    assert long == []


def test_every_word_that_a_template_asks_for_is_written() -> None:
    asked = {key for path in templates() for key in re.findall(r"""\bt\(["'](\w+)["']""", path.read_text("utf-8"))}
    families = {key for key in asked if key.endswith("_")}
    assert asked - families - set(WORDS) == set()
    assert families and all(any(key.startswith(each) for key in WORDS) for each in families)


def test_no_word_is_left_that_nobody_uses() -> None:
    """A word is used by its whole name, or by a family of names of which the last part is put in (`answer_` ...)."""
    sources = [*FOLDER.rglob("*.py"), *(FOLDER / "templates").glob("*.html"), FOLDER.parent / "sheet_commands.py"]
    text = "\n".join(path.read_text("utf-8") for path in sources if path.name != "words.py")
    families = set(re.findall(r"""["'](\w+_)["']""", text)) | set(re.findall(r"""f["'](\w+_)\{""", text))
    families |= {each for each in ("_title", "_text") if f'"{each}"' in text}
    unused = [
        key
        for key in WORDS
        if not re.search(rf"""["']{key}["']""", text)
        and not any(key.startswith(family) or key.endswith(family) for family in families)
        and key not in ("strong", "medium", "slight", *PARTS)
    ]
    assert unused == []


def test_a_template_holds_no_words_of_its_own() -> None:
    for path in templates():
        assert not re.search(r"[\u4e00-\u9fff]", path.read_text("utf-8")), path.name


def test_no_page_holds_style_or_script_that_the_browser_is_told_to_refuse() -> None:
    for path in templates():
        text = path.read_text("utf-8")
        assert not re.search(r"\sstyle=|\son[a-z]+=|<script>|javascript:", text), path.name
        assert "<style>" not in text or path.stem == "sheet", path.name


def test_the_style_sheet_stays_small() -> None:
    assert (FOLDER / "static" / "povrisk.css").stat().st_size <= 12_288
    assert (FOLDER / "static" / "povrisk.js").stat().st_size <= 4_096


def test_a_value_is_put_into_a_word_and_an_unknown_word_is_an_error() -> None:
    assert word(WORDS, "if_known", "en", low=18, high=42) == "Once known: about 18 to 42 of 100"
    with pytest.raises(KeyError):
        word(WORDS, "nonsense", "zh")
