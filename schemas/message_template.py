"""What a message says, written once and filled in for each."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from schemas.model import Model

Channel = Literal["sms", "email"]
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=254)]
"""One line: what becomes a header ends there."""
TemplateName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]

MOST_CHARACTERS = 1600
"""Of a text message: no carrier takes a longer one in pieces."""


class MessageTemplate(Model):
    """Stored at organisations/{org}/templates/{name}."""

    name: TemplateName
    channel: Channel
    subject: Line = ""
    """For e-mail, and needed there. `{{name}}` stands for a value in writing, as in `text`."""
    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    """Plain text; of an SMS at most 1600 characters once it is filled in."""
    sender: Line = ""
    """Who it comes from. SMS: one of the organisation's own numbers, E.164; empty for the one that was called, else the
    deployment's. E-mail: the name beside the deployment's address."""
    reply_to: Line = ""
    """For e-mail: where answers go, if not to the deployment's address."""
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] = "en-US"
    """BCP 47: how dates and times are written."""

    @model_validator(mode="after")
    def _fits_its_channel(self) -> "MessageTemplate":
        if self.channel == "email" and not self.subject.strip():
            raise ValueError("an e-mail needs a subject")
        if self.channel == "sms" and (self.subject or self.reply_to):
            raise ValueError("a text message has neither subject nor reply_to")
        if self.channel == "sms" and len(self.text) > MOST_CHARACTERS:
            raise ValueError(f"a text message has at most {MOST_CHARACTERS} characters")
        return self
