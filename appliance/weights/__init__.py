"""Model folders: the bundled self-test model, and those the site fetched or copied.

A model is a folder in CTranslate2 format with its tokenizer. In: a name from a profile.
Out: where it lies and the digest that tells one set of weights from another; a folder
that is not what its manifest says is ModelCorrupt, wherever it is asked for.

`folders` finds and compares, `manifest` is what a folder should hold. `pull` brings models
in, `hub` and `catalogue` are its own: only the command imports them, nothing that runs by
itself fetches anything.

Not here: loading one (engine).
"""

from __future__ import annotations

from appliance.weights.folders import (
    BUNDLED,
    NEEDED,
    SELFTEST,
    ModelFolder,
    chosen,
    find,
    glance,
    listing,
    on_disk,
    verify,
)
from appliance.weights.manifest import Manifest

__all__ = [
    "BUNDLED",
    "NEEDED",
    "SELFTEST",
    "Manifest",
    "ModelFolder",
    "chosen",
    "find",
    "glance",
    "listing",
    "on_disk",
    "verify",
]
