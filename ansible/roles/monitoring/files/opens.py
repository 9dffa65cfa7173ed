"""Do the figures open with a key? Exit 4 where they refuse it, 3 where nobody answers.

Arguments: the key's file, and the port on the box where its figures are.
"""

import http.client
import pathlib
import sys

key = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8").strip()
asked = http.client.HTTPConnection("127.0.0.1", int(sys.argv[2]), timeout=10)
try:
    asked.request("GET", "/metrics", headers={"Authorization": f"Bearer {key}"})
    status = asked.getresponse().status
except OSError:
    sys.exit(3)
sys.exit(4 if status == http.client.UNAUTHORIZED else 0)
