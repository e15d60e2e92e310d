"""Publishing, as a person and their callers meet it: with the command, on a running platform, amidst calls."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import typer
import yaml
from typer.testing import CliRunner

from offhook.carrier.handset import Handset
from offhook.publish import publish
from offhook.seed import demo_draft
from tests.fakes.house import House, house

ORDERS = "agt_demo_orders"


def visit(home: Path, story: Callable[[House], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with house(home) as here:
            await story(here)

    asyncio.run(whole())


async def run(here: House, file: Path, *more: str, agent: str = ORDERS, key: str = "owner") -> Any:
    """The command, as from another terminal."""
    app = typer.Typer()
    app.command()(publish)
    arguments = [str(file), "--agent", agent, "--server", here.url, *more]
    environment = {"OFFHOOK_HOME": str(here.home), "OFFHOOK_OWNER_KEY": key}
    return await asyncio.to_thread(CliRunner().invoke, app, arguments, env=environment)


def reworded(*changes: tuple[str, str]) -> str:
    """The order desk's draft, as JSON, with other words."""
    text = demo_draft("orders").model_dump_json()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


async def orders_by_keys(phone: Handset) -> None:
    for keys in ("1", "47129", "2"):
        await phone.listen(300)
        await phone.press(keys)


async def version_and_words(here: House, sid: str) -> tuple[int, str]:
    """Which version held the call, and what it said."""
    id = await here.records.find(sid)
    assert id is not None
    conversation = await here.records.ended(id)
    assert conversation.outcome == "answered"
    return conversation.version, " ".join(message.text for message in await here.records.messages(id))


def test_a_call_under_way_keeps_its_version_and_the_next_one_has_the_new(tmp_path: Path) -> None:
    file = tmp_path / "orders.json"
    file.write_text(reworded(("good day", "good evening"), ("Order {{order_number}}", "Parcel {{order_number}}")))

    async def story(here: House) -> None:
        first: Any = None

        def watch(call: Any, note: Any) -> None:
            nonlocal first
            first = call

        async def sees_it_published(phone: Handset) -> None:
            await phone.listen(300)
            await phone.press("1")
            await phone.listen(300)
            result = await run(here, file)
            assert result.exit_code == 0, result.output
            assert f"Version 2 of {ORDERS} takes its calls from now on." in result.stdout
            first.streams[-1].abort()  # what takes the call over reads its version anew
            await phone.listen(300)
            await phone.press("47129")
            await phone.listen(300)
            await phone.press("2")

        await here.carrier.call("+15005550002", caller=sees_it_published, watch=watch)
        version, said = await version_and_words(here, first.sid)
        assert (version, len(first.streams)) == (1, 2)
        assert "good day" in said
        assert "Order 4 7 1 2 9 left" in said

        second = await here.carrier.call("+15005550002", caller=orders_by_keys)
        version, said = await version_and_words(here, second.sid)
        assert version == 2
        assert "good evening" in said
        assert "Parcel 4 7 1 2 9 left" in said

    visit(tmp_path, story)


def test_a_flow_alone_replaces_that_of_the_live_version(tmp_path: Path) -> None:
    file = tmp_path / "flow.json"
    file.write_text(json.dumps(json.loads(reworded(("good day", "good evening")))["flow"]))

    async def story(here: House) -> None:
        result = await run(here, file)
        assert result.exit_code == 0, result.output
        second = await here.carrier.call("+15005550002", caller=orders_by_keys)
        version, said = await version_and_words(here, second.sid)
        assert version == 2
        assert "good evening" in said

    visit(tmp_path, story)


def test_a_broken_draft_is_refused_in_words_and_the_calls_go_on_as_before(tmp_path: Path) -> None:
    file = tmp_path / "orders.yaml"
    broken = json.loads(reworded(('"to":"which"', '"to":"witch"'), ('"check_item_stock"', '"item_stocks"')))
    file.write_text(yaml.safe_dump(broken))

    async def story(here: House) -> None:
        result = await run(here, file)
        assert result.exit_code == 1
        assert "✗ node 'topic': an edge leads to 'witch', which doesn't exist" in result.stdout
        assert "✗ there is no tool 'item_stocks'\n    choose of end_call, " in result.stdout
        assert result.stderr == "Not published.\n"
        call = await here.carrier.call("+15005550002", caller=orders_by_keys)
        version, _ = await version_and_words(here, call.sid)
        assert version == 1

    visit(tmp_path, story)


WORDS = """
hours:
  - {day: sat, opens: 09:00, closes: 17:00}
temperature: 0.5
transfer_number: null
listening: {interruptions: no}
flow:
  start: start
  variables:
    - {name: sure, kind: choice, choices: [{value: yes, says: [yes, on, 1_000]}]}
  nodes:
    - {id: start, type: start, say: 2026-11-27, edges: [{to: end}]}
    - {id: end, type: end, say: No}
"""


def test_yaml_is_taken_at_its_word_and_what_can_not_be_read_is_said(tmp_path: Path) -> None:
    def write(name: str, text: str) -> Path:
        file = tmp_path / name
        file.write_text(text)
        return file

    async def story(here: House) -> None:
        result = await run(here, write("words.yaml", WORDS))
        assert result.exit_code == 0, result.output
        async with httpx2.AsyncClient(headers={"Authorization": "Bearer owner"}) as http:
            version = (await http.get(f"{here.url}/api/v1/agents/{ORDERS}/versions/2")).json()
        assert version["hours"] == [{"day": "sat", "opens": "09:00", "closes": "17:00"}]
        assert (version["temperature"], version["transfer_number"]) == (0.5, None)
        assert version["listening"]["interruptions"] is False
        [variable] = version["flow"]["variables"]
        assert variable["choices"] == [{"value": "yes", "says": ["yes", "on", "1_000"]}]
        assert [node["say"] for node in version["flow"]["nodes"]] == ["2026-11-27", "No"]

        misspelt = await run(here, write("misspelt.yaml", WORDS.replace("say: No", "sai: No")))
        assert misspelt.exit_code == 1
        assert "✗ node 'end': flow.nodes.1.end.sai: Extra inputs are not permitted" in misspelt.stdout
        for name, text in {"x.yaml": "a: [", "x.json": "{", "x.yml": "\x00"}.items():
            unreadable = await run(here, write(name, text))
            assert (unreadable.exit_code, unreadable.stdout) == (2, "")
            assert unreadable.stderr.startswith(f"{tmp_path / name} is not {'JSON' if name == 'x.json' else 'YAML'}: ")
        assert (await run(here, tmp_path / "nothing.yaml")).exit_code == 2

        words = tmp_path / "words.yaml"
        nobody = await run(here, words, agent="agt_nobody")
        assert (nobody.exit_code, nobody.stderr) == (1, "Not published: There is no agent 'agt_nobody'.\n")
        stranger = await run(here, words, key="another")
        assert (stranger.exit_code, stranger.stdout) == (1, "")
        assert "OFFHOOK_OWNER_KEY" in stranger.stderr
        elsewhere = await run(here, words, "--server", "http://127.0.0.1:9")
        assert elsewhere.exit_code == 1
        assert "make run" in elsewhere.stderr

    visit(tmp_path, story)
