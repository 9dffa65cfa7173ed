"""What people and programs prove themselves with: how it is made, judged and compared.

    passwords  what one may be, its argon2 hash, comparing in the same time for everybody
    tokens     the secret of a session, the one-time set-up code, digests of both
    keys       keys of programs: their form, what of them is kept

Pure: nothing is read or written. Secrets come in and go out as text; what may be kept of
them is a hash or a digest, and that alone goes to the ledger.

Not here: who owns what (accounts), what it opens (rights).
"""
