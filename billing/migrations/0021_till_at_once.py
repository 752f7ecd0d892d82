from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("billing", "0020_apps")]

    operations = [
        migrations.RunSQL((SQL / "till_singly.sql").read_text()),
        migrations.RunSQL((SQL / "till.sql").read_text()),
    ]
