"""The carrier's own signature, held against Twilio's validator."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from offhook.carrier.signature import sign

TOKEN = "a-token"


def test_it_signs_twilio_s_own_example() -> None:
    """From Twilio's "Webhooks security" page."""
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    signature = sign("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", form)
    assert signature == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_twilio_s_validator_accepts_any_form(form: dict[str, str]) -> None:
    url = "http://127.0.0.1:8080/twilio/voice"
    assert RequestValidator(TOKEN).validate(url, form, sign(TOKEN, url, form))


@pytest.mark.parametrize("url", ["ws://127.0.0.1:8080/twilio-stream", "wss://example.com:443/twilio-stream"])
def test_twilio_s_validator_accepts_a_handshake(url: str) -> None:
    assert RequestValidator(TOKEN).validate(url, {}, sign(TOKEN, url))


def test_another_token_another_form_or_another_address_is_refused() -> None:
    url = "https://example.com/twilio/voice"
    validator = RequestValidator(TOKEN)
    assert not validator.validate(url, {"To": "+1"}, sign("another", url, {"To": "+1"}))
    assert not validator.validate(url, {"To": "+2"}, sign(TOKEN, url, {"To": "+1"}))
    assert not validator.validate(url + "/", {"To": "+1"}, sign(TOKEN, url, {"To": "+1"}))
