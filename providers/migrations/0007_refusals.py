from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("providers", "0006_price_kinds")]

    operations = [
        migrations.AddField("provider", "refused_mark", models.CharField(blank=True, default="", editable=False, max_length=32)),
        migrations.AddField("provider", "refused_at", models.DateTimeField(blank=True, editable=False, null=True)),
    ]
