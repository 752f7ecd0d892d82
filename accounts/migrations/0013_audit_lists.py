from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0012_suspension")]

    operations = [
        migrations.AddIndex("auditevent", models.Index(fields=["verb", "-id"], name="accounts_audit_of_verb")),
        migrations.AddIndex("auditevent", models.Index(fields=["target_type", "-id"], name="accounts_audit_of_type")),
    ]
