"""What is put on a machine: releases of the appliance.

    release/    a signed file with everything a box runs, and how a box changes to it

Not here: provisioning a Debian that somebody installed (ansible/).
"""
