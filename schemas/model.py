"""The base of everything that is stored or crosses a wire."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Immutable, and strict about fields it does not know: a misspelt one is an error, not silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")
