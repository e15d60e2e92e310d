"""Who wants no messages."""

from typing import Literal

from domain.outbox import opt_out_id
from domain.ports import Ports
from schemas.message_template import Channel
from schemas.opt_out import OptOut


async def opt_out(
    ports: Ports,
    organisation: str | None,
    channel: Channel,
    address: str,
    source: Literal["reply", "link", "provider", "api"],
) -> OptOut:
    """From now on this address gets nothing of the organisation's; None for the number that several share. Once more
    changes nothing. `address` is as `domain.outbox.address_of` gives it."""
    path = path_of(organisation, opt_out_id(channel, address))
    if known := await ports.documents.get(path):
        return OptOut.model_validate(known)
    made = OptOut(
        id=opt_out_id(channel, address),
        channel=channel,
        address=address,
        source=source,
        created_at=ports.clock.now(),
    )
    await ports.documents.put(path, made.model_dump(mode="json"))
    return made


async def opt_in(ports: Ports, organisation: str | None, channel: Channel, address: str) -> None:
    """It gets messages again. Nothing happens if it did."""
    await ports.documents.delete(path_of(organisation, opt_out_id(channel, address)))


def path_of(organisation: str | None, id: str) -> str:
    """Where it is kept."""
    return f"organisations/{organisation}/optouts/{id}" if organisation else f"optouts/{id}"
