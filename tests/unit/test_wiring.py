"""Settings from the environment."""

from pathlib import Path
from typing import Any

import pytest

from adapters.wiring import BadSettings, read_settings
from offhook.doctor import examine


def settings(home: Path, **environment: str) -> Any:
    return read_settings({"OFFHOOK_HOME": str(home), **environment})


def test_secrets_are_made_once_and_kept(tmp_path: Path) -> None:
    first = settings(tmp_path)
    assert len(first.owner_key) > 30
    assert settings(tmp_path) == first
    assert (tmp_path / "owner_key").stat().st_mode & 0o077 == 0


def test_a_given_key_is_used_as_it_is(tmp_path: Path) -> None:
    assert settings(tmp_path, OFFHOOK_OWNER_KEY="mine").owner_key == "mine"


def test_secrets_do_not_show(tmp_path: Path) -> None:
    shown = repr(
        settings(tmp_path, OFFHOOK_OWNER_KEY="mine-123", TWILIO_AUTH_TOKEN="token-123", GEMINI_API_KEY="g-123")
    )
    for secret in ("mine-123", "token-123", "g-123"):
        assert secret not in shown


def test_a_gemini_key_brings_the_brain(tmp_path: Path) -> None:
    assert settings(tmp_path).brain == "offline"
    assert settings(tmp_path, GEMINI_API_KEY="k").brain == "gemini"
    assert settings(tmp_path, GEMINI_API_KEY="k", OFFHOOK_BRAIN="offline").brain == "offline"


def test_the_stand_ins_pace_is_settable(tmp_path: Path) -> None:
    assert settings(tmp_path, OFFHOOK_PACED='{"first_word_ms": 500}').paced.first_word_ms == 500
    with pytest.raises(BadSettings, match="first_wrd_ms"):
        settings(tmp_path, OFFHOOK_PACED='{"first_wrd_ms": 500}')


def test_the_media_address_follows_the_public_one(tmp_path: Path) -> None:
    there = settings(tmp_path, PUBLIC_URL="https://phone.example.com/")
    assert there.public_urls == ("https://phone.example.com",)
    assert there.media_urls == ("wss://phone.example.com",)
    apart = settings(tmp_path, PUBLIC_URL="https://phone.example.com", MEDIA_URL="https://media.example.com")
    assert apart.media_urls == ("wss://media.example.com",)
    here = settings(tmp_path, PORT="9000")
    assert here.public_urls == ("http://127.0.0.1:9000", "http://localhost:9000")
    assert here.media_urls == ("ws://127.0.0.1:9000", "ws://localhost:9000")


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"PORT": "eighty"}, "PORT"),
        ({"OFFHOOK_SPEECH": "psychic"}, "OFFHOOK_SPEECH"),
        ({"OFFHOOK_BRAIN": "gemini"}, "GEMINI_API_KEY"),
        ({"OFFHOOK_ENVIRONMENT": "prodution"}, "OFFHOOK_ENVIRONMENT"),
        ({"PORT": "99999"}, "PORT"),
        ({"OFFHOOK_PACED": "{bad"}, "OFFHOOK_PACED"),
        ({"PUBLIC_URL": "phone.example.com"}, "PUBLIC_URL"),
        ({"OFFHOOK_ENVIRONMENT": "production"}, "OFFHOOK_TICKET_SECRET"),
        ({**{"OFFHOOK_ENVIRONMENT": "production", "OFFHOOK_TICKET_SECRET": "t" * 32, "OFFHOOK_OWNER_KEY": "o"}}, "TWILIO_AUTH_TOKEN"),
        ({"OFFHOOK_HOME": "/dev/null/x"}, "OFFHOOK_HOME"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, environment: dict[str, str], says: str) -> None:
    with pytest.raises(BadSettings, match=says):
        settings(tmp_path, **environment)


def test_production_needs_an_https_address(tmp_path: Path) -> None:
    production = {
        "OFFHOOK_ENVIRONMENT": "production",
        "OFFHOOK_TICKET_SECRET": "t" * 32,
        "OFFHOOK_OWNER_KEY": "o",
        "TWILIO_AUTH_TOKEN": "real",
    }
    with pytest.raises(BadSettings, match="PUBLIC_URL"):
        settings(tmp_path, **production, PUBLIC_URL="http://phone.example.com")
    assert settings(tmp_path, **production, PUBLIC_URL="https://phone.example.com").production


def test_the_doctor_names_what_to_do(tmp_path: Path) -> None:
    findings = {finding.what: finding for finding in examine(settings(tmp_path))}
    assert "TWILIO_AUTH_TOKEN" in findings["carrier"].todo
    assert "PUBLIC_URL" in findings["PUBLIC_URL"].todo
    assert findings["speech"].level == "ok"
    assert findings["GEMINI_API_KEY"].level == "note"
    real = settings(tmp_path, TWILIO_AUTH_TOKEN="real", PUBLIC_URL="https://x.example.com", GEMINI_API_KEY="k")
    assert {finding.what for finding in examine(real) if finding.level == "note"} <= {"PORT"}
