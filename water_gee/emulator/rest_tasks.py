"""Routes of tasks, and of a project's settings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from water_gee.emulator.errors import bad_request
from water_gee.emulator.limits import MAX_LIST_PAGE, TASK_WORKERS
from water_gee.emulator.tables import TableRequest

if TYPE_CHECKING:
    from water_gee.emulator.routes import Request
    from water_gee.emulator.service import Service

MAX_WAIT_SECONDS = 30.0
"""Longest that one wait is answered after."""


def export(service: Service, name: str, request: Request) -> dict[str, Any]:
    """Queue an export of an image."""
    return service.tasks.submit(_project(name), request.message).to_rest()


def export_table(service: Service, name: str, request: Request) -> dict[str, Any]:
    """Queue an export of features."""
    kind = TableRequest.kind
    return service.tasks.submit(_project(name), request.message, kind).to_rest()


def list_operations(service: Service, name: str, request: Request) -> dict[str, Any]:
    """List a project's operations, the newest first."""
    found, token = page(service.tasks.all(_project(name)), request)
    shown: dict[str, Any] = {"operations": [operation.to_rest() for operation in found]}
    return shown if token is None else {**shown, "nextPageToken": token}


def get_operation(service: Service, name: str, request: Request) -> dict[str, Any]:
    """Show an operation."""
    del request
    return service.tasks.get(_operation(name)).to_rest()


def cancel(service: Service, name: str, request: Request) -> dict[str, Any]:
    """Ask for an operation to end."""
    del request
    service.tasks.cancel(_operation(name))
    return {}


def wait(service: Service, name: str, request: Request) -> dict[str, Any]:
    """Show an operation once it has ended, or after the time given."""
    given = str(request.message.get("timeout") or f"{MAX_WAIT_SECONDS}s")
    match = re.fullmatch(r"(\d+(?:\.\d+)?)s", given)
    if match is None:
        raise bad_request(f"timeout: expected seconds such as '3.5s', got {given!r}.")
    seconds = min(float(match[1]), MAX_WAIT_SECONDS)
    return service.tasks.wait(_operation(name), seconds).to_rest()


def get_config(service: Service, name: str, request: Request) -> dict[str, Any]:
    """Show a project's settings."""
    del service, request
    return {"name": name, "maxConcurrentExports": TASK_WORKERS}


def update_config(service: Service, name: str, request: Request) -> dict[str, Any]:
    """Refuse: the number of workers is not a setting here."""
    del service, request
    raise bad_request(f"{name} cannot be changed: the emulator runs {TASK_WORKERS} tasks at once.")


def page(items: list[Any], request: Request) -> tuple[list[Any], str | None]:
    """Return the part of a list that a request asks for, and the token of the next.

    Raises:
        ServiceError: 400: the size or the token is malformed.
    """
    size = request.query.get("pageSize") or "0"
    token = request.query.get("pageToken") or "0"
    if not size.isdecimal() or not token.isdecimal():
        raise bad_request(f"Invalid page: pageSize {size!r}, pageToken {token!r}.")
    first = int(token)
    last = first + (min(int(size), MAX_LIST_PAGE) or MAX_LIST_PAGE)
    return items[first:last], str(last) if last < len(items) else None


def _project(name: str) -> str:
    return name.removeprefix("projects/")


def _operation(name: str) -> str:
    return name.rpartition("/")[2]
