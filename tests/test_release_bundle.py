"""A bundle is made, believed, and refused as soon as anything in it is not as it was signed."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import __version__
from image.release import bundle, install, make
from image.release.__main__ import main
from image.release.bundle import Refused

TOP = Path(__file__).parents[1]
Rows = dict[str, bytes]


def signer(folder: Path, name: str) -> Path:
    key = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = (folder / f"{name}.pub").read_text()
    (folder / f"{name}.signers").write_text(f'release namespaces="appliance-release" {public}')
    return key


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This checkout, signed; it needs nothing but itself here, so that no index is asked."""
    folder = tmp_path_factory.mktemp("bundle")
    key = signer(folder, "ours")
    (folder / "nothing.lock").write_text("")
    return Path(
        make.make(key=str(key), out=str(folder), pythons=[], lock=str(folder / "nothing.lock"))
    )


@pytest.fixture
def opened(made: Path, tmp_path: Path) -> Callable[[Rows], bundle.Release]:
    """Open a bundle that has these files, believing whoever signed the one above."""

    def opened(rows: Rows) -> bundle.Release:
        file, folder = tmp_path / "altered.tar", tmp_path / "into"
        folder.mkdir()
        pack(file, rows)
        return bundle.opened(str(file), str(made.parent / "ours.signers"), str(folder))

    return opened


def rows_of(file: Path) -> Rows:
    with tarfile.open(file) as packed:
        return {one.name: packed.extractfile(one).read() for one in packed}  # type: ignore[union-attr]


def pack(file: Path, rows: Rows) -> None:
    with tarfile.open(file, "w") as packed:
        for name, content in rows.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))


def test_what_was_made_is_believed(made: Path, opened: Callable[[Rows], bundle.Release]) -> None:
    release = opened(rows_of(made))
    assert made.name == f"appliance-{release.version}.tar"
    assert release.wheel in {name.rpartition("/")[2] for name in rows_of(made)}


@pytest.mark.parametrize("part", ["wheels/", "release.json", "requirements.lock", "SHA256SUMS"])
def test_one_altered_byte_is_refused(
    part: str, made: Path, opened: Callable[[Rows], bundle.Release]
) -> None:
    rows = rows_of(made)
    name = next(name for name in rows if name.startswith(part) and not name.endswith(".sig"))
    content = bytearray(rows[name] or b"\0")
    content[len(content) // 2] ^= 1
    with pytest.raises(Refused, match=r"altered|signature"):
        opened(rows | {name: bytes(content)})


def test_sums_that_fit_what_was_altered_are_signed_by_nobody(
    made: Path, opened: Callable[[Rows], bundle.Release], tmp_path: Path
) -> None:
    rows = rows_of(made) | {"requirements.lock": b"evil==1\n"}
    make._sum_up(str(unpacked(rows, tmp_path)))
    sums = (tmp_path / "there" / "SHA256SUMS").read_bytes()
    with pytest.raises(Refused, match="signature"):
        opened(rows | {"SHA256SUMS": sums})


def unpacked(rows: Rows, folder: Path) -> Path:
    there = folder / "there"
    for name, content in rows.items():
        if not name.startswith("SHA256SUMS"):
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            (there / name).write_bytes(content)
    return there


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"wheels/one_more-1-py3-none-any.whl": b"x"}, "do not name the same"),
        ({"../outside": b"x"}, "no place"),
        ({"/etc/passwd": b"x"}, "no place"),
        ({"wheels/../../outside": b"x"}, "no place"),
    ],
)
def test_a_file_that_nobody_signed_is_refused(
    more: Rows, why: str, made: Path, opened: Callable[[Rows], bundle.Release]
) -> None:
    with pytest.raises(Refused, match=why):
        opened(rows_of(made) | more)


def test_a_link_has_no_place_in_a_bundle(made: Path, tmp_path: Path) -> None:
    file, folder = tmp_path / "link.tar", tmp_path / "into"
    folder.mkdir()
    with tarfile.open(file, "w") as packed:
        link = tarfile.TarInfo("release.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/shadow"
        packed.addfile(link)
    with pytest.raises(Refused, match="no place"):
        bundle.opened(str(file), str(made.parent / "ours.signers"), str(folder))


@pytest.mark.parametrize("missing", ["SHA256SUMS.sig", "SHA256SUMS", "release.json"])
def test_a_file_that_is_missing_is_missed(
    missing: str, made: Path, opened: Callable[[Rows], bundle.Release]
) -> None:
    rows = rows_of(made)
    del rows[missing]
    with pytest.raises(Refused):
        opened(rows)


def test_half_a_bundle_is_refused(made: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.tar"
    half.write_bytes(made.read_bytes()[: made.stat().st_size // 2])
    (tmp_path / "into").mkdir()
    with pytest.raises(Refused):
        bundle.opened(str(half), str(made.parent / "ours.signers"), str(tmp_path / "into"))


def test_who_is_not_in_the_list_signs_nothing(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signer(tmp_path, "others")
    assert main(["--signers", str(tmp_path / "others.signers"), "verify", str(made)]) == 1
    told = capsys.readouterr()
    assert "signature" in json.loads(told.out)["refused"]
    assert main(["--signers", str(made.parent / "ours.signers"), "verify", str(made)]) == 0


def test_a_release_for_another_python_is_not_installed(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--top", str(tmp_path), "--signers", str(made.parent / "ours.signers")]
    assert main([*words, "install", str(made)]) == 1
    assert "this box has" in json.loads(capsys.readouterr().out)["refused"]
    assert os.listdir(tmp_path / "releases") == []


# --- with the libraries of a GPU ----------------------------------------------------------------


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Bundles of this checkout without and with the libraries of a GPU, made into one folder."""
    wheels = ["numpy-2.0.0-cp311-cp311-linux_x86_64.whl"]

    def fetch(_lock: str, _python: str, house: str, _wheels: str | None) -> None:
        for name in wheels:
            (Path(house) / name).write_text(name)

    monkeypatch.setattr(make, "fetch", fetch)
    key = signer(tmp_path, "ours")
    (tmp_path / "nothing.lock").write_text("")

    def made() -> str:
        lock = str(tmp_path / "nothing.lock")
        return make.make(key=str(key), out=str(tmp_path / "dist"), pythons=["3.11"], lock=lock)

    plain = made()
    wheels.append("nvidia_cublas_cu12-12.9.3-py3-none-manylinux2014_x86_64.whl")
    return [plain, made()]


def test_a_bundle_for_gpus_has_a_name_and_a_version_of_its_own(two: list[str]) -> None:
    assert [os.path.basename(file) for file in two] == [
        f"appliance-{__version__}.tar",
        f"appliance-{__version__}+gpu.tar",
    ]


def test_both_kinds_of_one_product_lie_on_a_box_side_by_side(
    two: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who got the wrong one gets the right one of the same product without a new number."""

    def run(*argv: str) -> str:
        if "venv" in argv:
            (Path(argv[-1]) / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
        return "3.11" if "-c" in argv else f"appliance, version {__version__}\n"

    monkeypatch.setattr(install, "_run", run)
    top = str(tmp_path / "top")
    for file in two:
        put = install.install(file, str(tmp_path / "ours.signers"), top)
        assert put.fresh
        assert put.release.product == __version__
    there = [one.version for one in install.listed(top)]
    assert sorted(there) == [__version__, f"{__version__}+gpu"]


def test_a_product_with_a_local_part_gets_one_more() -> None:
    assert make._version("0.2.0+site", ["nvidia_cublas_cu12-1-py3-none-any.whl"]) == (
        "0.2.0+site.gpu"
    )
