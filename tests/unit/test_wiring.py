"""Settings from the environment."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.wiring import BadSettings, open_ports, read_settings
from domain.fallback import FallbackBrain
from domain.ports import Unavailable

ROOT = Path(__file__).parent.parent.parent


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


def test_a_gemini_key_brings_the_ears_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ears(**environment: str) -> tuple[str, ...]:
        return settings(tmp_path, GEMINI_API_KEY="k", **environment).adapters("speech")  # type: ignore[no-any-return]

    assert settings(tmp_path).adapters("speech") == ("pocketsphinx",)
    assert ears() == ("gemini", "pocketsphinx")
    assert ears(OFFHOOK_SPEECH="pocketsphinx") == ("pocketsphinx",)
    assert ears(OFFHOOK_SPEECH="gemini") == ("gemini",)
    assert ears(OFFHOOK_SPEECH_NEXT="google", GOOGLE_CLOUD_PROJECT="p") == ("gemini", "google")
    assert ears(**PRODUCTION) == ("google",)
    monkeypatch.setattr("adapters.wiring.find_spec", lambda package: None)
    assert ears() == ("gemini",)


def test_the_stand_ins_pace_is_settable(tmp_path: Path) -> None:
    assert settings(tmp_path, OFFHOOK_PACED='{"first_word_ms": 500}').paced.first_word_ms == 500
    with pytest.raises(BadSettings, match="first_wrd_ms"):
        settings(tmp_path, OFFHOOK_PACED='{"first_wrd_ms": 500}')


def test_every_provider_is_opened_in_its_order(tmp_path: Path) -> None:
    given = settings(tmp_path, OFFHOOK_SPEECH="paced", OFFHOOK_VOICE="paced", OFFHOOK_BRAIN_NEXT=" paced,offline,")

    async def story() -> tuple[list[str], str]:
        async with open_ports(given) as ports:
            assert isinstance(ports.brain, FallbackBrain)
            return [provider.name for provider in ports.brain.providers], ports.adapters["brain"]

    assert asyncio.run(story()) == (["offline", "paced"], "offline, paced")


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
        ({"OFFHOOK_VOICE_NEXT": "paced, psychic"}, "OFFHOOK_VOICE_NEXT"),
        ({"OFFHOOK_SPEECH_NEXT": "google"}, "OFFHOOK_SPEECH_NEXT=google needs GOOGLE_CLOUD_PROJECT"),
        ({"OFFHOOK_BRAIN_NEXT": "gemini"}, "OFFHOOK_BRAIN_NEXT=gemini needs GEMINI_API_KEY"),
        ({"OFFHOOK_BRAIN": "gemini"}, "GEMINI_API_KEY"),
        ({"OFFHOOK_BRAIN": "gemini", "GOOGLE_GENAI_USE_VERTEXAI": "true"}, "GOOGLE_CLOUD_PROJECT"),
        ({"OFFHOOK_DOCUMENTS": "firestore"}, "OFFHOOK_DOCUMENTS=firestore needs GOOGLE_CLOUD_PROJECT"),
        ({"OFFHOOK_BUS": "pubsub"}, "OFFHOOK_BUS=pubsub needs GOOGLE_CLOUD_PROJECT"),
        ({"OFFHOOK_BLOBS": "cloud_storage"}, "OFFHOOK_BLOBS=cloud_storage needs GOOGLE_CLOUD_PROJECT"),
        ({"OFFHOOK_KNOWLEDGE": "firestore", "GEMINI_API_KEY": "k"}, "KNOWLEDGE=firestore needs GOOGLE_CLOUD_PROJECT"),
        ({"OFFHOOK_KNOWLEDGE": "firestore"}, "OFFHOOK_KNOWLEDGE=firestore needs GEMINI_API_KEY"),
        ({"OFFHOOK_SPEECH": "google"}, "OFFHOOK_SPEECH=google needs GOOGLE_CLOUD_PROJECT"),
        ({"OFFHOOK_QUEUE": "cloud_tasks"}, "OFFHOOK_TASKS_QUEUE"),
        ({"FIRESTORE_EMULATOR_HOST": "here"}, "FIRESTORE_EMULATOR_HOST"),
        ({"OFFHOOK_VOICE_ENDPOINT": "127.0.0.1:9"}, "OFFHOOK_VOICE_ENDPOINT"),
        ({"OFFHOOK_SECRETS": "secret_manager"}, "OFFHOOK_SECRETS=secret_manager needs GOOGLE_CLOUD_PROJECT"),
        ({"OFFHOOK_EGRESS_ALLOW": "http://127.0.0.1:9"}, "OFFHOOK_EGRESS_ALLOW"),
        ({"OFFHOOK_EGRESS_PORTS": "8443,x"}, "OFFHOOK_EGRESS_PORTS"),
        ({"OFFHOOK_ENVIRONMENT": "prodution"}, "OFFHOOK_ENVIRONMENT"),
        ({"PORT": "99999"}, "PORT"),
        ({"OFFHOOK_MESSAGES": "pigeon"}, "OFFHOOK_MESSAGES"),
        ({"OFFHOOK_SMS_FROM": "Willow"}, "OFFHOOK_SMS_FROM"),
        ({"OFFHOOK_MAIL": "smtp", "OFFHOOK_MAIL_FROM": "a@b.example"}, "needs OFFHOOK_SMTP_URL"),
        ({"OFFHOOK_SMTP_URL": "mail.example.com:587", "OFFHOOK_MAIL_FROM": "a@b.example"}, "needs OFFHOOK_SMTP_URL"),
        ({"OFFHOOK_SMTP_URL": "smtp://mail.example.com"}, "needs OFFHOOK_MAIL_FROM"),
        ({"OFFHOOK_TWILIO_ENDPOINT": "twilio"}, "OFFHOOK_TWILIO_ENDPOINT"),
        ({"OFFHOOK_PACED": "{bad"}, "OFFHOOK_PACED"),
        ({"PUBLIC_URL": "phone.example.com"}, "PUBLIC_URL"),
        ({"OFFHOOK_ENVIRONMENT": "production"}, "OFFHOOK_TICKET_SECRET"),
        ({"OFFHOOK_HOME": "/dev/null/x"}, "OFFHOOK_HOME"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, environment: dict[str, str], says: str) -> None:
    with pytest.raises(BadSettings, match=says):
        settings(tmp_path, **environment)


PRODUCTION = {
    "OFFHOOK_ENVIRONMENT": "production",
    "OFFHOOK_TICKET_SECRET": "0123456789abcdef0123456789abcdef",
    "OFFHOOK_OWNER_KEY": "an-owner-s-key-of-32-characters.",
    "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
    "TWILIO_AUTH_TOKEN": "5ec7e7" + "0" * 26,
    "PUBLIC_URL": "https://phone.example.com",
    "GOOGLE_CLOUD_PROJECT": "willow",
    "OFFHOOK_TASKS_QUEUE": "projects/willow/locations/europe-west1/queues/later",
    "OFFHOOK_TASKS_ACCOUNT": "tasks@willow.iam.gserviceaccount.com",
}
"""All that it needs."""


def test_production_uses_google_s_services_unless_told_otherwise(tmp_path: Path) -> None:
    given = settings(tmp_path, **PRODUCTION)
    assert given.production
    assert (given.documents, given.bus, given.queue) == ("firestore", "pubsub", "cloud_tasks")
    assert (given.speech, given.brain, given.voice) == ("google", "gemini", "google")
    assert (given.knowledge, given.blobs) == ("firestore", "cloud_storage")
    assert given.vertex
    assert not settings(tmp_path, **PRODUCTION, GEMINI_API_KEY="k").vertex
    assert settings(tmp_path, **PRODUCTION, OFFHOOK_VOICE="espeak").voice == "espeak"


def test_ways_out_are_listed_with_commas(tmp_path: Path) -> None:
    given = settings(tmp_path, OFFHOOK_EGRESS_ALLOW="127.0.0.1:9000, [::1]:9001", OFFHOOK_EGRESS_PORTS="8443, 9443")
    assert given.egress_allow == ("127.0.0.1:9000", "[::1]:9001")
    assert given.egress_ports == (8443, 9443)


MAIL = {
    "OFFHOOK_SMTP_URL": "smtp://desk:p%40ss@mail.example.com:587",
    "OFFHOOK_MAIL_FROM": "Willow <desk@willow.example>",
}


def test_messages_stay_on_paper_until_somebody_can_send_them(tmp_path: Path) -> None:
    here = settings(tmp_path)
    assert (here.messages, here.mail, here.shared_sms_sender) == ("paper", "paper", "+15005550006")
    assert settings(tmp_path, TWILIO_ACCOUNT_SID="AC1", TWILIO_AUTH_TOKEN="real").messages == "paper"
    assert settings(tmp_path, **MAIL).mail == "smtp"
    assert settings(tmp_path, **MAIL, OFFHOOK_MAIL="paper").mail == "paper"
    there = settings(tmp_path, **PRODUCTION)
    assert (there.messages, there.mail, there.shared_sms_sender) == ("twilio", "off", "")
    assert settings(tmp_path, **PRODUCTION, **MAIL).mail == "smtp"
    assert "p%40ss" not in repr(settings(tmp_path, **MAIL))


def test_each_channel_that_is_on_is_opened(tmp_path: Path) -> None:
    async def opened(**environment: str) -> dict[str, str]:
        silent = {"OFFHOOK_SPEECH": "paced", "OFFHOOK_VOICE": "paced"}
        async with open_ports(settings(tmp_path, **silent, **environment)) as ports:
            return {channel: type(adapter).__name__ for channel, adapter in ports.messages.items()}

    assert asyncio.run(opened()) == {"sms": "PaperMessages", "email": "PaperMessages"}
    real = asyncio.run(opened(**MAIL, OFFHOOK_MESSAGES="twilio"))
    assert real == {"sms": "TwilioMessages", "email": "SmtpMail"}
    assert asyncio.run(opened(OFFHOOK_MESSAGES="off", OFFHOOK_MAIL="off")) == {}


def test_a_project_alone_changes_nothing_in_development(tmp_path: Path) -> None:
    here = settings(tmp_path, GOOGLE_CLOUD_PROJECT="willow")
    assert (here.documents, here.speech, here.brain) == ("sqlite", "pocketsphinx", "offline")
    assert settings(tmp_path, GOOGLE_CLOUD_PROJECT="willow", OFFHOOK_BRAIN="gemini").vertex


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"GOOGLE_CLOUD_PROJECT": ""}, "production needs GOOGLE_CLOUD_PROJECT: set it"),
        ({"TWILIO_AUTH_TOKEN": ""}, "the real TWILIO_AUTH_TOKEN"),
        ({"TWILIO_AUTH_TOKEN": "offhook-development-token"}, "the real TWILIO_AUTH_TOKEN"),
        ({"TWILIO_ACCOUNT_SID": ""}, "the real TWILIO_ACCOUNT_SID"),
        ({"TWILIO_AUTH_TOKEN": "x"}, "TWILIO_AUTH_TOKEN is none of Twilio's"),
        ({"TWILIO_AUTH_TOKEN": "z" * 32}, "TWILIO_AUTH_TOKEN is none of Twilio's"),
        ({"TWILIO_AUTH_TOKEN": "a" * 33}, "TWILIO_AUTH_TOKEN is none of Twilio's"),
        ({"OFFHOOK_TICKET_SECRET": ""}, "production needs OFFHOOK_TICKET_SECRET: set it"),
        *[
            ({name: secret}, f"production needs a {name} that nobody guesses")
            for name in ("OFFHOOK_TICKET_SECRET", "OFFHOOK_OWNER_KEY")
            for secret in ("x", " " * 40, f"  {PRODUCTION[name][:31]}\n", "t" * 64, "ab" * 32)
        ],
        ({"PUBLIC_URL": "http://phone.example.com"}, "PUBLIC_URL, an https:// address"),
        ({"MEDIA_URL": "ws://media.example.com"}, "MEDIA_URL to be an https:// or wss:// address"),
        ({"TASKS_URL": "http://tasks.example.com"}, "TASKS_URL to be an https:// address"),
        ({"FIRESTORE_EMULATOR_HOST": "127.0.0.1:8080"}, "unset FIRESTORE_EMULATOR_HOST"),
        ({"PUBSUB_EMULATOR_HOST": "127.0.0.1:8085"}, "unset PUBSUB_EMULATOR_HOST"),
        ({"OFFHOOK_SPEECH_ENDPOINT": "http://127.0.0.1:9"}, "unset OFFHOOK_SPEECH_ENDPOINT"),
        ({"OFFHOOK_GEMINI_ENDPOINT": "http://127.0.0.1:9"}, "unset OFFHOOK_GEMINI_ENDPOINT"),
        ({"OFFHOOK_CERTIFICATES_URL": "https://elsewhere.example.com"}, "unset OFFHOOK_CERTIFICATES_URL"),
        ({"OFFHOOK_DOCUMENTS": "sqlite"}, "set OFFHOOK_DOCUMENTS to firestore"),
        ({"OFFHOOK_BUS": "sqlite"}, "set OFFHOOK_BUS to pubsub"),
        ({"OFFHOOK_QUEUE": "sqlite"}, "set OFFHOOK_QUEUE to cloud_tasks"),
        ({"OFFHOOK_EGRESS_ALLOW": "127.0.0.1:9000"}, "unset OFFHOOK_EGRESS_ALLOW"),
        ({"OFFHOOK_SECRETS": "local"}, "set OFFHOOK_SECRETS to secret_manager"),
        ({"OFFHOOK_SECRETS_ENDPOINT": "http://127.0.0.1:9"}, "unset OFFHOOK_SECRETS_ENDPOINT"),
        ({"OFFHOOK_MESSAGES": "paper"}, "set OFFHOOK_MESSAGES to twilio or off"),
        ({"OFFHOOK_MAIL": "paper"}, "set OFFHOOK_MAIL to smtp or off"),
        ({"OFFHOOK_TWILIO_ENDPOINT": "http://127.0.0.1:9"}, "unset OFFHOOK_TWILIO_ENDPOINT"),
        (
            {"OFFHOOK_SMTP_URL": "smtp://mail.example.com/?starttls=off", "OFFHOOK_MAIL_FROM": "a@b.example"},
            "take .starttls=off from OFFHOOK_SMTP_URL",
        ),
        ({"OFFHOOK_KNOWLEDGE": "sqlite"}, "set OFFHOOK_KNOWLEDGE to firestore"),
        ({"OFFHOOK_BLOBS": "files"}, "set OFFHOOK_BLOBS to cloud_storage"),
        ({"OFFHOOK_STORAGE_ENDPOINT": "http://127.0.0.1:9"}, "unset OFFHOOK_STORAGE_ENDPOINT"),
        ({"OFFHOOK_SPEECH": "paced"}, "set OFFHOOK_SPEECH to another than paced"),
        ({"OFFHOOK_TASKS_QUEUE": "later"}, "needs OFFHOOK_TASKS_QUEUE: set it"),
        ({"OFFHOOK_TASKS_QUEUE": "projects/willow/locations/europe-west1/queues/a_b"}, "needs OFFHOOK_TASKS_QUEUE"),
        ({"OFFHOOK_TASKS_ACCOUNT": "tasks"}, "needs OFFHOOK_TASKS_ACCOUNT: set it"),
        ({"OFFHOOK_TASKS_ACCOUNT": "somebody@example.com"}, "needs OFFHOOK_TASKS_ACCOUNT: set it"),
        (
            {"GOOGLE_CLOUD_PROJECT": "Willow Dental"},
            "GOOGLE_CLOUD_PROJECT is 'Willow Dental', which is no project's id",
        ),
        ({"OFFHOOK_FIRESTORE_DATABASE": "Main"}, "OFFHOOK_FIRESTORE_DATABASE is 'Main'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_production_refuses_what_belongs_to_development(tmp_path: Path, changes: dict[str, str], says: str) -> None:
    with pytest.raises(BadSettings, match=says) as problem:
        settings(tmp_path, **{**PRODUCTION, **changes})
    assert ";" not in str(problem.value)


@pytest.mark.parametrize("name", ["OFFHOOK_TICKET_SECRET", "OFFHOOK_OWNER_KEY", "TWILIO_AUTH_TOKEN"])
def test_a_secret_that_is_refused_is_not_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadSettings) as problem:
        settings(tmp_path, **{**PRODUCTION, name: "hunter2"})
    assert "hunter2" not in str(problem.value)


def test_an_encrypted_endpoint_elsewhere_is_good_for_production(tmp_path: Path) -> None:
    settings(tmp_path, **PRODUCTION, OFFHOOK_VOICE_ENDPOINT="https://eu-texttospeech.googleapis.com")


def test_a_secret_s_name_is_replaced_by_the_secret(tmp_path: Path) -> None:
    def reveal(given: Mapping[str, str]) -> dict[str, str]:
        return {name: value.replace("sm://projects/p/secrets/twilio", "revealed") for name, value in given.items()}

    environment = {"OFFHOOK_HOME": str(tmp_path), "TWILIO_AUTH_TOKEN": "sm://projects/p/secrets/twilio"}
    assert read_settings(environment, reveal).twilio_auth_token == "revealed"


def test_a_secret_that_can_t_be_had_is_a_bad_setting(tmp_path: Path) -> None:
    def reveal(given: Mapping[str, str]) -> dict[str, str]:
        raise Unavailable("TWILIO_AUTH_TOKEN: Google Secret Manager could not be reached")

    with pytest.raises(BadSettings, match="TWILIO_AUTH_TOKEN: Google Secret Manager could not be reached"):
        read_settings({"OFFHOOK_HOME": str(tmp_path)}, reveal)
    with pytest.raises(BadSettings, match="TWILIO_AUTH_TOKEN: a secret is named sm://"):
        settings(tmp_path, TWILIO_AUTH_TOKEN="sm://twilio")


def test_embedded_adapters_need_nothing_of_google_s(tmp_path: Path) -> None:
    """Which would take a second at every start, and isn't installed everywhere."""
    program = """
import asyncio, sys
from adapters.wiring import open_ports, read_settings

async def start():
    async with open_ports(read_settings()):
        print([name for name in sys.modules if name.startswith(("google.a", "google.g", "grpc"))])

asyncio.run(start())
"""
    environment = {"OFFHOOK_HOME": str(tmp_path), "OFFHOOK_SPEECH": "paced", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    program = """
import asyncio, sys
sys.modules["google.cloud.texttospeech"] = None
from adapters.wiring import BadSettings, open_port, read_settings

async def start():
    try:
        async with open_port(read_settings(), "voice"):
            pass
    except BadSettings as problem:
        print(problem)

asyncio.run(start())
"""
    environment = {"OFFHOOK_HOME": str(tmp_path), "OFFHOOK_VOICE": "google", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "OFFHOOK_VOICE=google needs the `google` extra: pip install 'offhook[google]'"
