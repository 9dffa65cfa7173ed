"""A model comes from a hub: whole, pinned and proved, or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from appliance import weights
from appliance.errors import DiskFull, ModelCorrupt, ModelUnknown, ModelUnreachable
from appliance.weights import manifest
from appliance.weights.catalogue import HOMES
from appliance.weights.hub import is_commit
from appliance.weights.pull import Brought, Wish, pull
from tests.hub import COMMIT, FILES, LATER, REPOSITORY, WEIGHTS, HubOnLoopback

NOISE = Wish("noise", repository=REPOSITORY)
KEPT = sorted(set(FILES) - {"README.md"})


@pytest.fixture
def hub() -> Iterator[HubOnLoopback]:
    with HubOnLoopback() as hub:
        yield hub


@pytest.fixture
def models(tmp_path: Any) -> str:
    return str(tmp_path / "models")


def fetch(hub: HubOnLoopback, models: str, wish: Wish = NOISE, **more: Any) -> Brought:
    return pull(wish, models, hub=hub.address, pause=lambda _seconds: None, **more)


def visible(models: str) -> list[str]:
    return [name for name in os.listdir(models) if not name.startswith(".")]


def gathered(models: str) -> list[str]:
    """What an interrupted pull left for the next one."""
    return [
        file
        for name in os.listdir(models)
        if name.endswith(".part")
        for file in sorted(os.listdir(os.path.join(models, name)))
    ]


def command(hub: HubOnLoopback, *more: str) -> list[str]:
    code = "from appliance.cli import main; main()"
    return [
        sys.executable, "-c", code, "--json", "model", "pull", "noise",
        "--hub", hub.address, "--repository", REPOSITORY, *more,
    ]  # fmt: skip


def environment(models: str) -> dict[str, str]:
    state = os.path.dirname(models)
    return os.environ | {"APPLIANCE_STATE_DIR": state, "APPLIANCE_SETTINGS": os.devnull}


def test_what_comes_is_named_by_its_digest_and_holds_what_the_hub_has(
    hub: HubOnLoopback, models: str
) -> None:
    brought = fetch(hub, models)
    found = weights.find("noise", models)
    assert brought.fresh
    assert found == brought.folder
    assert visible(models) == [f"noise@{found.sha256[:12]}"]
    assert sorted(os.listdir(found.path)) == sorted([*KEPT, manifest.NAME])
    for name in KEPT:
        with open(os.path.join(found.path, name), "rb") as file:
            assert file.read() == FILES[name]
    assert (found.mels, found.multilingual) == (128, False)


def test_the_commit_behind_main_is_written_down(hub: HubOnLoopback, models: str) -> None:
    fetch(hub, models)
    written = weights.find("noise", models).manifest
    assert written is not None
    assert (written.repository, written.revision) == (REPOSITORY, COMMIT)
    assert written.files["model.bin"].sha256 == hashlib.sha256(WEIGHTS).hexdigest()


def test_a_model_once_pulled_stays_at_its_commit_until_somebody_asks(
    hub: HubOnLoopback, models: str
) -> None:
    fetch(hub, models)
    hub.main = LATER
    hub.files["config.json"] = b'{"alignment_heads": []}'
    hub.asked.clear()
    assert not fetch(hub, models).fresh
    assert hub.asked == []  # nothing to do, and nobody to ask
    moved = fetch(hub, models, Wish("noise", REPOSITORY, revision="main"))
    assert moved.fresh
    assert moved.folder.manifest
    assert moved.folder.manifest.revision == LATER
    assert weights.find("noise", models).path == moved.folder.path
    back = fetch(hub, models, Wish("noise", REPOSITORY, revision=COMMIT))
    assert not back.fresh
    assert weights.find("noise", models).path == back.folder.path != moved.folder.path


def test_a_connection_that_breaks_goes_on_where_it_broke(hub: HubOnLoopback, models: str) -> None:
    hub.drop_at = [300_000, 700_000, 1_000_000]
    assert fetch(hub, models).fresh
    assert hub.ranges_of("model.bin") == [
        None, "bytes=300000-", "bytes=700000-", "bytes=1000000-",
    ]  # fmt: skip


def test_a_hub_that_stays_away_is_named_and_the_next_pull_goes_on(
    hub: HubOnLoopback, models: str
) -> None:
    hub.drop_at = [500_000] * 9  # never a byte more
    with pytest.raises(ModelUnreachable) as caught:
        fetch(hub, models)
    assert hub.address in caught.value.sentence
    assert "--from" in caught.value.next_step
    assert visible(models) == []
    assert gathered(models) == KEPT
    hub.drop_at, hub.asked = [], []
    assert fetch(hub, models).fresh
    assert hub.ranges_of("model.bin") == ["bytes=500000-"]
    assert hub.ranges_of("config.json") == []  # lay there already


def test_a_server_that_cannot_go_on_in_the_middle_starts_again(
    hub: HubOnLoopback, models: str
) -> None:
    hub.ranges = False
    hub.drop_at = [300_000]
    assert fetch(hub, models).fresh
    assert weights.verify("noise", models).manifest


def test_a_busy_hub_is_asked_again(hub: HubOnLoopback, models: str) -> None:
    hub.busy = 2
    assert fetch(hub, models).fresh


@pytest.mark.parametrize("name", ["model.bin", "config.json"])
def test_a_wrong_checksum_is_refused_and_removed(
    hub: HubOnLoopback, models: str, name: str
) -> None:
    right = FILES[name]
    hub.instead[name] = bytes([right[0] ^ 1]) + right[1:]
    with pytest.raises(ModelCorrupt, match="wrong checksum"):
        fetch(hub, models)
    assert visible(models) == []
    assert name not in gathered(models)
    hub.instead.clear()
    assert fetch(hub, models).fresh


@pytest.mark.parametrize("other", [WEIGHTS[:-1], WEIGHTS + b"!"], ids=["shorter", "longer"])
def test_a_wrong_size_is_refused_and_removed(hub: HubOnLoopback, models: str, other: bytes) -> None:
    hub.instead["model.bin"] = other
    with pytest.raises(ModelCorrupt, match="another size"):
        fetch(hub, models)
    assert visible(models) == []
    assert "model.bin" not in gathered(models)


def test_large_files_may_come_from_another_host(hub: HubOnLoopback, models: str) -> None:
    fetch(hub, models)
    assert [one.port for one in hub.asked if "/cdn/" in one.path] == [hub.other_port]


def test_an_address_without_encryption_is_refused(hub: HubOnLoopback, models: str) -> None:
    hub.elsewhere = "http://cdn.example.com"
    with pytest.raises(ModelUnreachable) as caught:
        fetch(hub, models)
    assert "is not https" in caught.value.sentence
    assert "secret" not in caught.value.sentence  # what the hub signed stays out of logs
    with pytest.raises(ModelUnreachable, match="not https"):
        pull(NOISE, models, hub="http://hub.example.com")


def test_a_model_nobody_has_is_named(hub: HubOnLoopback, models: str) -> None:
    with pytest.raises(ModelUnknown):
        fetch(hub, models, Wish("noise", "somebody/else"))
    with pytest.raises(ModelUnknown):
        fetch(hub, models, Wish("nobody-knows-me"))
    for hostile in ("../up", "selftest", ".hidden", "a/b"):
        with pytest.raises(ModelUnknown):
            fetch(hub, models, Wish(hostile, REPOSITORY))


def test_a_repository_of_another_format_is_refused_before_anything_is_fetched(
    hub: HubOnLoopback, models: str
) -> None:
    del hub.files["model.bin"]
    with pytest.raises(ModelCorrupt, match=r"model\.bin"):
        fetch(hub, models)
    assert hub.ranges_of("config.json") == []


def test_contents_can_be_pinned_by_digest_or_manifest(hub: HubOnLoopback, models: str) -> None:
    with pytest.raises(ModelCorrupt, match="digest"):
        fetch(hub, models, Wish("noise", REPOSITORY, sha256="0" * 64))
    assert visible(models) == []
    first = fetch(hub, models).folder
    assert first.manifest
    assert not fetch(hub, models, Wish("noise", REPOSITORY, sha256=first.sha256)).fresh
    twin = Wish("twin", REPOSITORY, manifest=first.manifest)
    hub.asked.clear()
    assert fetch(hub, models, twin).folder.sha256 == first.sha256
    assert not [one for one in hub.asked if one.path.startswith("/api/")]  # it says it all
    hub.instead["config.json"] = b"?" * len(FILES["config.json"])
    with pytest.raises(ModelCorrupt, match="checksum"):
        fetch(hub, models, Wish("third", REPOSITORY, manifest=first.manifest))


def test_a_damaged_model_is_replaced(hub: HubOnLoopback, models: str) -> None:
    path = fetch(hub, models).folder.path
    with open(os.path.join(path, "tokenizer.json"), "ab") as file:
        file.write(b" ")
    with pytest.raises(ModelCorrupt, match=r"tokenizer\.json"):
        weights.find("noise", models)
    assert fetch(hub, models).fresh
    assert weights.find("noise", models).path == path
    assert os.listdir(models) == [name for name in os.listdir(models) if "damaged" not in name]


def test_the_disk_is_looked_at_before_anything_is_fetched(hub: HubOnLoopback, models: str) -> None:
    with pytest.raises(DiskFull):
        fetch(hub, models, keep_free_bytes=1 << 62)
    assert hub.ranges_of("config.json") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_disk_that_fills_up_meanwhile_is_named_and_the_next_pull_goes_on(
    hub: HubOnLoopback, models: str
) -> None:
    os.makedirs(models)
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", models]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no mounts in here")
    try:
        hog = os.path.join(models, ".hog")

        def somebody_else(name: str) -> None:
            if name == "model.bin" and not os.path.exists(hog):
                with open(hog, "wb") as file:
                    file.write(bytes(1_500_000))

        hub.before = somebody_else
        with pytest.raises(DiskFull):
            fetch(hub, models)
        assert visible(models) == []
        os.truncate(hog, 0)
        hub.asked.clear()
        assert fetch(hub, models).fresh
        assert str(hub.ranges_of("model.bin")[0]).startswith("bytes=")
    finally:
        subprocess.run(["umount", models], check=True)


def test_a_pull_killed_in_the_middle_goes_on(hub: HubOnLoopback, models: str) -> None:
    hub.slow = threading.Event()
    child = subprocess.Popen(command(hub), env=environment(models), stdout=subprocess.DEVNULL)
    until = time.monotonic() + 30
    while "model.bin" not in gathered(models) if os.path.isdir(models) else True:
        assert time.monotonic() < until
        time.sleep(0.02)
    while hub.ranges_of("model.bin") == []:
        time.sleep(0.02)
    time.sleep(0.3)  # half of it is on its way
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert visible(models) == []
    hub.slow.set()
    hub.asked.clear()
    assert fetch(hub, models).fresh
    assert str(hub.ranges_of("model.bin")[0]).startswith("bytes=")


def test_of_two_pulls_at_once_one_fetches_and_both_have_it(hub: HubOnLoopback, models: str) -> None:
    hub.slow = threading.Event()
    children = [
        subprocess.Popen(command(hub), env=environment(models), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    time.sleep(1.0)
    hub.slow.set()
    ends = [json.loads(child.communicate(timeout=60)[0].splitlines()[-1]) for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert sorted(end["fresh"] for end in ends) == [False, True]
    assert len(hub.ranges_of("model.bin")) == 1
    assert len(visible(models)) == 1


def test_the_proxy_of_the_environment_is_used(models: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        heard: list[bytes] = []

        def answer() -> None:
            for _ in range(4):
                line, _ = proxy.accept()
                with line:
                    heard.append(line.recv(4096))
                    line.sendall(b"HTTP/1.1 502 no\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        with pytest.raises(ModelUnreachable):
            pull(NOISE, models, hub="https://hub.example.com", pause=lambda _seconds: None)
        thread.join(10)
    assert heard[0].startswith(b"CONNECT hub.example.com:443 ")


def test_every_model_we_know_by_name_is_pinned() -> None:
    assert {"tiny", "base", "small", "medium", "large-v3", "large-v3-turbo"} <= set(HOMES)
    assert {"tiny.en", "base.en", "small.en", "medium.en", "distil-large-v3"} <= set(HOMES)
    assert all(home.revision and is_commit(home.revision) for home in HOMES.values())
