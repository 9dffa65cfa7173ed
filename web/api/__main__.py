"""Write the document of the API to the standard output: `python -m web.api > docs/openapi.json`."""

from __future__ import annotations

import json
import sys

from web import api

if __name__ == "__main__":
    sys.stdout.write(json.dumps(api.whole(), indent=1, sort_keys=True, ensure_ascii=False) + "\n")
