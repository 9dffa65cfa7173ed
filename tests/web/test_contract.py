"""The API against its own document: schemathesis makes up requests and judges the answers.

No answer is an error of ours, each has a status, a type and a shape that the document names,
and nothing is answered without a key. APPLIANCE_CONTRACT_EXAMPLES says how many requests each
operation gets (`make contract`: many).
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi_checks

from appliance.rights import Right
from tests import signed_in
from tests.web.box import Box, settings_of
from web import api, create_app, db

EXAMPLES = int(os.environ.get("APPLIANCE_CONTRACT_EXAMPLES", "5"))
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.negative_data_rejection,
    openapi_checks.ignored_auth,
]


KEY: dict[str, str] = {}


@pytest.fixture(scope="module")
def contract() -> Iterator[Any]:
    """The document as a box tells it that has something in every state."""
    ntfy = {"name": "x", "kind": "ntfy", "url": "https://ntfy.example/topic"}
    with tempfile.TemporaryDirectory() as folder:
        box = Box.made(settings_of(folder, notify={"channel": [ntfy]}))
        box.every_state()
        app = create_app(box.settings, clock=itertools.count().__next__, per_minute=10**9)
        KEY.update(signed_in.key(box.ledger, *Right))
        yield schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
        db.close(app)
        box.ledger.close()


WAYS = [(path, way) for path, ways in api.whole()["paths"].items() for way in ways]


@pytest.mark.parametrize(("path", "way"), WAYS, ids=[f"{way} {path}" for path, way in WAYS])
def test_every_answer_is_as_the_document_says(contract: Any, path: str, way: str) -> None:
    operation = contract[path][way.upper()]

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def judge(case: Any) -> None:
        case.call_and_validate(headers=KEY, checks=CHECKS)

    judge()
