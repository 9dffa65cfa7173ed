"""Talking to a model hub: which commit, which files, and each of them whole or not at all.

In: a repository and a commit. Out: files on our disk that hold what the hub promised.
A connection that breaks goes on where it broke, in this run or in the next one.

Only https, a hub on this machine itself excepted, and the same for every address it sends
us on to. Proxies are those of the environment. We never log in.

Not here: where files are put and when they count (pull).
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Self, TypeVar

import httpx

from appliance import __version__
from appliance.errors import ModelCorrupt, ModelUnknown, ModelUnreachable
from appliance.weights import manifest as manifests
from appliance.weights.manifest import Content

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_TIMEOUT: Final = httpx.Timeout(30.0)  # for the next piece, not for the whole file
_TRIES: Final = 4  # in a row without a single byte more
_HIDDEN: Final = frozenset({401, 403, 404, 410})  # a hub says 401 for what does not exist
_NONSENSE: Final = "it does not answer like a model hub"
_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")

T = TypeVar("T")
Told = Callable[[str, int, int], None]  # file, bytes of it that are here, bytes it has


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file of a repository, and what proves that we have it."""

    name: str
    size: int
    sha256: str | None = None
    blob_sha1: str | None = None  # git's number of a small file, which has no sha256 on a hub


def is_commit(revision: str) -> bool:
    """Tell a commit, which never changes, from a branch or a tag."""
    return _COMMIT.fullmatch(revision) is not None


def is_safe(url: httpx.URL) -> bool:
    """Tell whether nobody on the way can change what comes from there."""
    if url.scheme == "https":
        return True
    if url.scheme != "http":
        return False
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(url.host).is_loopback
    return url.host == "localhost"


class Hub:
    """A model hub, on behalf of one model."""

    def __init__(
        self, address: str, model: str, *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        """`pause` is what waits between two tries."""
        self._model = model
        self._pause = pause
        self._address = address.rstrip("/")
        self._client = httpx.Client(
            headers={
                "User-Agent": f"transcription-appliance/{__version__}",
                "Accept-Encoding": "identity",  # or ranges would count compressed bytes
            },
            timeout=_TIMEOUT,
            follow_redirects=True,
            event_hooks={"request": [self._only_safe]},
            mounts={f"all://{host}": None for host in _LOOPBACK},  # never through a proxy
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._client.close()

    def commit(self, repository: str, revision: str) -> str:
        """The commit that a branch or tag means today. Raises ModelUnknown, ModelUnreachable."""
        if is_commit(revision):
            return revision
        answer = self._answer(f"/api/models/{repository}/revision/{revision}")
        commit = answer.get("sha") if isinstance(answer, dict) else None
        if not isinstance(commit, str) or not is_commit(commit):
            raise self._unreachable(_NONSENSE)
        return commit

    def files(self, repository: str, commit: str) -> list[Wanted]:
        """The files of a repository at a commit. Raises ModelUnknown, ModelUnreachable."""
        answer = self._answer(f"/api/models/{repository}/tree/{commit}")
        try:
            return [_wanted(entry) for entry in answer if entry["type"] == "file"]
        except (KeyError, TypeError, ValueError) as error:
            raise self._unreachable(_NONSENSE) from error

    def fetch(
        self, repository: str, commit: str, wanted: Wanted, folder: str, told: Told
    ) -> Content:
        """Bring a file into a folder, going on with what lies there.

        Raises ModelCorrupt when it is not what was promised (it is removed), ModelUnknown,
        ModelUnreachable (what has come so far stays), OSError of our own disk.
        """
        path = os.path.join(folder, wanted.name)
        url = f"{self._address}/{repository}/resolve/{commit}/{wanted.name}"
        with open(path, "ab") as file:
            if file.tell() > wanted.size:
                file.truncate(0)
        if os.path.getsize(path) < wanted.size:
            self._patiently(
                lambda: self._more(url, wanted, path, told), have=lambda: os.path.getsize(path)
            )
        return self._proved(wanted, path)

    def _more(self, url: str, wanted: Wanted, path: str, told: Told) -> None:
        """Append what is missing, as far as the connection carries."""
        have = os.path.getsize(path)
        headers = {"Range": f"bytes={have}-"} if have else {}
        with self._client.stream("GET", url, headers=headers) as response:
            self._refuse(response)
            if response.status_code != HTTPStatus.PARTIAL_CONTENT:
                have = 0  # this server cannot go on in the middle
            if _length(response, have) not in (None, wanted.size):
                os.unlink(path)
                raise self._corrupt(wanted, f"has another size than {wanted.size} bytes")
            with open(path, "r+b") as file:
                file.truncate(have)
                file.seek(have)
                for piece in response.iter_raw():
                    have += file.write(piece)
                    if have > wanted.size:
                        os.unlink(path)
                        raise self._corrupt(wanted, f"is longer than {wanted.size} bytes")
                    told(wanted.name, have, wanted.size)
                file.flush()
                os.fsync(file.fileno())

    def _proved(self, wanted: Wanted, path: str) -> Content:
        content = manifests.of_file(path)
        if wanted.sha256 is not None:
            good = content.sha256 == wanted.sha256
        else:
            good = wanted.blob_sha1 is None or _blob_sha1(path) == wanted.blob_sha1
        if not good or content.size != wanted.size:
            os.unlink(path)
            raise self._corrupt(wanted, "has the wrong checksum")
        return content

    def _answer(self, path: str) -> Any:  # noqa: ANN401 - JSON
        def ask() -> httpx.Response:
            response = self._client.get(f"{self._address}{path}")
            self._refuse(response)
            return response

        try:
            return self._patiently(ask).json()
        except ValueError as error:
            raise self._unreachable(_NONSENSE) from error

    def _patiently(self, attempt: Callable[[], T], *, have: Callable[[], int] = lambda: 0) -> T:
        """Try again what broke on the way; what brought a few bytes more does not count."""
        left = _TRIES
        while True:
            before = have()
            try:
                return attempt()
            except (httpx.TransportError, _TryAgain) as error:
                left = _TRIES if have() > before else left - 1
                if not left:
                    raise self._unreachable(str(error) or type(error).__name__) from error
                self._pause(2.0 ** (_TRIES - left - 1))
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise self._unreachable(str(error)) from error

    def _refuse(self, response: httpx.Response) -> None:
        """Raise for an answer that is not the thing we asked for."""
        status = response.status_code
        if status in _HIDDEN:
            raise ModelUnknown(model=self._model, where=str(response.url.copy_with(query=None)))
        if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            return
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _TryAgain(f"it answered {status} {response.reason_phrase}")
        raise self._unreachable(f"it answered {status} {response.reason_phrase}")

    def _only_safe(self, request: httpx.Request) -> None:
        if not is_safe(request.url):
            raise self._unreachable(f"{request.url.copy_with(query=None)} is not https")

    def _unreachable(self, why: str) -> ModelUnreachable:
        return ModelUnreachable(model=self._model, where=self._address, why=why)

    def _corrupt(self, wanted: Wanted, how: str) -> ModelCorrupt:
        return ModelCorrupt(model=self._model, why=f"{wanted.name} of {self._address} {how}")


class _TryAgain(Exception):
    """The hub is busy. Never leaves this module."""


def _wanted(entry: Mapping[str, Any]) -> Wanted:
    large = entry.get("lfs")
    if large:
        return Wanted(entry["path"], int(large["size"]), sha256=large["oid"])
    return Wanted(entry["path"], int(entry["size"]), blob_sha1=entry["oid"])


def _length(response: httpx.Response, have: int) -> int | None:
    """How long the whole file is, as this answer to a request from byte `have` on says."""
    partial = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if response.status_code == HTTPStatus.PARTIAL_CONTENT:
        return int(partial[2]) if partial and int(partial[1]) == have else -1
    length = response.headers.get("Content-Length")
    return int(length) if length else None


def _blob_sha1(path: str) -> str:
    """Git's number of a file."""
    with open(path, "rb") as file:
        content = file.read()
    head = b"blob %d\0" % len(content)
    return hashlib.sha1(head + content, usedforsecurity=False).hexdigest()
