from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0019_given")]

    operations = [
        migrations.CreateModel(
            name="UsageApp",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("hour", models.DateTimeField(db_index=True)),
                ("organization_id", models.UUIDField()),
                (
                    "app",
                    models.CharField(help_text="Title or address; empty if a request said neither.", max_length=500),
                ),
                ("requests", models.BigIntegerField()),
                ("errors", models.BigIntegerField()),
                ("prompt_tokens", models.BigIntegerField()),
                ("completion_tokens", models.BigIntegerField()),
                ("charge", models.BigIntegerField(help_text="nano-USD.")),
            ],
        ),
        migrations.AddIndex(
            "usageapp", models.Index(fields=["organization_id", "hour"], name="billing_usage_app_of_org")
        ),
        migrations.AddField(
            "usagemark",
            "apps_since",
            models.DateTimeField(null=True, help_text="From here on every hour has its sums by application."),
        ),
    ]
