"""What goes wrong with a request, as OpenAI's clients expect to be told: a status and one JSON object.

Knows nothing of models.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from inbox_env.errors import MailsleuthError
from scripts.terminal import safe_line

MAX_TEXT_CHARS = 500
_KINDS = {401: "authentication_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """A request that gets no answer: `param` is the field at fault, `code` a word for programs."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None, retry_after: int = 0
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.retry_after = status, param, code, retry_after

    def body(self) -> dict[str, Any]:
        """Return the JSON object; its text is safe to print."""
        kind = _KINDS.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        message = safe_line(str(self), MAX_TEXT_CHARS)
        param = None if self.param is None else safe_line(self.param, 100)
        return {"error": {"message": message, "type": kind, "param": param, "code": self.code}}

    def response(self) -> Response:
        """Return the answer."""
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else None
        return json_response(self.body(), self.status, headers)


def json_response(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return JSON in ASCII: half a surrogate pair, which a model can write, has no UTF-8 form."""
    return Response(json.dumps(body), status, headers, "application/json")


def as_api_error(error: Exception) -> ApiError:
    """Return what a client is told of any failure; of a defect, its kind alone: the text could hold mail."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, HTTPException):
        return ApiError(error.status_code, str(error.detail))
    if isinstance(error, MailsleuthError):
        return ApiError(500, str(error), code=error.code)
    return ApiError(500, f"{type(error).__name__}: a defect in mailsleuth")


async def show_failure(_: Request, error: Exception) -> Response:
    """Return a failure as OpenAI's JSON."""
    return as_api_error(error).response()
