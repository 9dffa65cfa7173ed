"""What is put on a machine: releases of the appliance, and disks with one on them.

    release/      a signed file with everything a box runs, and how a box changes to it
    build         a release → a disk image (`make image`)
    debian        a Debian as a folder, from this machine's own package sources
    container     such a folder under a systemd of its own
    controller    the playbooks, from here into a container
    clean         what no two boxes may share goes, and is looked for
    disk          two folders → a disk that UEFI boots
    boot/         what a box that came as an image does by itself when it starts
    root/         files of the image, as they lie in it

Not here: the playbooks (ansible/), what is proven of all this (tests/box).
"""
