"""What stands around the units: accounts, folders, kernel, journal, firewall, nginx, the wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from hatchling import build

from tests.box import units

CONFIG = Path(units.TOP) / "config"
ACCOUNTS = ("appliance", "appliance-web", "appliance-notify", "appliance-fetch")
SBIN = "/usr/sbin:/sbin"


def program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:{SBIN}")
    assert found, f"these tests need {name}: make programs"
    return found


def run(*argv: str, **more: str) -> str:
    """Run a program that must end well; what it printed."""
    environment = {**os.environ, **more}
    ran = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine on paper, with the accounts made."""
    made = tmp_path_factory.mktemp("root")
    (made / "etc").mkdir()
    for name, line in (("passwd", "root:x:0:0::/root:/bin/sh"), ("group", "root:x:0:")):
        (made / "etc" / name).write_text(f"{line}\n")
    run(program("systemd-sysusers"), f"--root={made}", str(CONFIG / "sysusers.d/appliance.conf"))
    return made


def test_every_account_of_a_unit_is_made_and_shares_the_group(root: Path) -> None:
    people = {
        fields[0]: fields
        for fields in (line.split(":") for line in (root / "etc/passwd").read_text().splitlines())
    }
    group = next(
        line.split(":")[2]
        for line in (root / "etc/group").read_text().splitlines()
        if line.startswith("appliance:")
    )
    for name in ACCOUNTS:
        assert people[name][3] == group, name
        assert people[name][6].endswith("nologin"), name
        assert not people[name][2].startswith("0"), name
    used = {units.settings(unit).get("User", ["root"])[0] for unit in units.services()} - {"root"}
    assert used == set(ACCOUNTS)


def test_the_folders_are_made_for_whom_they_are_meant(root: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give folders away")
    run(
        program("systemd-tmpfiles"),
        "--create",
        f"--root={root}",
        str(CONFIG / "tmpfiles.d/appliance.conf"),
    )
    modes = {
        folder: (root / folder).stat().st_mode & 0o7777
        for folder in ("var/lib/appliance", "run/appliance", "etc/appliance/credentials/notify")
    }
    assert list(modes.values()) == [0o770, 0o771, 0o700]
    ours = (root / "var/lib/appliance").stat()
    assert ours.st_uid != 0
    assert ours.st_gid != 0
    written = {path for unit in units.services() for path in _written(unit) if "/srv" not in path}
    systemd_s_own = {
        "/run/systemd/system",
        "/sys/fs/cgroup/appliance.slice/appliance-worker.service",
    }
    for path in written - systemd_s_own:
        assert (root / path.removeprefix("/")).is_dir(), f"a unit may write {path}: who makes it?"


def _written(unit: str) -> list[str]:
    values = " ".join(units.settings(unit)["ReadWritePaths"]).split()
    return [one.lstrip("-") for one in values]


def test_the_kernel_has_every_setting_that_is_asked_of_it() -> None:
    for line in (CONFIG / "sysctl.d/60-appliance.conf").read_text().splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition(" = ")
            assert value.isdigit(), line
            there = Path("/proc/sys") / key.replace(".", "/")
            assert there.exists() or "yama" in key, f"{key}: no such setting"


def test_the_journal_understands_its_part() -> None:
    text = (CONFIG / "journald.conf.d/60-appliance.conf").read_text()
    places = (Path("/etc/systemd/journald.conf"), Path("/usr/lib/systemd/journald.conf"))
    known = next(place for place in places if place.exists()).read_text()
    for line in text.splitlines():
        if line and line[0] not in "#[":
            assert f"#{line.partition('=')[0]}=" in known, line


def in_a_machine_of_its_own(tmp_path: Path, root: Path, script: str) -> str:
    """Run a script as root of a network and of a list of accounts that nobody else has."""
    if os.geteuid():
        pytest.skip("only root can ask this of the kernel")
    if subprocess.run(["unshare", "--mount", "--net", "true"], check=False).returncode:
        pytest.skip("no network of one's own can be had here")
    told = f"mount --bind {root}/etc/passwd /etc/passwd && {script}"
    return run("unshare", "--mount", "--net", "sh", "-ec", told, HOME=str(tmp_path))


def test_the_firewall_is_understood_and_names_our_accounts(tmp_path: Path, root: Path) -> None:
    rules = CONFIG / "nftables.conf"
    nft = program("nft")
    shown = in_a_machine_of_its_own(
        tmp_path,
        root,
        f"{nft} -c -f {rules}; {nft} -f {rules}; {nft} -f {rules}; {nft} list ruleset",
    )
    assert "policy drop" in shown
    assert "leaks" in shown


def test_what_a_unit_without_a_way_out_sends_is_refused_and_counted(
    tmp_path: Path, root: Path
) -> None:
    """The second wall: as if a unit had been given the network of the box."""
    nft = program("nft")
    send = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        "s.sendto(b'words', ('10.9.8.7', 53))"
    )
    accounts = dict(
        line.split(":")[0:3:2] for line in (root / "etc/passwd").read_text().splitlines()
    )
    script = (
        f"{nft} -f {CONFIG / 'nftables.conf'}; ip link add out type veth peer name far; "
        "ip addr add 10.9.8.6/24 dev out; ip link set far up; ip link set out up; "
        + "".join(
            f'setpriv --reuid {accounts[name]} --clear-groups /usr/bin/python3 -c "{send}" '
            f"&& echo {name} sent || echo {name} refused; "
            for name in ("appliance", "appliance-web", "appliance-notify")
        )
        + f"{nft} list counter inet appliance leaks"
    )
    shown = in_a_machine_of_its_own(tmp_path, root, script)
    assert "appliance refused" in shown
    assert "appliance-web refused" in shown
    assert "appliance-notify sent" in shown
    assert "packets 2 " in shown


def test_nginx_understands_its_site(tmp_path: Path) -> None:
    run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", "1", "-subj", "/CN=box", "-keyout", str(tmp_path / "key.pem"),
        "-out", str(tmp_path / "cert.pem"),
    )  # fmt: skip
    site = (CONFIG / "nginx/appliance.conf").read_text()
    (tmp_path / "site.conf").write_text(site.replace("/etc/appliance/tls", str(tmp_path)))
    whole = tmp_path / "nginx.conf"
    rooms = "".join(
        f"{name}_temp_path {tmp_path}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole.write_text(
        f"pid {tmp_path}/pid;\nerror_log {tmp_path}/log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{rooms}include {tmp_path}/site.conf;\n}}\n"
    )
    told = run(program("nginx"), "-t", "-p", str(tmp_path), "-c", str(whole))
    assert "syntax is ok" in told
    assert "[warn]" not in told.replace('the "user" directive', "")


def test_a_wheel_has_the_units_and_the_settings_of_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(units.TOP)
    wheel = tmp_path / build.build_wheel(str(tmp_path))
    with zipfile.ZipFile(wheel) as packed:
        inside = {name.partition(".data/data/share/appliance/")[2] for name in packed.namelist()}
        unit = next(
            name for name in packed.namelist() if name.endswith("/appliance-worker.service")
        )
        assert packed.read(unit) == Path(units.FOLDER, "appliance-worker.service").read_bytes()
    below = {f"systemd/{name}" for name in units.files()}
    below |= {
        os.path.relpath(os.path.join(folder, name), units.TOP)
        for folder, _, names in os.walk(CONFIG)
        for name in names
    }
    assert below <= inside
    assert "config/appliance.toml" in below
