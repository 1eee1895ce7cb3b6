from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("capabilities", "0006_token_parents")]

    operations = [
        migrations.AddField(
            model_name="auditentry",
            name="changes",
            field=models.JSONField(
                blank=True,
                default=list,
                help_text="Each row that it changed: before and after, secrets left out.",
            ),
        ),
    ]
