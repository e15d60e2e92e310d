"""Secrets in a dict, for stories in virtual time."""

from collections.abc import Sequence

from domain.secret import check_secret


class MemorySecrets:
    """See `domain.ports.Secrets`."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    async def get(self, organisation: str, name: str) -> str | None:
        check_secret(name)
        return self.kept.get((organisation, name))

    async def put(self, organisation: str, name: str, value: str) -> None:
        check_secret(name, value)
        self.kept[organisation, name] = value

    async def forget(self, organisation: str, name: str) -> None:
        check_secret(name)
        self.kept.pop((organisation, name), None)

    async def names(self, organisation: str) -> Sequence[str]:
        return sorted(name for owner, name in self.kept if owner == organisation)
