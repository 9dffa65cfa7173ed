"""What a lane has run inside the guest: it asks pages, reads the ledger, judges, drops.

    python -m tests.box.guest.inside.NAME …     with the box's own Python, below /opt/lab

Times are the guest's, in seconds since its boot.

Not here: what must come of it (the lanes).
"""
