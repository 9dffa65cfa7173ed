"""A box in a virtual machine: a kernel of its own, for what a container cannot show.

Controllers of memory, processors and processes, mounts of file servers, a boot, a loss of
power. The processor is emulated (no KVM is asked for), so a test starts from a snapshot of a
machine that has booted, and times are told by the clock in there.

    python -m tests.box.guest [LANE[:CASE]…]     every lane, or these; as root

Everything is made in `.box/` and kept: Debian's root file system by the list of its packages,
the wheels by the lock file, the image by both and by our own wheel.
"""
