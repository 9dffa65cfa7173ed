"""File servers in a network of their own beside the box, and everything that goes wrong with one.

In the guest: a network namespace with one line to the box (veth), a small disk of the server's own
(ext4 over a loop), and on it what docs/shares.md says for Samba, or an NFS server of the kernel.
So what is killed, stopped or pulled out is the server, and the box has its own kernel's client.

Not here: what must come of it (shares).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

BOX: Final = "10.77.0.1"
SERVER: Final = "10.77.0.2"
SHARE: Final = "meetings"
ROOT: Final = f"/srv/{SHARE}"  # where the box has it
DISK: Final = "/nas/disk"
FOLDER: Final = f"{DISK}/{SHARE}"  # where the server has it
OWNER: Final = "office:office"
PASSWORD: Final = "Not-a-secret-1"  # noqa: S105 - of a server that is gone in a moment
SECRET: Final = f"username=appliance\npassword={PASSWORD}\n"
_ACCOUNT: Final = 1200  # of the NFS server, as in docs/shares.md
# A disk of 96 MB without a reserve for root: full is full.
_UP: Final = f"""
[ -e /run/netns/nas ] || {{
  ip netns add nas
  ip link add nas0 type veth peer name eth0 netns nas
  ip addr add {BOX}/30 dev nas0; ip link set nas0 up
  ip -n nas addr add {SERVER}/30 dev eth0
  ip -n nas link set lo up
}}
ip -n nas link set eth0 up
mountpoint -q {DISK} || mount -o loop /nas/disk.img {DISK}
"""
_MAKE: Final = f"""
getent group office >/dev/null || groupadd --gid {_ACCOUNT} office
id -u office >/dev/null 2>&1 || \\
  useradd --system --uid {_ACCOUNT} --gid office --shell /usr/sbin/nologin office
mkdir -p {DISK} /nas/own
truncate -s 96M /nas/disk.img; mkfs.ext4 -q -m 0 -O ^has_journal /nas/disk.img
{_UP}
rm -rf {DISK}/lost+found
install -d -o office -g office -m 2770 {FOLDER}
"""
_SMB_CONF: Final = f"""
[global]
server role = standalone server
interfaces = {SERVER} lo
bind interfaces only = yes
server min protocol = SMB3_00
private dir = /nas/own
state directory = /nas/own
cache directory = /nas/own
lock directory = /nas/own
pid directory = /nas/own
ncalrpc dir = /nas/own/ncalrpc
log file = /nas/own/log
passdb backend = tdbsam:/nas/own/passdb.tdb
load printers = no
disable spoolss = yes
[{SHARE}]
path = {FOLDER}
valid users = appliance @office
read only = no
force user = office
force group = office
force create mode = 0660
force directory mode = 2770
inherit permissions = yes
oplocks = no
hide files = /.~appliance-*/
"""
_SMB_UNIT: Final = """
[Service]
NetworkNamespacePath=/run/netns/nas
ExecStart=/usr/sbin/smbd --foreground --no-process-group --configfile=/nas/smb.conf
"""
_SMB_START: Final = f"""
{_UP}
systemctl reset-failed nas 2>/dev/null || true
systemctl start nas
for n in $(seq 100); do
  python3 -c 'import socket; socket.create_connection(("{SERVER}", 445), 1)' 2>/dev/null && break
  sleep 0.2
done
"""
_EXPORT: Final = (
    f"{FOLDER} {BOX}(rw,sync,no_subtree_check,fsid=7,all_squash,"
    f"anonuid={_ACCOUNT},anongid={_ACCOUNT})"
)
# In a file system namespace of its own, too: /proc/fs/nfsd is the one of the network it was
# mounted in. For ten seconds after its start it takes back what its clients had open, and nothing
# new: it is back after that.
_NFS_IN: Final = """
ip netns exec nas unshare --mount --propagation private sh -ec '
mount -t nfsd nfsd /proc/fs/nfsd
{}
'
"""
_NFS_START: Final = f"""
{_UP}
modprobe nfsd
systemctl start nas
{_NFS_IN.format("exportfs -r; rpc.nfsd --no-udp -N 3 -G 10 -L 10 --host " + SERVER + " 4")}
sleep 10
"""
_NFS_UNIT: Final = """
[Service]
NetworkNamespacePath=/run/netns/nas
PrivateMounts=yes
ExecStart=/bin/sh -ec 'mount -t nfsd nfsd /proc/fs/nfsd; exec rpc.mountd --foreground -N 2 -N 3'
"""
_NFT: Final = "ip netns exec nas nft"
_NFS_STOP: Final = _NFS_IN.format("rpc.nfsd 0")


_GIVEN_UP: Final = 45.0  # seconds: who waits for its answer has been killed by then


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with a server, and how it is over. Shell, in the guest."""

    begins: str
    ends: str
    lasts: float = 0.0  # seconds; 0: as long as others
    takes_files: bool = True  # something can be put there meanwhile


@dataclass(frozen=True, slots=True)
class Server:
    """A kind of file server."""

    kind: str  # as the settings say
    source: str
    make: str
    start: str
    faults: Mapping[str, Fault]


_FULL: Final = Fault(
    f"dd if=/dev/zero of={DISK}/fill bs=64k 2>/dev/null || true; sync -f {DISK}",
    f"rm {DISK}/fill; sync -f {DISK}",
    takes_files=False,
)
_PROTECTED: Final = Fault(
    f"""
for n in $(seq 60); do mount -o remount,ro {DISK} 2>/dev/null && break; sleep 0.5; done
grep -q ' {DISK} ext4 ro' /proc/mounts
""",
    f"mount -o remount,rw {DISK}",
    takes_files=False,
)


def password(word: str) -> str:
    told = f"printf '%s\\n%s\\n' {word} {word}"
    return f"{told} | smbpasswd -c /nas/smb.conf -s appliance >/dev/null"


SAMBA: Final = Server(
    "smb",
    f"//{SERVER}/{SHARE}",
    f"""
{_MAKE}
cat > /nas/smb.conf <<'END'{_SMB_CONF}END
cat > /etc/systemd/system/nas.service <<'END'{_SMB_UNIT}END
printf '%s\\n%s\\n' {PASSWORD} {PASSWORD} | smbpasswd -c /nas/smb.conf -a -s appliance >/dev/null
printf '%s\\n%s\\n' {PASSWORD} {PASSWORD} | smbpasswd -c /nas/smb.conf -a -s office >/dev/null
systemctl daemon-reload
""",
    _SMB_START,
    {
        # Its machine lives and says that nobody listens there.
        "stopped": Fault("systemctl stop nas", _SMB_START),
        # It takes what comes and says nothing.
        "hung": Fault(
            "systemctl kill --signal=STOP nas", "systemctl kill --signal=CONT nas", _GIVEN_UP
        ),
        # Its plug is pulled: nobody says anything any more.
        "killed": Fault(
            "ip -n nas link set eth0 down; systemctl kill --signal=KILL nas", _SMB_START
        ),
        "full": _FULL,
        "read-only": _PROTECTED,
        "wrong-password": Fault(
            f"{password('Another-1')}; systemctl restart nas", password(PASSWORD)
        ),
    },
)

NFS: Final = Server(
    "nfs",
    f"{SERVER}:{FOLDER}",
    f"""
{_MAKE}
echo '{_EXPORT}' > /etc/exports
cat > /etc/systemd/system/nas.service <<'END'{_NFS_UNIT}END
systemctl daemon-reload
""",
    _NFS_START,
    {
        "stopped": Fault(_NFS_STOP, _NFS_START),
        # What is sent to it is lost on the way.
        "hung": Fault(
            f"""
{_NFT} add table ip lab
{_NFT} add chain ip lab into '{{ type filter hook input priority 0; }}'
{_NFT} add rule ip lab into drop
""",
            f"{_NFT} delete table ip lab",
            _GIVEN_UP,
        ),
        "full": _FULL,
    },
)
