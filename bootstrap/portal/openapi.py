"""The API's description for programs, made from the table of routes: OpenAPI 3.1, errors as RFC 9457 has them."""

import re
from collections.abc import Sequence
from typing import Any, Final

from bootstrap.portal.bodies import schema_of
from bootstrap.portal.crossing import TOKEN_HEADER
from bootstrap.portal.routes import Page
from bootstrap.portal.visit import SESSION_COOKIE

__all__ = ["VERSION", "describe_api"]

VERSION: Final = "1"
PARAMETER: Final = re.compile(r"\{([a-z_]+)(?::[a-z]+)?\}")
PROBLEM: Final = {
    "type": "object",
    "description": "RFC 9457: why a request was refused.",
    "required": ["type", "title", "status", "detail", "reason"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For a person."},
        "reason": {"type": "string", "description": "For a program: a word that stays."},
        "field": {"type": "string", "description": "What in the body was wrong."},
    },
}


def describe_api(routes: Sequence[Page], origin: str) -> dict[str, Any]:
    """The description of those routes that are the API's.

    Args:
        routes: the table.
        origin: where the portal is, as browsers write it.
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if route.kind == "api":
            paths.setdefault(PARAMETER.sub(r"{\1}", route.path), {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "peernet, operator's API",
            "version": VERSION,
            "description": "What the portal's pages do, for programs. Amounts are integers: credits in microcredits, "
            "money in the currency's smallest unit. Times are whole seconds of the Unix epoch.",
        },
        "servers": [{"url": origin}],
        "paths": paths,
        "components": {
            "schemas": {"Problem": PROBLEM},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "An API token, from the portal."},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": SESSION_COOKIE,
                    "description": f"A browser's session; what changes something needs the header {TOKEN_HEADER}.",
                },
            },
        },
    }


def _operation(route: Page) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _name(route),
        "summary": route.summary,
        "responses": {
            "2XX": {"description": "Done.", "content": {route.answers: {"schema": {}}}},
            "default": {
                "description": "Refused.",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    }
    names = PARAMETER.findall(route.path)
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for name in names
        ]
    if route.body is not None:
        schema = schema_of(route.body)
        content = {"application/json": {"schema": schema}}
        operation["requestBody"] = {"required": bool(schema["required"]), "content": content}
    if route.rule.signed_in:
        token: list[dict[str, list[str]]] = [{"token": []}] if route.rule.scope is not None else []
        operation["security"] = [*token, {"session": []}]
        operation["description"] = _who(route)
    return operation


def _who(route: Page) -> str:
    rule = route.rule
    said = [f"An API token needs the scope `{rule.scope}`." if rule.scope else "No API token is good for this."]
    if rule.roles:
        said.append(f"Needs the role {' or '.join(sorted(rule.roles))}.")
    if rule.owner is not None:
        said.append("Only for whoever it belongs to.")
    if rule.fresh:
        said.append("Needs a password that was given in the last minutes.")
    return " ".join(said)


def _name(route: Page) -> str:
    words = re.findall(r"[a-z0-9]+", PARAMETER.sub(r"by_\1", route.path.removeprefix("/api/v1")))
    return "_".join([route.method.lower(), *words])
