"""Releases: one signed file that holds everything a box needs, and how a box changes to it.

    make       this checkout → dist/appliance-VERSION.tar, signed (`make release`)
    bundle     what such a file must be like to be believed
    install    a file that is believed → a folder of its own below /opt/appliance/releases
    switch     from the release that runs to another, and back by itself when that is not well
    gate       whether the box is well
    places     what of a release lies elsewhere: units, accounts, folders
    report     how the box is, in a few figures
    __main__   the command `appliance-release` of the box

All but `make` run on the box by Debian's own Python, as root, with the standard library alone:
they have to work when no release does.

Not here: bringing the file to the box (ansible/), what the release itself does (appliance, web).
"""
