"""Find the files of every share: events as hints, scans as the truth, one child per share.

In: the settings. Out: sightings, and a job in the ledger for every recording that is
complete. The parent touches no share: a file server that hangs costs one child.

    supervisor   starts the children, hears their heartbeat, kills the one that hangs
    share        the child: one share, started as `python -m appliance.watch.share NAME`
    rounds       what a child does when: is the share well, what has happened, scan, admit
    finds        what becomes of a file that was found, or found missing
    scan hints   the two ways to notice a file
    standing mounts adoption known   is it our share; where does it lie; making it ours; memory

Not here: waiting (settle), deciding (admit), doing the job (workloads).
"""

from appliance.watch.adoption import adopt
from appliance.watch.supervisor import watch

__all__ = ["adopt", "watch"]
