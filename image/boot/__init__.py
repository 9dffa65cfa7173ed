"""What a box that came as an image does by itself at boot: the command `appliance-boot` in there.

    grow          the data partition reaches to the end of the disk that it was written to
    identity      at its first boot: a name, keys of ssh, a password for the drop share
    certificate   at its first boot: the page's certificate, with the addresses of the box
    take          what an administrator put on the boot partition, judged and taken once
    screen        what the box's own screen says: where the page is, and how the first admin gets in
    kernel        a kernel that apt has brought → the boot partition
    asked         programs that are run, and files written whole
    __main__      the verbs, each run by a unit (../root/etc/systemd/system)

It runs by Debian's own Python, as root, with the standard library alone.

Not here: making the image (image.build), releases of the appliance (image.release).
"""
