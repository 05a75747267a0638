"""The OpenAPI document keeps what it promises: schemathesis, in this process, over every operation but the streams."""

from __future__ import annotations

import traceback
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.dashboard.contract import operations
from tests.dashboard.signed import People

EXAMPLES = 12
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    ignored_auth,
    unsupported_method,
]
"""All but the demand that every query parameter nobody knows be refused: browsers and mail programs add their own."""


def headers_of(people: People) -> dict[str, str]:
    """An operator in a browser who lives in h001: may do nearly everything, and sends CSRF tokens."""
    browser = people.operator("h001")
    return {"Cookie": f"pumasi={browser.session_token}", "X-CSRF": browser.csrf}


def try_out(operation: Any, headers: dict[str, str]) -> None:
    """Send what fits the document, and what does not. Raises what schemathesis finds."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of([operation.as_strategy(generation_mode=mode) for mode in GenerationMode]))
    def run(case: Any) -> None:
        if isinstance(case.path_parameters, dict) and "household" in case.path_parameters:
            case.path_parameters["household"] = "h001"
        case.call_and_validate(headers=headers, checks=CHECKS)

    run()


def test_schemathesis_finds_nothing(fresh_people: People) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", fresh_people.app)
    tried, found = 0, []
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.endswith("/events"):
            continue  # never ends
        tried += 1
        try:
            try_out(operation, headers_of(fresh_people))
        except BaseException as error:  # hypothesis and schemathesis raise groups
            if isinstance(error, KeyboardInterrupt):
                raise
            found.append(f"{operation.label}: {''.join(traceback.format_exception_only(error))}")
    assert found == [], "\n".join(found)
    assert tried == sum(not operation.streams for operation in operations(fresh_people.app)) > 40
