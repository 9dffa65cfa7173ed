"""The box: its units, what stands around them, and proof that each of their walls holds.

`python3 -m tests.box` on a machine whose first process is systemd, with the units installed,
tries every wall of every unit from within (standard library alone, as root).
"""
