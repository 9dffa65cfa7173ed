"""Where a line of subtitles had better end: after a sentence, never after an article.

In: units. Out: for every unit, what it costs the reader when a line or a cue ends after
it. The word lists are short on purpose: the commonest words that lean on the next one.

Not here: how long a line or a cue may be (cues).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from appliance.export.units import Unit

SENTENCE: Final = 0.0  # the text ends here anyway
CLAUSE: Final = 4.0
BEFORE_LINK: Final = 8.0  # "… | and …", "… | of …"
PLAIN: Final = 12.0
NAME: Final = 18.0  # "Ada | Lovelace"
AFTER_LINK: Final = 24.0  # "… of | …"
MID_WORD: Final = 30.0  # in scripts without spaces
ARTICLE: Final = 1e5  # "… the | …": only where nothing else keeps the limits

_SENTENCE_MARKS: Final = (".", "?", "!", "…", "。", "？", "！", "؟", "۔", "।")  # noqa: RUF001 of every script
_CLAUSE_MARKS: Final = (",", ";", ":", "—", "–", "、", "，", "；", "：", "،", "؛")  # noqa: RUF001 of every script
_CLOSERS: Final = "\"'”’»)]}」』）】》"  # noqa: RUF001 of every script

ARTICLES: Final[Mapping[str, frozenset[str]]] = {
    language: frozenset(words.split())
    for language, words in {
        "de": "der die das den dem des ein eine einen einem einer eines herr frau dr. prof.",
        "en": "a an the mr. mrs. ms. dr. prof. st.",
        "es": "el la los las un una unos unas sr. sra. dr. dra.",
        "fr": "le la les un une des du au aux m. mme dr",
        "it": "il lo la i gli le un uno una sig. dott.",
        "nl": "de het een dhr. mevr. dr.",
        "pt": "o a os as um uma uns umas sr. sra. dr. dra.",
    }.items()
}
_LINKS: Final[Mapping[str, frozenset[str]]] = {
    language: frozenset(words.split())
    for language, words in {
        "de": "und oder aber denn weil dass wenn ob als wie in im an am auf aus bei beim mit nach "
        "von vom vor zu zum zur über unter für gegen ohne durch um",
        "en": "and or but nor because that which who if when while than as of in on at to from by "
        "with for about into over under after before between through without",
        "es": "y e o u pero porque que si cuando como de del en a al con por para sin sobre entre",
        "fr": "et ou mais car parce que qui si quand comme de en à dans par pour sur avec sans",
        "it": "e o ma perché che se quando come di del della in a al con per su tra fra senza",
        "nl": "en of maar want omdat dat die als wanneer van in op aan bij met naar uit voor door",
        "pt": "e ou mas porque que se quando como de do da em no na ao com por para sem sobre",
    }.items()
}
_CAPITAL_NOUNS: Final = frozenset({"de", "lb"})  # here a capital letter says nothing about names


def endings(units: Sequence[Unit], language: str) -> list[float]:
    """Price the end of a line after each unit, in the units' order; the last ends for nothing."""
    articles = ARTICLES.get(language, frozenset())
    links = _LINKS.get(language, frozenset())
    names = language not in _CAPITAL_NOUNS
    prices = [
        _price(before.text, after, articles, links, names=names)
        for before, after in pairwise(units)
    ]
    return [*prices, SENTENCE]


def _price(
    before: str, after: Unit, articles: frozenset[str], links: frozenset[str], *, names: bool
) -> float:
    word = before.lower()
    if word in articles:
        return ARTICLE
    mark = before.rstrip(_CLOSERS)
    if mark.endswith(_SENTENCE_MARKS):
        return SENTENCE
    if mark.endswith(_CLAUSE_MARKS):
        return CLAUSE
    if not after.whole:
        return MID_WORD
    if word in links:
        return AFTER_LINK
    if after.text.lower() in links:
        return BEFORE_LINK
    if names and before[:1].isupper() and after.text[:1].isupper():
        return NAME
    return PLAIN
