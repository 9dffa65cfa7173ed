"""Headers, playlists, marks of protection and strangers, spelled byte by byte.

Each function yields rows of (family, file name, maker, right errors, seconds, warned) for the
malformed corpus; a maker writes the file at the path it is given.

Not here: what a damaged recording looks like (files), the corpus itself (malformed).
"""

from __future__ import annotations

import base64
import io
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import av
from av.stream import Disposition

from tests.media import files, sounds
from tests.media.files import wav_header

Make = Callable[[Path], object]
Row = tuple[str, str, Make, frozenset[str], float | None, bool | None]
Whole = Callable[[str], bytes]

NOISE: Final = random.Random(3).randbytes(200_000)
PICTURE: Final = base64.b64decode(  # one transparent pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


def _row(
    family: str,
    name: str,
    content: bytes | Make,
    *codes: str,
    seconds: float | None = None,
    warned: bool | None = None,
) -> Row:
    make: Make = content if callable(content) else _writer(content)
    return (family, name, make, frozenset(f"source.{code}" for code in codes), seconds, warned)


def _writer(content: bytes) -> Make:
    return lambda path: path.write_bytes(content)


# --- headers that claim anything -----------------------------------------------------------------


def headers(whole: Whole) -> Iterator[Row]:
    """Sizes, channels and rates that nobody records; most cost a careless reader dearly."""
    refused = ("over-limit", "unreadable", "codec-unsupported", "no-audio-data")
    for channels in (0, 65, 255, 65_535):
        data = wav_header(channels=channels, rate=16_000) + NOISE
        yield _row("header", f"{channels}-channels.wav", data, *refused)
    for rate in (0, 1, 999, 2_000_000_000, 4_000_000_000):
        data = wav_header(channels=1, rate=rate) + NOISE
        yield _row("header", f"{rate}-hertz.wav", data, *refused)
    for bits, seconds in ((0, None), (1, 4.0), (7, 4.0), (64, 0.5), (255, None)):
        data = wav_header(channels=1, rate=16_000, bits=bits) + NOISE
        yield _row("header", f"{bits}-bits.wav", data, *refused, seconds=seconds)
    little = sounds.say("good morning everybody").tobytes()[:64_000]
    for claimed in (3_900_000_000, 2**32 - 2, 2**31):
        data = wav_header(channels=1, rate=16_000, data=claimed) + little
        yield _row("header", f"claims-{claimed}.wav", data, "too-long", seconds=2.0)
    yield _row("header", "sparse-rf64.wav", lambda p: files.sparse_rf64(p, 6 << 30), "too-long")
    yield _row("header", "sparse.w64", lambda p: _sparse_w64(p, whole("w64")), "too-long")
    yield _row(
        "header",
        "sparse.flac",
        lambda p: _sparse(p, whole("flac"), 64 << 20),
        *refused,
        "too-long",
        "truncated-upload",
        seconds=20.0,
    )
    yield _row(
        "header",
        "no-riff-size.wav",
        whole("wav").replace(whole("wav")[4:8], bytes(4), 1),
        seconds=20.0,
    )
    tag = b"ID3\x04\0\0\x0e\x4e\x1c\0"  # 30 MB of tag, as text in one frame
    frame = b"TXXX" + b"\x0e\x4e\x1b\x70"[:4] + b"\0\0"
    yield _row(
        "header",
        "giant-tag.mp3",
        lambda p: p.write_bytes(
            tag + (frame + b"\x03words " * 5_000_000)[: 30 << 20] + whole("mp3")
        ),
        "unreadable",
        "no-audio-track",
        "truncated-upload",
        "too-long",
        seconds=20.0,
    )
    yield _row(
        "header",
        "endless-tag.mp3",
        b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + NOISE,
        "unreadable",
        "no-audio-track",
    )
    yield _row(
        "header",
        "ebml-bomb.mkv",
        b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xfe"
        b"\x42\x82\x08\x7f\xff\xff\xff\xff\xff\xff" + NOISE,
        "unreadable",
        "no-audio-track",
    )
    yield _row(
        "header",
        "string-bomb.webm",
        whole("webm").replace(b"\x86", b"\x01\x7f", 1),
        *refused,
        "no-audio-track",
        seconds=20.0,
    )
    for table in (b"stsz", b"stco", b"stts", b"stsc"):
        yield _row(
            "header",
            f"huge-{table.decode()}.m4a",
            _huge_table(whole("m4a"), table),
            *refused,
            "too-long",
            "truncated-upload",
            "over-memory",
            seconds=20.0,
        )
    yield _row(
        "header",
        "nested-5000.m4a",
        _nested(5_000, whole("m4a")),
        "unreadable",
        "no-audio-track",
        "truncated-upload",
        seconds=20.0,
    )
    yield _row(
        "header",
        "boxes-200000.m4a",
        struct.pack(">I4s", 8, b"free") * 200_000 + whole("m4a"),
        "unreadable",
        "truncated-upload",
        seconds=20.0,
    )
    yield _row(
        "header",
        "no-samples.flac",
        whole("flac")[:42],
        *refused,
        "truncated-upload",
        "no-audio-track",
    )
    yield _row("header", "200-tracks.mkv", _many_tracks, "over-limit")
    yield _row("header", "60-tracks.mka", lambda p: _many_tracks(p, 60), seconds=0.2)


def _sparse(path: Path, content: bytes, size: int) -> None:
    path.write_bytes(content)
    with path.open("r+b") as file:
        file.truncate(size)


def _sparse_w64(path: Path, content: bytes) -> None:
    at = content.index(b"data\xf3\xac\xd3\x11") + 16
    size = 6 << 30
    _sparse(path, content[:at] + struct.pack("<Q", size - at + 16) + content[at + 8 :], size)


def _huge_table(content: bytes, table: bytes) -> bytes:
    """The number of entries says four thousand million."""
    at = content.index(table) + (12 if table == b"stsz" else 8)
    return content[:at] + b"\xff\xff\xff\xf0" + content[at + 4 :]


def _nested(depth: int, content: bytes) -> bytes:
    inner = b""
    for _ in range(depth):
        inner = struct.pack(">I4s", len(inner) + 8, b"moov") + inner
    return content[:28] + inner + content[28:]


def _many_tracks(path: Path, count: int = 200) -> None:
    with av.open(str(path), "w", format="matroska") as out:
        tracks: list[Any] = [
            out.add_stream("pcm_s16le", rate=8_000, layout="mono") for _ in range(count)
        ]
        for track in tracks:
            frame = av.AudioFrame.from_ndarray(
                sounds.noise(0.1)[None, :1_600], format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = 8_000, 0
            out.mux(track.encode(frame))


# --- text that names other files -----------------------------------------------------------------

CANARY: Final = "canary.wav"  # lies beside them and must not be read
PORT: Final = "{port}"  # of a listener that nobody may call
LISTS: Final = {
    "ffconcat": f"ffconcat version 1.0\nfile {CANARY}\n",
    "ffconcat-url": f"ffconcat version 1.0\nfile http://127.0.0.1:{PORT}/x.ts\n",
    "concat-script": f"file {CANARY}\nfile {CANARY}\n",
    "m3u8-file": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{CANARY}\n#EXT-X-ENDLIST\n",
    "m3u8-url": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n"
    f"http://127.0.0.1:{PORT}/x.ts\n#EXT-X-ENDLIST\n",
    "m3u8-key": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n"
    f'#EXT-X-KEY:METHOD=AES-128,URI="http://127.0.0.1:{PORT}/k"\n#EXTINF:9,\n{CANARY}\n',
    "m3u8-etc": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n",
    "m3u": f"http://127.0.0.1:{PORT}/a.mp3\nhttp://127.0.0.1:{PORT}/b.mp3\n",
    "mpd": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>'
    f"<BaseURL>http://127.0.0.1:{PORT}/</BaseURL></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=audio 5004 RTP/AVP 0\n",
    "cue": f'FILE "{CANARY}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
    "pls": f"[playlist]\nFile1=http://127.0.0.1:{PORT}/a.mp3\nNumberOfEntries=1\n",
    "asx": f'<asx version="3.0"><entry><ref href="http://127.0.0.1:{PORT}/a"/></entry></asx>',
    "smil": f'<smil><body><audio src="http://127.0.0.1:{PORT}/a.mp3"/></body></smil>',
    "wpl": f'<?wpl version="1.0"?><smil><body><media src="{CANARY}"/></body></smil>',
    "xspf": '<?xml version="1.0"?><playlist version="1"><trackList><track><location>'
    f"http://127.0.0.1:{PORT}/a.mp3</location></track></trackList></playlist>",
    "ism": '<SmoothStreamingMedia MajorVersion="2"></SmoothStreamingMedia>',
    "url": f"[InternetShortcut]\nURL=http://127.0.0.1:{PORT}/a.mp3\n",
    "reference": f"[Reference]\nRef1=http://127.0.0.1:{PORT}/a.asf\n",
    "edl": f"# mpv EDL v0\n{CANARY},0,10\n",
    "ram": f"rtsp://127.0.0.1:{PORT}/a.rm\n",
}


def playlists(port: int = 1) -> Iterator[Row]:
    """Lists of other files, under the names of recordings; `port` is where nobody may call."""
    for number, (kind, text) in enumerate(LISTS.items()):
        content = text.replace(PORT, str(port)).encode()
        codes = ("playlist-refused", "unreadable") if kind == "edl" else ("playlist-refused",)
        for ending in ("mp3", ("wav", "mp4", "mkv", "ogg", "flac", "m4a")[number % 6]):
            yield _row("playlist", f"{kind}.{ending}", content, *codes)


# --- marks of protection -------------------------------------------------------------------------

_ASF_HEADER: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_ENCRYPTED: Final = bytes.fromhex("fbb31122 23bdd211 b4b700a0c955fc6e".replace(" ", ""))


def protected(whole: Whole) -> Iterator[Row]:
    """As bought from a shop, as far as that can be made here: the marks, not the locks."""
    for mark in (b"drms", b"enca", b"aavd"):
        for kind in ("m4a", "m4a-fast"):
            content = whole(kind).replace(b"mp4a", mark, 1)
            name = f"{mark.decode()}-{kind}.{kind.partition('-')[0]}"
            yield _row("protected", name, content, "protected")
    for name, mark, scheme in (("shop.m4a", b"drms", b"itun"), ("stream.mp4", b"enca", b"cenc")):
        yield _row("protected", name, _with_sinf(whole("m4a"), mark, scheme), "protected")
    yield _row("protected", "encrypted.mka", _encrypted_matroska(), "protected")
    yield _row("protected", "licensed.wma", _licensed_asf(whole("wma")), "protected")


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def _with_sinf(content: bytes, mark: bytes, scheme: bytes) -> bytes:
    """Describe the sound as encrypted, as ISO/IEC 14496-12 and 23001-7 have it."""
    key = _box(b"tenc", bytes(6), b"\1\x08", b"0123456789abcdef")
    how = _box(b"schm", bytes(4), scheme, b"\0\1\0\0")
    sinf = _box(b"sinf", _box(b"frma", b"mp4a"), how, _box(b"schi", key))
    data, start, around = bytearray(content), 0, []
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"):
        while (box := struct.unpack_from(">I4s", data, start))[1] != kind:
            start += box[0]
        around.append(start)
        start += 8
    entry = start + 8
    data[entry + 4 : entry + 8] = mark
    end = entry + struct.unpack_from(">I", data, entry)[0]
    for at in (*around, entry):
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + len(sinf))
    data[end:end] = sinf
    return bytes(data)


def _ebml(kind: str, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes.fromhex(kind) + (len(body) | 1 << 56).to_bytes(8, "big") + body


def _encrypted_matroska() -> bytes:
    encryption = _ebml("5035", _ebml("47e1", b"\5"), _ebml("47e2", b"0123456789abcdef"))
    encodings = _ebml("6d80", _ebml("6240", _ebml("5033", b"\1"), encryption))
    sound = _ebml("e1", _ebml("b5", struct.pack(">d", 48_000.0)), _ebml("9f", b"\1"))
    opus = b"OpusHead\1\1\0\0\x80\xbb\0\0\0\0\0"
    track = _ebml(
        "ae",
        _ebml("d7", b"\1"),
        _ebml("73c5", b"\1"),
        _ebml("83", b"\2"),
        _ebml("86", b"A_OPUS"),
        _ebml("63a2", opus),
        sound,
        encodings,
    )
    choose = random.Random(9)
    blocks = [
        _ebml("a3", b"\x81" + struct.pack(">h", at * 20) + b"\x80" + choose.randbytes(120))
        for at in range(500)
    ]
    head = _ebml("1a45dfa3", _ebml("4282", b"matroska"), _ebml("4287", b"\4"))
    info = _ebml("1549a966", _ebml("2ad7b1", b"\x0f\x42\x40"))
    cluster = _ebml("1f43b675", _ebml("e7", b"\0"), *blocks)
    return head + _ebml("18538067", info, _ebml("1654ae6b", track), cluster)


def _licensed_asf(content: bytes) -> bytes:
    secret, kind, key, url = b"secret\0\0", b"DRM\0", b"key\0", b"http://127.0.0.1/license\0"
    body = b"".join(struct.pack("<I", len(part)) + part for part in (secret, kind, key, url))
    extra = _ASF_ENCRYPTED + struct.pack("<Q", 24 + len(body)) + body
    assert content.startswith(_ASF_HEADER)
    size, objects = struct.unpack_from("<QI", content, 16)
    head = _ASF_HEADER + struct.pack("<QI", size + len(extra), objects + 1) + content[28:30]
    return head + extra + content[30:]


# --- no recordings at all ------------------------------------------------------------------------


def nothing(seed: int) -> Iterator[Row]:
    """What people drop by mistake, and what a child leaves behind."""
    for ending in ("mp3", "wav", "mp4", "flac"):
        yield _row("nothing", f"empty.{ending}", b"", "empty")
        yield _row("nothing", f"one-byte.{ending}", b"x", "unreadable")
        noise = random.Random(seed).randbytes(300_000)
        yield _row(
            "nothing", f"random.{ending}", noise, "unreadable", "no-audio-data", "no-audio-track"
        )
        yield _row("nothing", f"zeros.{ending}", bytes(100_000), "truncated-upload")
        words = b"Dear all, please find attached the minutes.\n" * 3_000
        yield _row("nothing", f"words.{ending}", words, "unreadable", "no-audio-track")
    yield _row(
        "nothing", "header.wav", wav_header(channels=1, rate=16_000, data=0), "no-audio-data"
    )
    yield _row(
        "nothing",
        "half-header.wav",
        wav_header(channels=1, rate=16_000)[:20],
        "unreadable",
        "no-audio-track",
        "truncated-upload",
    )
    one = wav_header(channels=1, rate=16_000, data=2) + b"\0\1"
    yield _row("nothing", "one-sample.wav", one, "no-audio-data", seconds=0.0, warned=False)
    yield _row(
        "nothing",
        "program.mp3",
        Path("/bin/true").read_bytes(),
        "unreadable",
        "no-audio-track",
        "no-audio-data",
    )
    yield _row("nothing", "picture.mp3", PICTURE, "unreadable", "no-audio-track")
    yield _row(
        "nothing", "cover-only.mp3", _cover(b""), "unreadable", "no-audio-track", "no-audio-data"
    )
    yield _row("nothing", "document.mp3", _zip(), "unreadable", "no-audio-track")
    yield _row(
        "nothing",
        "page.mp4",
        b"<!doctype html><title>talk.mp4</title>" * 200,
        "unreadable",
        "no-audio-track",
        "playlist-refused",
    )
    for ending in ("mp4", "mkv", "webm"):
        yield _row(
            "nothing", f"mute.{ending}", lambda p: files.record_pictures(p, 2), "no-audio-track"
        )
    yield _row("nothing", "cover.mp3", _with_cover, seconds=2.0, warned=False)
    yield _row("nothing", "comments.mka", _only_comments, seconds=2.0, warned=False)


def _cover(sound: bytes) -> bytes:
    picture = b"\0image/png\0\3\0" + PICTURE
    frame = b"APIC" + struct.pack(">I", len(picture)) + b"\0\0" + picture
    size = len(frame)
    spread = bytes((size >> shift) & 127 for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + spread + frame + sound


def _with_cover(path: Path) -> None:
    files.record(path, sounds.meeting(2))
    path.write_bytes(_cover(path.read_bytes()))


def _only_comments(path: Path) -> None:
    with av.open(str(path), "w", format="matroska") as out:
        track: Any = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
        track.disposition = Disposition.comment
        frame = av.AudioFrame.from_ndarray(sounds.meeting(2)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        out.mux(track.encode(frame))


def _zip() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("word/document.xml", "<w:document/>" * 2_000)
    return made.getvalue()


# What stands before and behind an MP3 that is another file at the same time.
POLYGLOTS: Final = (
    ("zip-before", _zip(), b""),
    ("zip-behind", b"", _zip()),
    ("pdf", b"%PDF-1.4\n1 0 obj<<>>stream\n", b"\nendstream\n%%EOF\n"),
    ("html", b"<html><script>/*", b"*/alert(1)</script></html>"),
    ("elf", Path("/bin/true").read_bytes()[:4_096], b""),
    ("shell", b"#!/bin/sh\ntouch /tmp/pwned; exit\n", b""),
    ("gif", b"GIF89a\1\0\1\0\0\0\0;", b""),
    ("second-tag", b"", b"TAG" + b"x" * 125),
)
