"""What the page sends, read with a limit and checked; and failures as JSON the page can show.

Knows nothing of what the fields mean.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from inbox_env.database import QueryTooSlow
from inbox_env.errors import MailsleuthError

MAX_BODY_BYTES = 64_000
Model = TypeVar("Model", bound=BaseModel)


async def read_body(request: Request, model: type[Model]) -> Model:
    """Return the JSON body as `model`; raises HTTPException 413, 415 or 400.

    Only JSON is read: a form of another site could send anything else without being asked for permission.
    """
    return _checked(model, await read_bytes(request, MAX_BODY_BYTES))


async def read_bytes(request: Request, max_bytes: int) -> bytes:
    """Return the body of a JSON request; raises HTTPException 413 or 415."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "send application/json")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise HTTPException(413, f"at most {max_bytes} bytes")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise HTTPException(413, f"at most {max_bytes} bytes")
    return bytes(body)


def read_query(params: QueryParams, model: type[Model]) -> Model:
    """Return the query string as `model`, empty values left out; raises HTTPException 400."""
    try:
        return model.model_validate({key: value for key, value in params.items() if value != ""})
    except ValidationError as error:
        raise HTTPException(400, _reason(error)) from error


async def show_failure(_: Request, error: Exception) -> Response:
    """Return a failure as JSON: `{"error": text}`."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
    if isinstance(error, QueryTooSlow):
        return JSONResponse({"error": "the search took too long: use rarer words"}, 422)
    if isinstance(error, MailsleuthError):
        return JSONResponse({"error": str(error), "code": error.code}, 422)
    return JSONResponse({"error": f"{type(error).__name__}: a defect in mailsleuth"}, 500)


def _checked(model: type[Model], body: bytes) -> Model:
    try:
        return model.model_validate(json.loads(body))
    except ValidationError as error:
        raise HTTPException(400, _reason(error)) from error
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "not JSON") from error


def _reason(error: ValidationError) -> str:
    first: Any = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "body"
    return f"{place}: {first['msg']}"
