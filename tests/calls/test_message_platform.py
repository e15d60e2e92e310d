"""The whole platform with Twilio's REST API and a mail server, by settings alone."""

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx2

from offhook.seed import ORGANISATION
from tests.fakes.house import house
from tests.fakes.mail_server import MailServer
from tests.fakes.twilio_server import ACCOUNT, TOKEN, TwilioServer


def test_messages_go_out_and_what_becomes_of_them_comes_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with TwilioServer() as twilio, MailServer(tmp_path, "off") as mail:
            by_settings = {
                "messages": "twilio", "twilio_endpoint": twilio.endpoint, "twilio_account_sid": ACCOUNT,
                "twilio_auth_token": TOKEN, "sms_from": "+15005550006", "mail": "smtp", "smtp_url": mail.url,
                "mail_from": "Offhook <desk@willow.example>",
            }  # fmt: skip
            async with (
                house(tmp_path / "home", **by_settings) as here,
                httpx2.AsyncClient(
                    base_url=here.url, headers={"Authorization": "Bearer owner"}, timeout=30, trust_env=False
                ) as http,
            ):

                async def send(**wanted: Any) -> str:
                    answer = await http.post("/api/v1/messages", json=wanted)
                    assert answer.status_code == 202, answer.text
                    return str(answer.json()["id"])

                async def until(id: str, state: str) -> None:
                    async with asyncio.timeout(30):
                        while (await http.get(f"/api/v1/messages/{id}")).json()["state"] != state:
                            await asyncio.sleep(0.05)

                text = await send(to="+15005550100", text="Hello.")
                letter = await send(to="ann@example.com", channel="email", subject="Hello", text="Hello.")
                await until(text, "sent")
                await until(letter, "sent")

                [created] = twilio.messages
                told = f"{here.url}/twilio/message-status?organisation={ORGANISATION}&message={text}"
                assert await twilio.tell(told, created["sid"], "delivered") == 204
                await until(text, "delivered")

                [arrived] = mail.mail
                link = re.fullmatch(r"<(http\S+)>", arrived["List-Unsubscribe"])
                assert link
                assert link[1].startswith(f"{here.url}/m/unsubscribe?")
                done = await http.post(link[1], data={"List-Unsubscribe": "One-Click"})
                assert done.status_code == 200
                await until(
                    await send(to="Ann@example.com", channel="email", subject="Again", text="Hello."), "suppressed"
                )

    asyncio.run(story())
