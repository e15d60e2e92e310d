"""Errors as RFC 9457 has them."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from domain.ports import Unavailable
from functions.agent_check import UNREACHABLE
from functions.publish import DraftRefused, NoSuchAgent
from schemas.finding import Finding
from schemas.ids import new_id


class Problem(Exception):
    """An error as RFC 9457 has it."""

    def __init__(self, status: int, code: str, detail: str, param: str | None = None) -> None:
        self.status, self.code, self.detail, self.param = status, code, detail, param


def answer_with_problems(api: FastAPI) -> None:
    """From now on, whatever goes wrong in it."""
    api.add_exception_handler(Problem, _problem)
    api.add_exception_handler(Unavailable, _unavailable)
    api.add_exception_handler(NoSuchAgent, _no_such_agent)
    api.add_exception_handler(DraftRefused, _refused)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _http)


async def _problem(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, Problem)
    return _answer(problem.status, problem.code, problem.detail, problem.param)


async def _unavailable(request: Request, problem: Exception) -> JSONResponse:
    return _answer(503, "unavailable", f"Try again in a moment: {problem}")


async def _no_such_agent(request: Request, problem: Exception) -> JSONResponse:
    return _answer(404, "not_found", str(problem), "id")


async def _refused(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, DraftRefused)
    unasked = all(finding.code == UNREACHABLE for finding in problem.findings)
    code = "provider_unreachable" if unasked else "draft_refused"
    return _answer(422, code, f"Not published: {problem}.", findings=problem.findings)


async def _invalid(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, RequestValidationError)
    first = problem.errors()[0]
    findings = [_misread(error, problem.body) for error in problem.errors() if error["loc"][0] == "body"]
    return _answer(422, "invalid", str(first["msg"]), str(first["loc"][-1]), findings)


def _misread(error: Any, body: Any) -> Finding:
    """Of a body that isn't what it should be."""
    place = ".".join(map(str, error["loc"][1:]))
    sentence = f"{place}: {error['msg']}" if place else str(error["msg"])
    fix = {"extra_forbidden": "remove it, or correct its name", "missing": "add it"}.get(error["type"], "correct it")
    node = ""
    match error["loc"]:
        case ("body", "flow", "nodes", int(at), *_):
            match body["flow"]["nodes"][at]:
                case {"id": str(id)}:
                    node = id
    return Finding(code="invalid", node=node, sentence=sentence, fix=fix)


async def _http(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}.get(problem.status_code, "error")
    return _answer(problem.status_code, code, str(problem.detail))


def _answer(
    status: int, code: str, detail: str, param: str | None = None, findings: Sequence[Finding] = ()
) -> JSONResponse:
    body: dict[str, Any] = {
        "type": "about:blank",
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": new_id("req"),
    }
    if param:
        body["param"] = param
    if findings:
        body["findings"] = [finding.model_dump() for finding in findings]
    return JSONResponse(body, status_code=status, media_type="application/problem+json")
