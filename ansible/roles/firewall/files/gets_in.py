"""Would the firewall let in whoever runs this over ssh? Exit 1 and say why where it would not.

The one argument: the networks that people come from, with commas between. Where ssh does not say
from where somebody came (another way in), nobody is judged.
"""

import ipaddress
import os
import sys

networks = [ipaddress.ip_network(one) for one in sys.argv[1].split(",") if one]
came = os.environ.get("SSH_CONNECTION", "").split()
try:
    peer = ipaddress.ip_address(came[0].partition("%")[0])
except (IndexError, ValueError):
    sys.exit(0)
peer = getattr(peer, "ipv4_mapped", None) or peer
if not peer.is_loopback and not any(peer in one for one in networks if one.version == peer.version):
    sys.exit(
        f"You come from {peer}, which is in none of the networks that the firewall would let in. "
        "Name yours in appliance_office (appliance_office6 for version 6) of the inventory; the "
        "rules of before stay in force."
    )
