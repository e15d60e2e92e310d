"""Messages that reach nobody: kept, so that one can look at what would have been sent."""

from dataclasses import asdict

from domain.ports import Clock, Documents, Outgoing


class PaperMessages:
    """See `domain.ports.Messages`. Keeps each at paper/{id}, as it would have gone out."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents, self._clock = documents, clock

    async def send(self, message: Outgoing) -> str:
        """Raises Unavailable."""
        kept = {**asdict(message), "sent_at": self._clock.now().isoformat()}
        await self._documents.put(f"paper/{message.id}", kept)
        return f"paper-{message.id}"
