"""The lane that provisions a box: a bare Debian, our playbooks, a recording that comes back.

    bare         a Debian with nothing of ours, and the packages that it will ask for
    bundles      releases to bring: this checkout, and ones that are not well
    __main__     what is shown, in order, with its times (`python -m tests.box provision`)

The container has no network: what comes in comes by the playbooks, in the bundle, or lies as a
Debian package in apt's cache.
"""
