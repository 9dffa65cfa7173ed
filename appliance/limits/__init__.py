"""A child that reads hostile files: how it is started, held in, watched and ended.

Two sides. The parent calls `spawn` and gets a Child to wait for or to kill. The child's
first act is `confine(given())`, before it imports anything heavy; once it has imported all
it needs, `seal` takes the file system and most of the kernel away from it. From then on it
holds the descriptors it was handed and nothing else. The platform may refuse any of this:
then Confinement says so, and the child runs on with what was achieved.

    child      the parent's side: spawn, wait, kill, how it ended
    template   a child that is ready forks others that are
    nursery    a template that is always there
    held       a job's child and its group: its limits, its end, what it has used
    cgroup     the groups, and what can be limited in them here
    sampling   memory that no group holds, looked at
    walls      the child's side: confine, seal, the clock
    landlock   the wall around the file system
    seccomp    the wall around the kernel: what a sealed child may call
    probe      what of it this platform allows, asked once by a child that does nothing else

Not here: which limits a job gets (settings), what its death costs it (tasks).
"""

from appliance.limits.cgroup import Mode, Place, choose
from appliance.limits.child import Child, Verdict, spawn
from appliance.limits.held import Held
from appliance.limits.nursery import Nursery
from appliance.limits.probe import probe
from appliance.limits.sampling import Sampler
from appliance.limits.template import Forked, Gone, Template, serve
from appliance.limits.walls import (
    MB,
    OUT_OF_MEMORY,
    UNWALLED,
    WALLS,
    Confinement,
    Limits,
    be_mute,
    confine,
    given,
    insist,
    seal,
    start_clock,
)

__all__ = [
    "MB",
    "OUT_OF_MEMORY",
    "UNWALLED",
    "WALLS",
    "Child",
    "Confinement",
    "Forked",
    "Gone",
    "Held",
    "Limits",
    "Mode",
    "Nursery",
    "Place",
    "Sampler",
    "Template",
    "Verdict",
    "be_mute",
    "choose",
    "confine",
    "given",
    "insist",
    "probe",
    "seal",
    "serve",
    "spawn",
    "start_clock",
]
