"""The document of the API: valid, the same as the copy that people read, and true."""

from __future__ import annotations

import json
import os

import openapi_spec_validator
from flask import Flask
from flask.testing import FlaskClient

import appliance
from tests.web.box import Box
from web import api, create_app, db

COPY = os.path.join(os.path.dirname(os.path.dirname(appliance.__file__)), "docs", "openapi.json")


def test_the_document_is_valid() -> None:
    openapi_spec_validator.validate(api.whole())


def test_the_copy_is_the_document() -> None:
    with open(COPY, encoding="utf-8") as stream:
        copy = json.load(stream)
    assert copy == json.loads(json.dumps(api.whole())), "make openapi writes it anew"


def test_every_box_tells_it_to_everybody(box: Box) -> None:
    app = create_app(box.settings)
    assert app.test_client().get("/api/v1/openapi.json").json == json.loads(json.dumps(api.whole()))
    db.close(app)


def test_every_address_of_the_api_is_in_it(client: FlaskClient) -> None:
    app: Flask = client.application
    there_are = {
        (rule.rule.replace("<int:", "{").replace("<", "{").replace(">", "}"), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/v1/")
    }
    told = {(path, method) for path, ways in api.whole()["paths"].items() for method in ways}
    assert there_are - told == {("/api/v1/openapi.json", "get")}
    assert told <= there_are


def test_every_operation_says_what_it_does_and_has_a_name_of_its_own() -> None:
    operations = [way for ways in api.whole()["paths"].values() for way in ways.values()]
    names = [one["operationId"] for one in operations]
    assert len(names) == len(set(names))
    assert all(one["summary"].endswith(".") for one in operations)
