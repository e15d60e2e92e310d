"""`offhook publish`: a draft in a file becomes an agent's next version, or is refused with the reasons."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import aiohttp
import typer
import yaml
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.text import Text

from adapters.wiring import BadSettings, read_settings
from offhook.carrier.records import WRONG_KEY
from schemas.agent import AgentDraft
from schemas.finding import Finding

WITHIN_S = 120.0
"""The platform asks every provider about the draft, and waits for each."""


class BadDraft(Exception):
    """The file can't be read. The message is one sentence."""


class Unanswered(Exception):
    """The platform said nothing, or nothing that helps. The message is one sentence."""


class Answer(BaseModel):
    """What the platform says to a draft."""

    number: int | None = None
    """The version that it has become; None if it was refused."""
    code: str = ""
    detail: str = ""
    findings: list[Finding] = []


def load(path: Path) -> Any:
    """A draft from YAML or JSON. YAML's words are left as they are written, but for `null`: neither is `17:00` a number
    nor `yes` true, and what should be a number is made one where the draft is read. Raises BadDraft."""
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else yaml.load(text, Loader=_Words)
    except OSError as problem:
        raise BadDraft(f"{path} can't be read: {problem.strerror}") from None
    except json.JSONDecodeError as problem:
        raise BadDraft(f"{path} is not JSON: {problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise BadDraft(f"{path} is not YAML: {problem}") from None


class _Words(yaml.SafeLoader):
    """Knows no scalars but words and null."""


_KNOWN = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")
_Words.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _KNOWN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


async def send(server: str, key: str, agent: str, draft: Any, force: bool = False) -> Answer:
    """Raises Unanswered. Cancelled, it is published or not."""
    agent_url = f"{server.rstrip('/')}/api/v1/agents/{quote(agent, safe='')}"
    timeout, headers = aiohttp.ClientTimeout(total=WITHIN_S), {"Authorization": f"Bearer {key}"}
    try:
        async with aiohttp.ClientSession(timeout=timeout, headers=headers) as http:
            if _is_flow(draft):
                draft = {**await _live_draft(http, agent_url), "flow": draft}
            params = {"force": "true"} if force else {}
            async with http.post(f"{agent_url}/versions", json=draft, params=params) as response:
                if response.status == 401:
                    raise Unanswered(WRONG_KEY)
                return Answer.model_validate(await response.json(content_type=None))
    except aiohttp.ClientConnectionError:
        raise Unanswered(
            f"nobody answers at {server}: start the platform with `make run`, or name another with --server"
        ) from None
    except (aiohttp.ClientError, TimeoutError, ValueError, ValidationError) as problem:
        raise Unanswered(f"{server} gave no answer that can be read ({type(problem).__name__})") from None


def _is_flow(draft: Any) -> bool:
    """Whether it is a flow alone."""
    return isinstance(draft, dict) and "nodes" in draft and "flow" not in draft


async def _live_draft(http: aiohttp.ClientSession, agent_url: str) -> dict[str, Any]:
    """The draft that the live version was; nothing of an agent that isn't there, which the platform then says."""
    async with http.get(agent_url) as response:
        if response.status == 401:
            raise Unanswered(WRONG_KEY)
        live = (await response.json()).get("live", 0)
    async with http.get(f"{agent_url}/versions/{live}") as response:
        version = await response.json() if response.status == 200 else {}
    return {field: value for field, value in version.items() if field in AgentDraft.model_fields}


def publish(
    file: Annotated[
        Path, typer.Argument(help="The draft, or a flow alone, which replaces the live version's: YAML or JSON.")
    ],
    agent: Annotated[str, typer.Option(help="The agent's id.")],
    server: Annotated[str | None, typer.Option(help="The platform's address.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also if a provider could not be asked about it.")] = False,
) -> None:
    """Make a draft the version that takes an agent's calls from now on; those under way keep theirs.

    Exits 0 if it was published, 1 with what speaks against it, 2 if there is no such draft."""
    out, err = Console(highlight=False), Console(stderr=True, highlight=False)
    try:
        settings = read_settings()
        draft = load(file)
        answer = asyncio.run(send(server or settings.public_urls[0], settings.owner_key, agent, draft, force))
    except (BadSettings, Unanswered) as problem:
        err.print(Text(str(problem)), soft_wrap=True)
        raise typer.Exit(1) from None
    except BadDraft as problem:
        err.print(Text(str(problem)), soft_wrap=True)
        raise typer.Exit(2) from None
    if answer.number is not None:
        out.print(Text(f"✓ Version {answer.number} of {agent} takes its calls from now on.", style="green"))
        return
    for finding in answer.findings:
        out.print(Text(f"✗ {finding}", style="red"), soft_wrap=True)
        if finding.fix:
            out.print(Text(f"    {finding.fix}"), soft_wrap=True)
    err.print(Text(_closing(answer)), soft_wrap=True)
    raise typer.Exit(1)


def _closing(answer: Answer) -> str:
    if answer.code == "provider_unreachable":
        return "Not published: nothing is wrong with the draft, but it could not be tried. --force publishes it so."
    return "Not published." if answer.findings else f"Not published: {answer.detail}"
