"""What a support call asks first, in one archive, with nothing in it that is not ours to send.

In: the settings, whatever is left of a ledger, the journal. Out: `FILE.tar.gz`, readable by
its owner alone, with a MANIFEST of what it holds and what was left out and why. Each part is
gathered by a child that is given seconds, because disks, ledgers and servers hang just when
somebody calls; no share is ever touched. It changes nothing.

    parts      what is gathered: a table
    lines      lines of journal and logs, taken apart by what our own code can say
    chosen     the settings, by keys that may be shown
    scrub      what no part may hold: secrets, addresses, names, words of people
    bundle     children → archive, whole or not at all
    __main__   the child

Not here: what the doctor finds (doctor), the verb (cli).
"""
