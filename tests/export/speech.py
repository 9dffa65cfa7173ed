"""Transcripts for tests: one written by hand at a time, or as many as a seed gives.

Not here: what is expected of their exports (lint, and the tests themselves).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from appliance.nouns import Notice, Provenance, Segment, Transcript, Word

HOSTILE = (
    "NUL\x00 VT\x0b ESC\x1b[31m half\ud800 \ufffe\uffff\x85 \u202eevil\u202c \u2067iso\u2069 "
    "<script>alert(1)</script> &amp; <b>bold</b> --> 00:00:01,000 --> 00:00:02,000\r\n\r\n"
    "7\n00:00:03.000-->00:00:04.000\n\nNOTE x\n# head\n"
    "| a | `b` * _ [l](javascript:x) {\\an8}\u2028"
)
LIMIT_HOURS = 100 * 3600.0

_VOCABULARY = {
    "en": "the a an of and with because museum yesterday budget Ada Lovelace meeting so we "
    "opened twelve 12 7 an exhibition, really! question? no. yes. extraordinarily don't "
    "<i> &amp; 00:00:01,000 "
    "https://example.org/reports/annual/2026/third-quarter/summary-of-everything.html",
    "de": "der die das ein eine und mit von weil Haushalt gestern "
    "Donaudampfschifffahrtsgesellschaft "
    "Sitzung, eröffnet. warum? ja nein zwölf "
    "Rindfleischetikettierungsüberwachungsaufgabengesetz",
    "fr": "le la les un une des et avec parce que réunion, "
    "budget hier. vraiment\u00a0? non oui musée",
    "ar": "في من على هذا الاجتماع الميزانية، أمس متحف سؤال؟ نعم لا السَّلَامُ عَلَيْكُمْ",
    "he": "של את על הפגישה תקציב, אתמול מוזיאון שאלה? כן לא שָׁלוֹם",
    "hi": "और में बैठक बजट, कल संग्रहालय प्रश्न? हाँ नहीं।",
    "ko": "오늘 회의 예산에 대해 이야기하겠습니다. 그리고 작년 결과를 봅시다, 네",
    "ja": "今日は 会議 の 予算 について 話します。 そして、 去年 「結果」 でしょう か？",  # noqa: RUF001
    "zh": "今天 我们 讨论 会议 的 预算。 去年 的 结果 很 好， 但是 明年 怎么样？ 《报告》",  # noqa: RUF001
    "th": "วันนี้ เรา จะ พูด ถึง งบประมาณ การประชุม ปีที่แล้ว ผลลัพธ์ ดี มาก",
}
UNSPACED = frozenset({"ja", "zh", "th"})


def word(text: str, start: float, end: float) -> Word:
    """One word, as sure as the model ever is."""
    return Word(start, end, text, 0.9)


def segment(
    text: str, start: float = 0.0, end: float = 1.0, words: Sequence[Word] = (), index: int = 0
) -> Segment:
    """One segment; its other fields are plausible."""
    seek = int(max(0.0, min(start, 1e9)) * 100)
    return Segment(index, seek, start, end, text, (50364, 1), 0.0, -0.25, 1.5, 0.01, tuple(words))


def transcript(
    *segments: Segment,
    language: str = "en",
    task: str = "transcribe",
    warnings: Sequence[str | Notice] = (),
    name: str = "talk.mp4",
    model: str = "large-v3",
) -> Transcript:
    """A transcript of these segments."""
    origin = Provenance(
        "1.0", "engine 1", model, "0" * 64, "cpu", "int8", {"beam": 5, "formats": ("srt",)},
        name, "f" * 64, 1234, 1, "c0ffee",
    )  # fmt: skip
    notices = tuple(Notice(w) if isinstance(w, str) else w for w in warnings)
    duration = segments[-1].end + 1 if segments else 3.0
    return Transcript(task, language, 0.98, duration, model, segments, notices, origin)


def spoken(
    text: str, *, start: float = 1.0, pace: float = 15.0, language: str = "en"
) -> Transcript:
    """A transcript of one segment, spoken evenly at `pace` characters a second."""
    words = []
    for token in text.split():
        end = start + len(token) / pace
        words.append(word(f" {token}", start, end))
        start = end + 1 / pace
    whole = segment(f" {text}", words[0].start, words[-1].end, words)
    return transcript(whole, language=language)


def generated(seed: int) -> Transcript:
    """Make up a transcript: any script, pace, silence and disorder of times; same seed, same."""
    random = Random(seed)
    language = random.choice(sorted(_VOCABULARY))
    at = random.choice([0.0, 0.4, 12.0, LIMIT_HOURS + 3599.9])
    pace = random.choice([4.0, 9.0, 14.0, 18.0, 24.0, 60.0])
    segments = []
    for index in range(random.randint(1, 9)):
        made, at = _segment(random, language, index, at, pace)
        segments.append(made)
        at += random.choice([0.0, 0.0, 0.02, 0.3, 0.9, 1.6, 4.0, 7200.0])
    return transcript(*segments, language=language)


def _segment(
    random: Random, language: str, index: int, at: float, pace: float
) -> tuple[Segment, float]:
    space = "" if language in UNSPACED else " "
    tokens = random.choices(_VOCABULARY[language].split(" "), k=random.choice([0, 1, 2, 8, 15, 30]))
    begin, words = at, []
    for token in tokens:
        end = at + len(token) / pace * random.uniform(0.6, 1.4)
        words.append(word(space + token, at, end))
        at = end + random.choice([0.0, 0.0, 0.05, 0.2, 1.2])
    text = "".join(w.word for w in words)
    return segment(text, begin, at, _disordered(random, words), index), at


def _disordered(random: Random, words: list[Word]) -> list[Word]:
    """Give the words' times back as they are, or as badly as models sometimes do."""
    match random.randrange(8):
        case 0:
            return []
        case 1:
            return [word(w.word, w.start, w.start) for w in words]
        case 2:
            return [word(w.word, w.start, w.end + 0.7) for w in words]
        case 3:
            times = random.sample(words, len(words))
            return [word(w.word, t.start, t.end) for w, t in zip(words, times, strict=True)]
        case 4 if words:
            return [word(w.word, words[0].start, words[0].start) for w in words]
    return words
