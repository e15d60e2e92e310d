"""The message that follows a conversation."""

import structlog

from domain.outbox import Unsendable, fill, message_id
from domain.ports import Event, Ports
from functions.messages import outbox
from schemas.agent import AgentVersion
from schemas.conversation import Conversation
from schemas.message_template import MessageTemplate
from schemas.organisation import Organisation

EMAIL = "email"
"""The variable that holds the caller's e-mail address, if the agent asks for one."""

log = structlog.get_logger()


async def follow_up(ports: Ports, event: Event) -> None:
    """Takes `conversation.ended`: sends the caller what the agent that had it last says, with what it collected.
    The same event again sends nothing more."""
    organisation, id = event.body["organisation"], event.body["conversation"]
    root = f"organisations/{organisation}"
    stored = await ports.documents.get(f"{root}/conversations/{id}")
    if stored is None:
        return
    conversation = Conversation.model_validate(stored)
    pinned = {**conversation.team, conversation.agent: conversation.version}
    agent = conversation.held_by or conversation.agent
    path = f"{root}/agents/{agent}/versions/{pinned[agent]}"
    version = AgentVersion.model_validate(await ports.documents.get(path))
    if not version.follow_up:
        return
    try:
        await _schedule(ports, conversation, version)
    except Unsendable as problem:
        log.warning("message_unsendable", organisation=organisation, conversation=id, why=str(problem))


async def _schedule(ports: Ports, conversation: Conversation, version: AgentVersion) -> None:
    """Raises Unsendable."""
    root = f"organisations/{conversation.organisation}"
    stored = await ports.documents.get(f"{root}/templates/{version.follow_up}")
    if stored is None:
        raise Unsendable("template", f"there is no template {version.follow_up!r}")
    template = MessageTemplate.model_validate(stored)
    to = conversation.caller if template.channel == "sms" else str(conversation.variables.get(EMAIL, ""))
    owner = Organisation.model_validate(await ports.documents.get(root))
    now = ports.clock.now()
    message = fill(
        template,
        message_id(owner.id, "follow_up", conversation.id, template.name),
        to,
        conversation.variables,
        {variable.name: variable.kind for variable in version.flow.variables},
        owner,
        now,
        conversation=conversation.id,
    )
    await outbox(ports).schedule(owner.id, message, now)
