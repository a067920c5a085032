"""The manual's pages as text, and what they name: bold words, italic words, rows of tables."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "man").glob("*.[1-9]"))
MACRO = re.compile(r"^\.(B|I|BR|RB|BI|IB|RI|IR)\s+(.*)$")
FONT = re.compile(r"\\f([BI])(.*?)\\f[RP]")
WORD = re.compile(r"[A-Za-z0-9_$.:/-]+")


def plain(text):
    return text.replace("\\-", "-").replace("\\&", "").replace("\\(dq", '"').replace("\\e", "\\")


def page(name):
    return (ROOT / "man" / name).read_text()


def arguments(text):
    return re.findall(r'"([^"]*)"|(\S+)', text)


def marked(text, letter):
    """The words of a page in this font: B or I."""
    found = set()
    for line in text.splitlines():
        macro = MACRO.match(line)
        if macro:
            fonts = macro[1] if len(macro[1]) == 2 else macro[1] * 2
            parts = [quoted or bare for quoted, bare in arguments(macro[2])]
            spans = [part for at, part in enumerate(parts) if fonts[at % 2] == letter]
        else:
            spans = [span for font, span in FONT.findall(line) if font == letter]
        for span in spans:
            found.update(WORD.findall(re.sub(r"\\f.", "", plain(span))))
    return {word.rstrip(".:") for word in found}


def section(text, name):
    """Lines from .SH or .SS NAME to the next one."""
    found = re.search(rf"^\.S[HS] {re.escape(name)}\n(.*?)(?=^\.S[HS] |\Z)", text, re.M | re.S)
    return found[1] if found else ""


def sources(*places):
    return "\n".join(path.read_text() for place in places for path in sorted((ROOT / place).rglob("*.*")) if path.suffix in (".cc", ".h"))
