"""Uploads through the real server: cut, killed, silent, large; its memory stays what it was."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from appliance import receive
from appliance.nouns import UPLOADS
from appliance.rights import Right
from appliance.store import jobs, uploads
from tests import signed_in
from tests.web.box import Box, settings_of
from tests.web.serving import ended, free_port, start, toml_of, until_open
from web.uploads import slots

MB = 1 << 20
AT = "/api/v1/uploads"
SIZE = 96 * MB  # 3 GB were tried by hand: 9 MB more than before


@dataclass
class Served:
    """The pages of a box, to be killed and started again."""

    box: Box
    file: str
    port: int
    key: dict[str, str]
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """kill -9, the server and its worker together; then start it again."""
        for pid in (self.process.pid, *children(self.process.pid)):
            os.kill(pid, signal.SIGKILL)
        self.process.communicate(timeout=20)
        self.process = start(self.file)
        until_open(socket.AF_INET, ("127.0.0.1", self.port))

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers=self.key, timeout=120.0
        )

    @property
    def worker(self) -> int:
        (pid,) = children(self.process.pid)
        return pid


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in found]


def peak_mb(pid: int) -> float:
    """The most memory the process ever had, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no such process")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    box = Box.made(settings_of(str(tmp_path)))
    port = free_port()
    file = toml_of(box.settings, tmp_path, f"127.0.0.1:{port}")
    key = signed_in.key(box.ledger, Right.SUBMIT, shares=[UPLOADS])
    made = Served(box, file, port, key, start(file))
    until_open(socket.AF_INET, ("127.0.0.1", port))
    yield made
    ended(made.process)
    box.ledger.close()


def pieces(size: int, start_at: int = 0) -> Iterator[bytes]:
    """`size` bytes of a recording that is nowhere held whole, from `start_at` on."""
    block = hashlib.shake_256(b"a recording").digest(MB)
    at = start_at
    while at < size:
        piece = block[at % MB : at % MB + min(size - at, MB - at % MB)]
        yield piece
        at += len(piece)


def digest(parts: Iterator[bytes]) -> str:
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(part)
    return hashed.hexdigest()


def lies_there(box: Box, number: int) -> str:
    path = jobs.must(box.ledger, number).source.path
    with open(os.path.join(os.fsencode(box.settings.state(UPLOADS)), path), "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def opened(client: httpx.Client, size: int) -> str:
    name = base64.b64encode(b"long.wav").decode()
    head = {"Upload-Length": str(size), "Upload-Metadata": f"filename {name}"}
    return client.post(AT, headers=head).headers["location"]


def patch(client: httpx.Client, address: str, at: int, body: Iterator[bytes]) -> httpx.Response:
    head = {"Upload-Offset": str(at), "Content-Type": "application/offset+octet-stream"}
    return client.patch(address, headers=head, content=body)


def here(client: httpx.Client, address: str) -> int:
    """Where it stands once the connection that was cut has been read to its end."""
    before, at = -1, 0
    while before != at:
        before, at = at, int(client.head(address).headers["upload-offset"])
        time.sleep(0.3)
    return at


def test_a_large_recording_cut_and_killed_and_resumed_is_whole_in_little_memory(
    served: Served,
) -> None:
    with served.client() as client:
        client.get("/healthz")
        before = peak_mb(served.worker)
        address = opened(client, SIZE)

        def broken(until: int) -> Iterator[bytes]:
            for count, piece in enumerate(pieces(SIZE)):
                if count * MB >= until:
                    raise ConnectionError
                yield piece

        with pytest.raises(ConnectionError):
            patch(client, address, 0, broken(SIZE // 3))
        at = here(client, address)
        assert 0 < at <= SIZE // 3

        def killing() -> Iterator[bytes]:
            for count, piece in enumerate(pieces(SIZE, at)):
                if count * MB >= SIZE // 3:
                    served.kill()
                    return
                yield piece

        with pytest.raises(httpx.TransportError):
            patch(client, address, at, killing())
    with served.client() as client:
        client.get("/healthz")
        again = here(client, address)
        assert at < again < SIZE
        assert patch(client, address, again, pieces(SIZE, again)).status_code == 204
        row = client.get(address).json()
        grown = peak_mb(served.worker) - before
    assert row["complete"]
    assert lies_there(served.box, row["job"]) == digest(pieces(SIZE))
    assert grown < 24, f"{grown:.0f} MB more than before it was sent {SIZE // MB} MB"
    assert len(jobs.listing(served.box.ledger)) == 1


def test_a_large_form_goes_to_its_place_piece_by_piece(served: Served) -> None:
    with served.client() as client:
        client.get("/healthz")
        before = peak_mb(served.worker)
        edge = b"----an-edge"
        head = b'Content-Disposition: form-data; name="file"; filename="long.wav"'

        def body() -> Iterator[bytes]:
            yield b"--" + edge + b"\r\n" + head + b"\r\n\r\n"
            yield from pieces(SIZE)
            yield b"\r\n--" + edge + b"--\r\n"

        kind = {"Content-Type": f"multipart/form-data; boundary={edge.decode()}"}
        answer = client.post(AT, headers=kind, content=body())
        grown = peak_mb(served.worker) - before
    assert answer.status_code == 201, answer.text
    assert lies_there(served.box, answer.json()["job"]) == digest(pieces(SIZE))
    assert grown < 24, f"{grown:.0f} MB"


def test_a_form_that_is_cut_leaves_nothing(served: Served) -> None:
    folder = receive.incoming(served.box.settings)
    with served.client() as client:

        def body() -> Iterator[bytes]:
            yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
            yield b"x" * MB
            until = time.monotonic() + 20
            while not (os.path.isdir(folder) and os.listdir(folder)):
                assert time.monotonic() < until, "nothing of it has come"
                time.sleep(0.05)
            raise ConnectionError

        kind = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(5 * MB)}
        with pytest.raises(ConnectionError):
            client.post(AT, headers=kind, content=body())
        until = time.monotonic() + 20
        while os.listdir(folder):
            assert time.monotonic() < until, "what came of it is still there"
            time.sleep(0.05)
        assert client.get("/healthz").status_code == 200
    assert jobs.listing(served.box.ledger) == []
    assert list(uploads.all_(served.box.ledger)) == []


def sent(served: Served, request: str, body: bytes, *, length: int) -> socket.socket:
    """A connection on which this was said, and which nobody reads."""
    sock = socket.create_connection(("127.0.0.1", served.port))
    key = f"Authorization: {served.key['Authorization']}"
    lines = [request, "Host: localhost", key, f"Content-Length: {length}", "", ""]
    sock.sendall("\r\n".join(lines).encode() + body)
    return sock


def until_status(status: int, ask: Callable[[], int]) -> None:
    until = time.monotonic() + 20
    while (found := ask()) != status:
        assert time.monotonic() < until, found
        time.sleep(0.1)


def test_who_leaves_while_waiting_for_an_answer_frees_the_thread_and_not_the_job(
    served: Served,
) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    form = head + b"RIFF\r\n--b--\r\n"
    ask = "POST /v1/audio/transcriptions HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b"
    held = [sent(served, ask, form, length=len(form)) for _ in range(slots.MOST["answers"])]

    def one_more() -> int:
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        try:
            return client.post(
                "/v1/audio/transcriptions", headers=kind, content=form, timeout=1.0
            ).status_code
        except httpx.ReadTimeout:
            return 0  # it waits

    with served.client() as client:
        until_status(503, one_more)
        assert client.get("/healthz").status_code == 200
        for sock in held:
            sock.close()
        until_status(0, one_more)
    assert len(jobs.listing(served.box.ledger)) == 1


def test_pages_answer_while_all_slots_are_taken_by_silent_senders(served: Served) -> None:
    def one_more() -> int:
        return patch(client, opened(client, 5), 0, iter([b"12345"])).status_code

    with served.client() as client:
        held = [
            sent(
                served,
                f"PATCH {opened(client, MB)} HTTP/1.1\r\nUpload-Offset: 0\r\n"
                "Content-Type: application/offset+octet-stream",
                b"some of it",
                length=MB,
            )
            for _ in range(slots.MOST["uploads"])
        ]
        until_status(503, one_more)
        begun = time.monotonic()
        assert client.get("/healthz").status_code == 200
        assert time.monotonic() - begun < 5
        for sock in held:
            sock.close()
        until_status(204, one_more)
