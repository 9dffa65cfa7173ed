"""A form with a recording in it, read as it comes: fields into memory, the file on to its place.

Flask would put the whole form aside before it lets us look at it. Here the file goes to its
place piece by piece, at most one of them, and the fields are few and short.

Not here: what the fields mean (the views), where the file lies (appliance.receive).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from flask import request
from werkzeug.exceptions import ClientDisconnected
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import (
    NEED_DATA,
    Data,
    Epilogue,
    Field,
    File,
    MultipartDecoder,
    NeedData,
)

from appliance.errors import UploadBroken, UploadRefused

PIECE: Final = 256 * 1024  # bytes read at a time
_MOST_FIELDS: Final = 64
_LONGEST_FIELD: Final = 16 * 1024  # bytes
_SILENT_SECONDS: Final = 60.0
_ANY_LENGTH: Final = 1 << 62


@dataclass
class Form:
    """What has been read of it."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    filename: str | None = None  # of the recording; None: there is none yet
    content_type: str = ""

    def one(self, name: str, default: str = "") -> str:
        """The first value of a field."""
        return next(iter(self.fields.get(name, ())), default)

    def every(self, name: str) -> Sequence[str]:
        """All its values; PHP and JavaScript add brackets to the name."""
        return (*self.fields.get(name, ()), *self.fields.get(f"{name}[]", ()))


def pieces() -> Iterator[bytes]:
    """The body of this request, as it comes, however long. Raises policy.upload-broken.

    A sender that says nothing for a minute has gone.
    """
    request.max_content_length = _ANY_LENGTH  # what may come is bounded where it goes to
    sock = request.environ.get("gunicorn.socket")
    if sock is not None:
        sock.settimeout(_SILENT_SECONDS)
    stream = request.stream
    came = 0
    try:
        while piece := stream.read(PIECE):
            came += len(piece)
            yield piece
        if came < (request.content_length or 0):  # gunicorn takes a closed connection for the end
            raise UploadBroken
    except (ClientDisconnected, OSError) as error:
        raise UploadBroken from error
    finally:
        if sock is not None:
            sock.settimeout(None)


def boundary() -> bytes | None:
    """What parts this request's form; None where it is no form with files."""
    kind, options = parse_options_header(request.headers.get("Content-Type", ""))
    found = options.get("boundary", "")
    return found.encode("latin-1", "replace") if kind == "multipart/form-data" and found else None


def read(into: Callable[[bytes], object], *, before: Callable[[Form], object]) -> Form:
    """Read the form of this request; the bytes of its field `file` go `into`.

    `before` is called once, when the recording begins, or at the end of a form without one:
    what must be known by then stands before it. Raises policy.upload-refused, .upload-broken,
    what `into` and `before` raise.
    """
    parts = boundary()
    if parts is None:
        raise UploadRefused(why="it is no form with a file (multipart/form-data)")
    form = Form()
    begun = False
    for name, data in _parts(MultipartDecoder(parts, max_parts=_MOST_FIELDS), form):
        if name is not None:
            _add(form.fields, name, data)
            continue
        if not begun:
            begun = True
            before(form)
        into(data)
    if not begun:
        before(form)
    return form


def _parts(decoder: MultipartDecoder, form: Form) -> Iterator[tuple[str | None, bytes]]:
    """Each field with its value; pieces of the recording under no name."""
    name: str | None = None
    value = bytearray()
    for event in _events(decoder):
        match event:
            case File(name="file"):
                if form.filename is not None:
                    raise UploadRefused(why="it holds more than one file")
                form.filename = event.filename
                form.content_type = event.headers.get("Content-Type", "")
                name = None
            case File() | Field():
                name, value = event.name or "", bytearray()
            case Data() if name is None:
                yield None, event.data
            case Data():
                value += event.data
                if len(value) > _LONGEST_FIELD:
                    raise UploadRefused(why="a field of its form is too long")
                if not event.more_data:
                    yield name, bytes(value)
            case _:
                pass


def _events(decoder: MultipartDecoder) -> Iterator[object]:
    """What the decoder makes of the body. Raises policy.upload-broken for one without an end."""
    ended = False
    for piece in pieces():
        decoder.receive_data(piece)
        while not isinstance(event := _next(decoder), NeedData):
            yield event
    decoder.receive_data(None)
    while not ended:
        event = _next(decoder)
        ended = isinstance(event, Epilogue) or event is NEED_DATA
        yield event


def _next(decoder: MultipartDecoder) -> object:
    try:
        event = decoder.next_event()
    except ValueError as error:  # it ended within a part, or is no form at all
        if decoder.complete:
            raise UploadBroken from error
        raise UploadRefused(why="its form cannot be read") from error
    if len(decoder.buffer) > 2 * PIECE:  # a head of a part without an end
        raise UploadRefused(why="its form cannot be read")
    return event


def _add(fields: dict[str, list[str]], name: str, value: bytes) -> None:
    fields.setdefault(name, []).append(value.decode("utf-8", "replace"))


def told(fields: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The first value of each field that has one."""
    return {name: values[0] for name, values in fields.items() if values and values[0]}
