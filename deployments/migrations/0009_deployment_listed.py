from django.db import migrations, models

from capabilities.columns import ColumnsLast


class Migration(migrations.Migration):
    dependencies = [
        ("deployments", "0008_allocation_attempts"),
    ]

    operations = [
        migrations.AlterModelOptions(name="allocation", options={"ordering": ["deployment_id", "level", "id"]}),
        migrations.AlterModelOptions(name="allocationattempt", options={"ordering": ["allocation_id", "number"]}),
        migrations.RemoveIndex(model_name="deployment", name="deployment_of_owner"),
        migrations.RemoveIndex(model_name="deployment", name="deployment_unfinished"),
        ColumnsLast("deployment", ("reasons", "demand", "metadata", "source", "ensemble", "manifest")),
        migrations.AddIndex(
            model_name="allocation",
            index=models.Index(
                fields=["owner", "-created_at", "id", "deployment", "status", "type", "executor"],
                name="allocation_listed",
            ),
        ),
        migrations.AddIndex(
            model_name="deployment",
            index=models.Index(
                fields=[
                    "owner",
                    "-created_at",
                    "id",
                    "delete_wanted",
                    "status",
                    "queued_at",
                    "name",
                    "updated_at",
                    "only_tasks",
                ],
                name="deployment_listed",
            ),
        ),
        migrations.AddIndex(
            model_name="deployment",
            index=models.Index(
                fields=[
                    "status",
                    "-created_at",
                    "id",
                    "owner",
                    "delete_wanted",
                    "queued_at",
                    "name",
                    "updated_at",
                    "only_tasks",
                ],
                name="deployment_in_status",
            ),
        ),
        migrations.AddIndex(
            model_name="deployment",
            index=models.Index(
                condition=models.Q(("delete_wanted", True)), fields=["id"], name="deployment_deleted"
            ),
        ),
        migrations.AddIndex(
            model_name="deploymentevent",
            index=models.Index(fields=["at", "id"], name="deployment_events_newest"),
        ),
    ]
