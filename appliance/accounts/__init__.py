"""Accounts, sessions, keys, the first admin: what is done to them, and the audit of it.

In: who does it (`Actor`), and secrets as they were typed. Out: rows of the ledger that
hold hashes and digests alone. Each deed and its line in the audit log are one transaction.

    setup     the one-time code that makes the first admin
    people    accounts: add, change, remove, passwords
    sessions  signing in and what keeps a session alive
    keys      of programs: make, rotate, revoke, recognise

Not here: the rows (store), what a role allows (rights), cookies and forms (web.access).
"""
