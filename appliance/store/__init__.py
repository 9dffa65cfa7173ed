"""The ledger: every row and every line of SQL of the product, one file per table.

Nobody else opens a database. The functions here are the seam behind which another
ledger (Postgres) could stand.
"""
