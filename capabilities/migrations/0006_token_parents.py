from __future__ import annotations

from typing import Any

import django.db.models.deletion
from django.db import migrations, models


def find_parents(apps: Any, schema_editor: Any) -> None:
    """Say of every token with a chain on which one of this site it rests."""
    rows = apps.get_model("capabilities", "Token").objects.using(schema_editor.connection.alias)
    for row in rows.iterator(chunk_size=500):
        chain = (row.document.get("dms") or {}).get("chain")
        if not chain:
            continue
        link = chain["dms"]
        named = {"issuer": link["iss"]["uri"], "subject": link["sub"]["uri"], "nonce": link["nonce"]}
        parent = rows.filter(**named).values_list("pk", flat=True).first()
        if parent is not None:
            rows.filter(pk=row.pk).update(parent_id=parent)


class Migration(migrations.Migration):
    dependencies = [("capabilities", "0005_grants_warned")]

    operations = [
        migrations.AddField(
            model_name="token",
            name="parent",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                help_text="The token issued here that it rests on.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="children",
                to="capabilities.token",
            ),
        ),
        migrations.RunPython(find_parents, migrations.RunPython.noop),
    ]
