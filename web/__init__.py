"""The pages of the box. Reads the ledger, moves a job, rings the bell; the box runs without it."""
