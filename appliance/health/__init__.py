"""The questions an administrator would ask the box, and their answers. They look, never repair.

checks     the table of them, and the one look that page, /readyz, /metrics and alerts share
finding    an answer
ready      what follows for taking work
keeping models room isolation telling alive   what they look at
gates      whether what closed a gate is well again
"""
