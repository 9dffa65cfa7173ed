"""Models of true shape run the whole line, through a real engine; and none is ever fetched.

The weights are random, so the text is noise: what is proved is that 128 mel bins, an
English-only vocabulary and the official token numbers go through every stage.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from appliance.weights import BUNDLED
from tests import noise_model

SAMPLE = os.path.join(BUNDLED, "..", "samples", "welcome-english.wav")
FILES = ("model.bin", "config.json", "tokenizer.json", "vocabulary.json")


def run(tmp_path: Any, name: str, *more: str, **variables: str) -> dict[str, Any]:
    """Transcribe the sample with a model; what the command said of it."""
    models = str(tmp_path / "models")
    settings = tmp_path / "appliance.toml"
    engine = f"[engine]\nmodel_dir = '{models}'\ndevice = 'cpu'\n"
    settings.write_text(f"[node]\nstate_dir = '{tmp_path}/state'\n{engine}")
    recording = shutil.copy(SAMPLE, tmp_path / "talk.wav")
    code = "from appliance.cli import main; main()"
    ended = subprocess.run(
        [
            sys.executable, "-c", code, "--settings", str(settings), "--json",
            "transcribe", str(recording), "--model", name, "--format", "json", *more,
        ],
        env=os.environ | variables, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert ended.stdout, ended.stderr
    rows: list[dict[str, Any]] = json.loads(ended.stdout)
    return rows[0]


def exported(tmp_path: Any) -> dict[str, Any]:
    with open(tmp_path / "talk.json", encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    return found


@pytest.mark.line
def test_an_english_model_writes_english_and_says_so_when_german_was_asked_for(
    tmp_path: Any,
) -> None:
    noise_model.make("tiny.en", str(tmp_path / "models" / "tiny.en"))
    assert run(tmp_path, "tiny.en", "--language", "de")["state"] == "done"
    transcript = exported(tmp_path)
    assert transcript["provenance"]["model"] == "tiny.en"
    assert (transcript["language"], transcript["language_probability"]) == ("en", 1.0)
    assert "warning.english-only" in json.dumps(transcript["warnings"])


@pytest.mark.line
def test_a_model_of_the_shape_of_large_v3_turbo_finds_a_language_and_is_named(
    tmp_path: Any,
) -> None:
    if shutil.disk_usage(tmp_path).free < 2_000_000_000:
        pytest.fail("a model of this shape takes 0.8 GB; make room where the tests run")
    folder = str(tmp_path / "models" / "large-v3-turbo")
    try:
        noise_model.make("large-v3-turbo", folder)
        assert run(tmp_path, "large-v3-turbo")["state"] == "done"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    transcript = exported(tmp_path)
    assert transcript["provenance"]["model"] == "large-v3-turbo"
    assert len(transcript["provenance"]["model_sha256"]) == 64
    assert 0 < transcript["language_probability"] < 1  # it was heard, not assumed


# --- nothing is fetched at run time -------------------------------------------------------------


@pytest.fixture
def trap() -> Iterator[tuple[dict[str, str], list[bytes]]]:
    """A server that everything which wants the hub, or a proxy to it, would talk to."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    line, _ = server.accept()
                except OSError:
                    return
                with line:
                    heard.append(line.recv(200))

        threading.Thread(target=listen, daemon=True).start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        names = ("HF_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        yield dict.fromkeys((*names, *map(str.lower, names)), address), heard
        server.shutdown(socket.SHUT_RDWR)


SPY = """
import sys
def spy(event, facts):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        if event == "socket.getaddrinfo" or isinstance(facts[1], tuple):
            open({file!r}, "a").write(f"{{event}} {{facts}}\\n")
sys.addaudithook(spy)
"""


def spied(tmp_path: Any) -> dict[str, str]:
    """Variables that make every Python process of ours write down how it goes to a network."""
    folder = tmp_path / "spy"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SPY.format(file=str(tmp_path / "network")))
    return {"PYTHONPATH": f"{folder}:{os.getcwd()}"}


@pytest.mark.line
@pytest.mark.parametrize("name", FILES)
def test_a_model_that_lacks_a_file_is_named_and_nobody_is_asked_for_it(
    tmp_path: Any, trap: tuple[dict[str, str], list[bytes]], name: str
) -> None:
    variables, heard = trap
    folder = tmp_path / "models" / "tiny"
    shutil.copytree(BUNDLED, folder)
    (folder / name).unlink()
    row = run(tmp_path, "tiny", **variables, **spied(tmp_path))
    assert row["state"] == "failed"
    assert name in row["sentence"]
    assert heard == []
    assert not (tmp_path / "network").exists()


@pytest.mark.line
def test_the_engine_itself_asks_nobody_whatever_the_worker_saw(
    tmp_path: Any, trap: tuple[dict[str, str], list[bytes]]
) -> None:
    variables, heard = trap
    folder = tmp_path / "models" / "tiny"
    shutil.copytree(BUNDLED, folder)
    (folder / "tokenizer.json").unlink()
    code = (
        "from appliance.engine.__main__ import loader\n"
        "from appliance.settings import EngineSettings, Settings\n"
        f"loader(Settings(engine=EngineSettings(model_dir={str(folder.parent)!r})), 'tiny')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | variables | spied(tmp_path),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "node.model-corrupt" in ended.stderr
    assert heard == []
    assert not (tmp_path / "network").exists()


@pytest.mark.line
def test_the_trap_would_have_caught_it(
    tmp_path: Any, trap: tuple[dict[str, str], list[bytes]]
) -> None:
    variables, heard = trap
    folder = tmp_path / "tiny"
    shutil.copytree(BUNDLED, folder)
    (folder / "tokenizer.json").unlink()
    code = f"import faster_whisper; faster_whisper.WhisperModel({str(folder)!r})"
    subprocess.run(
        [sys.executable, "-c", code], env=os.environ | variables | spied(tmp_path),
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert heard
