"""The API keeps to its description, whatever it is sent: schemathesis makes requests that fit it, and that do not."""

from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks as openapi_checks

from bootstrap.people.passwords import Passwords
from bootstrap.people.tokens import SCOPES
from bootstrap.portal.openapi import describe_api
from bootstrap.portal.table import ROUTES
from tests.browsing import ORIGIN, QUICK
from tests.people_made import add_account, token_for
from tests.portal_site import Site, running_site

EXAMPLES = 5
"""Of each kind, for each operation."""
TIMEOUT_S = 10.0
DESCRIPTION = describe_api(ROUTES, ORIGIN)
SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION)
OPERATIONS = {result.ok().label: result.ok() for result in SCHEMA.get_all_operations()}
CHECKS = [
    not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as running:
        running.office.passwords = Passwords(QUICK)
        yield running


@pytest.fixture(scope="module")
def client(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=TIMEOUT_S) as opened:
        yield opened


@pytest.fixture
def token(site: Site, request: pytest.FixtureRequest) -> str:
    """For everything, of an account that the operation may spoil."""
    number = abs(hash(request.node.name))
    account = add_account(site.office.database, f"a{number}@example.org", roles=["host", "operator"])
    return token_for(site.office, account, *SCOPES, proved=True)


def test_every_route_of_the_api_is_described():
    described = {(method.upper(), path) for path, methods in DESCRIPTION["paths"].items() for method in methods}
    assert described == {(route.method, route.path) for route in ROUTES if route.kind == "api"}
    names = [operation["operationId"] for methods in DESCRIPTION["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))


def test_the_description_is_served(site: Site):
    served = httpx.get(f"{site.url}/api/v1/openapi.json").json()
    assert served == describe_api(ROUTES, site.url)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", OPERATIONS)
def test_an_operation_does_what_it_says(client: httpx.Client, token: str, label: str, mode: GenerationMode):
    operation = OPERATIONS[label]
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.path_parameters):
        return  # there is nothing that could be wrong

    @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=HealthCheck)
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        sent = case.as_transport_kwargs()
        headers = {**dict(sent["headers"]), "Authorization": f"Bearer {token}"}
        answer = client.request(
            sent["method"], case.formatted_path, json=sent.get("json"), content=sent.get("data"), headers=headers
        )
        negative = [openapi_checks.negative_data_rejection] if mode is GenerationMode.NEGATIVE else []
        case.validate_response(answer, checks=CHECKS + negative)

    ask()
