"""A migration's step that puts the long columns of a table last.

SQLite keeps a long row in a chain of pages and walks it up to the column it wants. Where documents come last, a look
at a row's state or name reads one page, and a scan of ten thousand rows takes a tenth of the time. PostgreSQL keeps
long values elsewhere and needs none of it.
"""

from __future__ import annotations

from typing import Any

from django.db.migrations.operations.base import Operation


class ColumnsLast(Operation):
    """Put `columns` of a model behind its others. The state knows the order, so that later changes keep it."""

    reversible = True
    reduces_to_sql = False

    def __init__(self, model_name: str, columns: tuple[str, ...]) -> None:
        self.model_name = model_name
        self.columns = columns

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Change the order of the fields."""
        model = state.models[app_label, self.model_name.lower()]
        others = {name: field for name, field in model.fields.items() if name not in self.columns}
        model.fields = others | {name: model.fields[name] for name in self.columns}
        state.reload_model(app_label, self.model_name.lower())

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Write the table anew, as the change of a column does."""
        model = to_state.apps.get_model(app_label, self.model_name)
        if schema_editor.connection.vendor == "sqlite" and self.allow_migrate_model(
            schema_editor.connection.alias, model
        ):
            schema_editor._remake_table(model)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Leave the order: no other step depends on it."""

    def describe(self) -> str:
        """Say what it does."""
        return f"Put {', '.join(self.columns)} of {self.model_name} last"
