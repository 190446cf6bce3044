"""The service over HTTP, with FastAPI.

FastAPI is imported when the app is created, and reads the annotations of endpoints; so annotations are not
postponed here.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.metadata import version
from time import perf_counter
from typing import TYPE_CHECKING, Any

from msgspec.json import schema_components

from glre_pyg.formats.jsonl import format_jsonl
from glre_pyg.service.extraction_request import ExtractionRequest, Refused, parse_form, parse_json
from glre_pyg.service.relation_service import RelationService
from glre_pyg.service.start_page import policy
from glre_pyg.utils.exceptions import InputError

if TYPE_CHECKING:
    from fastapi import FastAPI

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": text}
    for status, text in {
        408: "The request was sent too slowly.",
        413: "The request is too large.",
        415: "The request is of another content type.",
        422: "Something in the request is wrong: one line names the field.",
        429: "Too many documents are waiting.",
        504: "The answer took too long.",
    }.items()
}


def create_app(service: RelationService) -> "FastAPI":
    """Return the app, whose task answers requests for as long as it runs."""
    from fastapi import FastAPI
    from fastapi_offline import FastAPIOffline

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.task = asyncio.create_task(service.queue.run())
        yield
        app.state.task.cancel()

    app: FastAPI = FastAPIOffline(
        title="glre_pyg",
        summary=f"Relations in texts, found by {service.name}.",
        version=version("glre_pyg"),
        lifespan=lifespan,
        redoc_url=None,
    )
    _add_errors(app)
    _add_metrics(app, service)
    _add_status(app, service)
    _add_extraction(app, service)
    _add_pages(app, service)
    _, components = schema_components(
        [ExtractionRequest],
        schema_hook=lambda _: {"description": "not used"},  # facts and ignored pairs
        ref_template="#/components/schemas/{name}",
    )
    app.openapi().setdefault("components", {}).setdefault("schemas", {}).update(components)
    return app


def _add_errors(app: "FastAPI") -> None:
    from fastapi import Request
    from fastapi.responses import JSONResponse

    @app.exception_handler(Refused)
    @app.exception_handler(InputError)
    async def refuse(request: Request, error: Exception) -> JSONResponse:
        status, line = _status_of(error)
        return JSONResponse({"detail": line}, status, _headers(status))


def _status_of(error: Exception) -> tuple[int, str]:
    return (error.status, error.line) if isinstance(error, Refused) else (422, str(error))


def _headers(status: int) -> dict[str, str]:
    return {"Retry-After": "1"} if status == HTTPStatus.TOO_MANY_REQUESTS else {}


def _add_metrics(app: "FastAPI", service: RelationService) -> None:
    from fastapi import Request, Response

    paths = ("/", "/extract", "/relations")

    @app.middleware("http")
    async def measure(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        started, status = perf_counter(), 500
        try:
            response = await call(request)
            status = response.status_code
        finally:
            path = request.url.path if request.url.path in paths else "other"
            service.metrics.requests.labels(path, status).inc()
            service.metrics.seconds.labels(path).observe(perf_counter() - started)
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def _add_status(app: "FastAPI", service: RelationService) -> None:
    from fastapi import HTTPException, Response

    @app.get("/health", tags=["status"])
    async def health() -> dict[str, str]:
        """Whether the service runs; if not, it has to be started again."""
        if app.state.task.done():
            raise HTTPException(503, "the model has stopped")
        return {"status": "ok", "model": service.name}

    @app.get("/ready", tags=["status"], responses={429: _ERRORS[429]})
    async def ready() -> dict[str, int]:
        """Whether the service takes a request now."""
        await health()
        service.queue.check_room()
        return {"waiting": service.queue.num_waiting}

    @app.get("/metrics", tags=["status"])
    async def metrics() -> Response:
        """Counts and durations in Prometheus's text format."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_extraction(app: "FastAPI", service: RelationService) -> None:
    from fastapi import Request, Response

    schema = {"$ref": "#/components/schemas/ExtractionRequest"}
    example = {"text": "Velorin caused a rash.", "names": "velorin, C1, Chemical\nrash, D1, Disease"}

    @app.post(
        "/extract",
        tags=["relations"],
        responses=_ERRORS,
        openapi_extra={
            "requestBody": {"required": True, "content": {JSON: {"schema": schema, "example": example}}}
        },
    )
    async def extract(request: Request) -> Response:
        """Find the relations in a text, or in documents: these with their facts, as in JSON Lines."""
        _check_type(request.headers.get("content-type"), JSON)
        documents = await service.extract(parse_json(await service.body(request.stream())))
        lines = ",".join(format_jsonl(document).rstrip("\n") for document in documents)
        return Response(f'{{"documents": [{lines}]}}', media_type=JSON)


def _add_pages(app: "FastAPI", service: RelationService) -> None:
    from fastapi import Request
    from fastapi.responses import HTMLResponse

    def form(status: int = 200, request: ExtractionRequest | None = None, error: str = "") -> HTMLResponse:
        headers = {"Content-Security-Policy": policy(), **_headers(status)}
        return HTMLResponse(service.start_page.html(request, error), status, headers)

    @app.get("/", include_in_schema=False)
    async def start() -> HTMLResponse:
        return form()

    @app.post("/relations", include_in_schema=False)
    async def relations(request: Request) -> HTMLResponse:
        sent = None
        try:
            _check_type(request.headers.get("content-type"), FORM)
            sent = parse_form(await service.body(request.stream()))
            return HTMLResponse(await service.page(sent), headers={"X-Frame-Options": "DENY"})
        except (InputError, Refused) as error:
            status, line = _status_of(error)
            return form(status, sent, line)


def _check_type(given: str | None, wanted: str) -> None:
    """Check the content type of a request.

    Pages of others can make a browser send forms and plain texts here, but not JSON.

    Raises:
        Refused: If it is another one.
    """
    if (given or "").partition(";")[0].strip().lower() != wanted:
        raise Refused(415, f"the content type has to be {wanted}")
