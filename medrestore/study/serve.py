"""The study in a browser: FastAPI on this machine, one secret link a rater, no outside network."""

from __future__ import annotations

import hashlib
import logging
import socket
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.middleware.trustedhost import TrustedHostMiddleware

from medrestore.errors import MedrestoreError
from medrestore.study.database import Answer, Database, OutOfTurn
from medrestore.study.design import Place, place
from medrestore.study.manifest import Study, picture_path
from medrestore.study.raters import Rater, Roster

PAGES = Path(__file__).with_name("pages")
_MOST_BYTES = 2048  # of an answer
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the token is part of the address
    "X-Content-Type-Options": "nosniff",
}

Milliseconds = Annotated[int, Field(ge=0, le=86_400_000)]
Pixels = Annotated[int, Field(ge=1, le=100_000)]


class AnswerBody(BaseModel):
    """An answer as a browser sends it; anything else is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    number: Annotated[int, Field(ge=0, le=1_000_000)]
    score: Annotated[int, Field(ge=1, le=5)]
    viewing_ms: Milliseconds
    width: Pixels
    height: Pixels
    ratio: Annotated[float, Field(gt=0, le=16, strict=False)]


def create_app(study: Study, directory: Path, roster: Roster, database: Database, host: str = "127.0.0.1") -> FastAPI:
    """The application.

    Args:
        study: what is rated.
        directory: where its pictures lie.
        roster: raters by token.
        database: where answers go.
        host: the name it is reached by; a request for any other is refused, so that no foreign page can get at it.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    if host != "0.0.0.0":
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, host])
    pages = {name: (PAGES / name).read_bytes() for name in ("study.html", "study.css", "study.js")}
    # looked up by hash, so that the time it takes says nothing about how much of a guess was right
    by_hash = {hashlib.sha256(token.encode()).digest(): rater for token, rater in roster.items()}

    def rater_of(token: str) -> Rater | None:
        return by_hash.get(hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest())

    @app.middleware("http")
    async def add_headers(request: Request, answer: Any) -> Response:
        response = await answer(request)
        response.headers.update(_HEADERS)
        return response

    @app.get("/")
    def front() -> Response:
        return _page("This study is open by personal link only.", 200)

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status_code=204)

    @app.get("/assets/study.css")
    def style() -> Response:
        return Response(pages["study.css"], media_type="text/css; charset=utf-8")

    @app.get("/assets/study.js")
    def script() -> Response:
        return Response(pages["study.js"], media_type="text/javascript; charset=utf-8")

    @app.get("/r/{token}/")
    def page(token: str) -> Response:
        if rater_of(token) is None:
            return _page("This link is not known. Please ask the person who sent it to you for a new one.", 404)
        return HTMLResponse(pages["study.html"])

    @app.get("/r/{token}/state")
    def state(token: str) -> Response:
        rater = rater_of(token)
        if rater is None:
            return _refusal(404, "unknown link")
        return JSONResponse(_state(study, place(study, rater.code, database.scores(rater))))

    @app.get("/r/{token}/image/{number}")
    def image(token: str, number: int) -> Response:
        rater = rater_of(token)
        if rater is None:
            return _refusal(404, "unknown link")
        now = place(study, rater.code, database.scores(rater))
        trial = {now.number: now.trial, now.number + 1: now.following}.get(number)
        if trial is None:  # nobody looks ahead or back further than the page itself does
            return _refusal(409, "this picture is not to be rated now")
        return Response(picture_path(directory, study.by_id[trial.stimulus]).read_bytes(), media_type="image/png")

    @app.post("/r/{token}/vote")
    async def vote(token: str, request: Request) -> Response:
        rater = rater_of(token)
        if rater is None:
            return _refusal(404, "unknown link")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MOST_BYTES:
                return _refusal(413, "the answer is too long")
        try:
            answer = AnswerBody.model_validate_json(body)
        except ValidationError as error:
            first = error.errors()[0]
            return _refusal(422, f"{'.'.join(map(str, first['loc'])) or 'answer'}: {first['msg']}")
        return await run_in_threadpool(_record, study, database, rater, Answer(**answer.model_dump()))

    return app


def _record(study: Study, database: Database, rater: Rater, answer: Answer) -> Response:
    scores = database.scores(rater)
    trial = place(study, rater.code, scores[: answer.number]).trial
    if trial is None:
        return _refusal(409, "the session is over")
    try:
        database.record(rater, trial, answer)
    except OutOfTurn as error:
        return _refusal(409, str(error))
    return JSONResponse(_state(study, place(study, rater.code, database.scores(rater))))


def _state(study: Study, now: Place) -> dict[str, Any]:
    """What a browser may know: nothing of methods, scenes or which picture is a gate."""
    return {
        "title": study.title,
        "question": study.question,
        "phase": now.phase,
        "number": now.number,
        "done": now.done,
        "total": now.total,
        "attempt": now.attempt,
        "more": now.following is not None,
        "minimum": list(study.plan.min_screen),
    }


def _refusal(status: int, what: str) -> Response:
    return JSONResponse({"error": what}, status)


def _page(text: str, status: int) -> Response:
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Picture rating</title>'
    style = '<link rel="stylesheet" href="/assets/study.css">'
    return HTMLResponse(f'{head}{style}<main class="card"><h1>Picture rating</h1><p>{text}</p></main>', status)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one.

    Raises:
        MedrestoreError: the port is taken or the host is not of this machine.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except (OSError, OverflowError) as error:
        listening.close()
        what = getattr(error, "strerror", None) or error
        raise MedrestoreError(f"cannot listen on host={host} port={port} ({what}): type another port=") from None
    return listening


def address(listening: socket.socket, host: str) -> str:
    """How a browser reaches it."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"


def write_links(directory: Path, roster: Roster, base: str) -> Path:
    """Write `links.txt` with the personal link of each rater, readable by its owner alone."""
    path = directory / "links.txt"
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text("".join(f"{rater.code}  {base}/r/{token}/\n" for token, rater in roster.items()), encoding="utf-8")
    return path


def server_for(app: FastAPI) -> uvicorn.Server:
    """A server that logs no addresses, for they hold the tokens."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return uvicorn.Server(uvicorn.Config(app, access_log=False, log_config=None, lifespan="off"))
