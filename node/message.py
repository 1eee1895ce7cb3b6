"""The base of every behavior's request and response: pydantic models that speak the reference's JSON.

The reference mixes Go capitals and snake case. A model emits exactly the alias it declares and accepts any
spelling of it that differs only in case and underscores (`EnsembleID`, `ensemble_id`, `ensembleid`).
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


class Message(BaseModel):
    """A request or response of a behavior. Unknown members are refused with their name."""

    model_config = ConfigDict(populate_by_name=True, extra="forbid", validate_default=False)

    @model_validator(mode="before")
    @classmethod
    def _accept_spellings(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        known: dict[str, str] = {}
        for name, field in cls.model_fields.items():
            target = field.alias or name
            known[_folded(name)] = target
            known[_folded(target)] = target
        return {known.get(_folded(str(key)), key): value for key, value in data.items()}

    def wire(self) -> dict[str, Any]:
        """Return the JSON object that goes over the wire, under the reference's names."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Empty(Message):
    """A request without members."""
