"""Model folders on this box: copied in by hand, compared with what they should be, listed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
import time
from typing import Any

import pytest

from appliance import weights
from appliance.errors import DiskFull, ModelCorrupt, ModelMissing, NodeIO
from appliance.health import models as model_health
from appliance.settings import Settings
from appliance.weights import folders, manifest
from appliance.weights.pull import Wish, copy
from tests.hub import FILES


@pytest.fixture
def stick(tmp_path: Any) -> str:
    """A folder with a model and what else people carry around."""
    folder = tmp_path / "stick" / "noise"
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return str(folder)


@pytest.fixture
def models(tmp_path: Any) -> str:
    return str(tmp_path / "models")


def spoil(path: str) -> None:
    """Change one byte and nothing else that a look would see."""
    look = os.stat(path)
    with open(path, "r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
    os.utime(path, ns=(look.st_atime_ns, look.st_mtime_ns))


def test_a_copied_model_is_the_model_and_nothing_else(stick: str, models: str) -> None:
    brought = copy(Wish("noise"), stick, models)
    assert brought.fresh
    assert "README.md" not in os.listdir(brought.folder.path)
    assert weights.find("noise", models).sha256 == brought.folder.sha256
    assert not copy(Wish("noise"), stick, models).fresh


def test_it_may_lie_under_its_name_on_the_stick(stick: str, models: str) -> None:
    assert copy(Wish("noise"), os.path.dirname(stick), models).fresh


def test_a_box_may_be_the_stick_of_another(stick: str, models: str, tmp_path: Any) -> None:
    first = copy(Wish("noise"), stick, models).folder
    second = copy(Wish("noise"), models, str(tmp_path / "other")).folder
    assert second.sha256 == first.sha256
    assert not copy(Wish("noise"), first.path, str(tmp_path / "other")).fresh


def test_a_stick_that_lost_a_bit_is_refused(stick: str, models: str, tmp_path: Any) -> None:
    path = copy(Wish("noise"), stick, models).folder.path
    spoil(os.path.join(path, "model.bin"))
    with pytest.raises(ModelCorrupt, match=r"model\.bin"):
        copy(Wish("noise"), path, str(tmp_path / "other"))
    assert [name for name in os.listdir(tmp_path / "other") if not name.startswith(".")] == []


def test_a_pinned_copy_must_be_that_one(stick: str, models: str) -> None:
    with pytest.raises(ModelCorrupt, match="digest"):
        copy(Wish("noise", sha256="0" * 64), stick, models)
    os.unlink(os.path.join(stick, "config.json"))
    with pytest.raises(ModelCorrupt, match="not in CTranslate2"):
        copy(Wish("noise"), stick, models)


def test_no_room_and_no_folder_are_named(stick: str, models: str) -> None:
    with pytest.raises(DiskFull):
        copy(Wish("noise"), stick, models, keep_free_bytes=1 << 62)
    with pytest.raises(NodeIO):
        copy(Wish("noise"), "/nowhere", models)


def test_verify_finds_a_flipped_bit_that_no_look_shows(stick: str, models: str) -> None:
    path = copy(Wish("noise"), stick, models).folder.path
    assert weights.verify("noise", models).sha256 == weights.find("noise", models).sha256
    spoil(os.path.join(path, "model.bin"))
    with pytest.raises(ModelCorrupt, match=r"model\.bin is not what manifest\.json says"):
        weights.verify("noise", models)


@pytest.mark.parametrize("name", ["config.json", "model.bin", "tokenizer.json", "vocabulary.json"])
def test_a_model_that_lacks_a_file_is_corrupt(stick: str, models: str, name: str) -> None:
    path = copy(Wish("noise"), stick, models).folder.path
    os.unlink(os.path.join(path, name))
    with pytest.raises(ModelCorrupt, match=name):
        weights.find("noise", models)


def test_a_model_that_cannot_be_read_is_corrupt(
    stick: str, models: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy(Wish("tiny"), stick, models)
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", _refused)
        with pytest.raises(ModelCorrupt, match="Permission denied"):
            weights.find("tiny", models)
    assert weights.find("tiny", models).name == "tiny"


def _refused(path: str) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


def test_a_file_of_no_manifest_is_corrupt(stick: str, models: str) -> None:
    path = copy(Wish("noise"), stick, models).folder.path
    shutil.copy(os.path.join(path, "vocabulary.json"), os.path.join(path, "vocabulary.txt"))
    with pytest.raises(ModelCorrupt, match="does not belong"):
        weights.find("noise", models)


def test_a_model_without_a_manifest_is_taken_as_it_is(stick: str) -> None:
    found = weights.find("noise", os.path.dirname(stick))
    assert found.manifest is None
    assert found.path == stick


def test_a_profile_may_name_one_set_of_weights(stick: str, models: str) -> None:
    old = copy(Wish("noise"), stick, models).folder
    with open(os.path.join(stick, "config.json"), "ab") as file:
        file.write(b"\n")
    new = copy(Wish("noise"), stick, models).folder
    assert weights.find("noise", models).sha256 == new.sha256
    assert weights.find(os.path.basename(old.path), models).sha256 == old.sha256
    with pytest.raises(ModelMissing):
        weights.find("noise@0000", models)


def test_half_a_model_is_no_model(models: str) -> None:
    os.makedirs(os.path.join(models, ".noise@c0ffee.part"))
    with pytest.raises(ModelMissing):
        weights.find("noise", models)
    assert [one.name for one in listed(models)] == ["selftest"]


def listed(models: str) -> list[weights.ModelFolder]:
    return [one for one in weights.listing(models) if isinstance(one, weights.ModelFolder)]


def test_the_list_knows_what_each_model_is(stick: str, models: str) -> None:
    copy(Wish("noise"), stick, models)
    bundled, noise = listed(models)
    assert (bundled.name, bundled.mels, bundled.multilingual) == ("selftest", 80, True)
    assert (noise.name, noise.mels, noise.multilingual) == ("noise", 128, False)
    os.unlink(os.path.join(noise.path, "tokenizer.json"))
    assert [type(one).__name__ for one in weights.listing(models)] == [
        "ModelFolder",
        "ModelCorrupt",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "not json",
        json.dumps({"files": {"../x": {"size": 1, "sha256": "0" * 64}}}),
        json.dumps({"files": {"x": {"size": "1", "sha256": "0" * 64}}}),
        json.dumps({"files": {"x": {"size": 1, "sha256": "short"}}}),
    ],
)
def test_a_manifest_of_nonsense_is_corrupt(stick: str, text: str) -> None:
    with open(os.path.join(stick, manifest.NAME), "w", encoding="utf-8") as file:
        file.write(text)
    with pytest.raises(ModelCorrupt, match=r"manifest\.json"):
        weights.find("noise", os.path.dirname(stick))


def test_a_profile_s_models_are_read_before_a_job_asks(
    stick: str, models: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy(Wish("noise"), stick, models)
    profile = {"default": {"model": "noise"}, "lost": {"model": "not-there"}}
    settings = Settings.model_validate({"engine": {"model_dir": models}, "profile": profile})
    read = counted(monkeypatch)
    asking = [threading.Thread(target=model_health.read, args=(settings,)) for _ in range(4)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert weights.find("noise", models).name == "noise"
    assert sorted(map(os.path.basename, read)) == sorted(set(map(os.path.basename, read)))
    assert "model.bin" in map(os.path.basename, read)


def test_nobody_waits_for_the_reading_of_another_model(
    stick: str, models: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy(Wish("noise"), stick, models)
    weights.find(weights.SELFTEST, models)
    read, go_on = [], threading.Event()

    def stuck(path: str) -> manifest.Content:
        read.append(path)
        go_on.wait(20)
        raise OSError(errno.EIO, "the disk hangs", path)

    monkeypatch.setattr(manifest, "of_file", stuck)
    settings = Settings.model_validate(
        {"engine": {"model_dir": models}, "profile": {"default": {"model": "noise"}}}
    )
    reading = threading.Thread(target=model_health.read, args=(settings,))
    reading.start()
    while not read:
        time.sleep(0.01)
    assert weights.find(weights.SELFTEST, models).name == weights.SELFTEST
    assert reading.is_alive()
    go_on.set()
    reading.join()


def test_what_was_read_through_is_not_read_again_by_who_begins_anew(
    stick: str, models: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy(Wish("noise"), stick, models)
    settings = Settings.model_validate(
        {
            "node": {"state_dir": str(tmp_path / "state")},
            "engine": {"model_dir": models},
            "profile": {"default": {"model": "noise"}, "lost": {"model": "not-there"}},
        }
    )
    read = counted(monkeypatch)
    model_health.ask(settings)
    assert "model.bin" in map(os.path.basename, read)
    read.clear()
    folders._contents.cache_clear()
    model_health.ask(settings)
    assert read == []
    os.utime(os.path.join(weights.find("noise", models).path, "model.bin"))
    read.clear()
    model_health.ask(settings)
    assert "model.bin" in map(os.path.basename, read)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every file of a model that is read through from now on; reading takes a while."""
    read: list[str] = []
    of_file = manifest.of_file

    def slow(path: str) -> manifest.Content:
        read.append(path)
        time.sleep(0.05)
        return of_file(path)

    monkeypatch.setattr(manifest, "of_file", slow)
    return read
