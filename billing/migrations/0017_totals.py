from pathlib import Path

from django.db import migrations, models

SQL = Path(__file__).resolve().parent.parent / "sql"

# In the transaction that makes the triggers: nothing is written to the sums by day in between.
FILL = """
INSERT INTO billing_usagetotal (
    day, by, name, requests, errors, prompt_tokens, completion_tokens, charge, cost, write_off
)
SELECT day, part.by, part.name, sum(requests), sum(errors), sum(prompt_tokens), sum(completion_tokens), sum(charge),
    sum(cost), sum(write_off)
FROM billing_usageday CROSS JOIN LATERAL (VALUES
    ('organization', organization_id::text), ('model', model), ('provider', provider)
) AS part(by, name)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0016_by_hand")]

    operations = [
        migrations.CreateModel(
            name="UsageTotal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField(help_text="UTC.")),
                (
                    "by",
                    models.CharField(
                        choices=[("organization", "Organization"), ("model", "Model"), ("provider", "Provider")],
                        max_length=16,
                    ),
                ),
                ("name", models.CharField(help_text="Id of the organization, or slug.", max_length=200)),
                ("requests", models.BigIntegerField()),
                ("errors", models.BigIntegerField()),
                ("prompt_tokens", models.BigIntegerField()),
                ("completion_tokens", models.BigIntegerField()),
                ("charge", models.BigIntegerField(help_text="nano-USD, as the next two.")),
                ("cost", models.BigIntegerField()),
                ("write_off", models.BigIntegerField()),
            ],
        ),
        migrations.AddConstraint(
            "usagetotal",
            models.UniqueConstraint(fields=["by", "day", "name"], name="billing_usage_total_once"),
        ),
        migrations.RunSQL((SQL / "totals.sql").read_text()),
        migrations.RunSQL(FILL),
        # The totals by model have taken its place.
        migrations.RemoveIndex("usageday", "billing_usage_day_model"),
    ]
