from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial"), ("accounts", "0002_notify")]

    operations = [
        migrations.RunSQL((SQL / "generation.sql").read_text()),
        migrations.RunSQL((SQL / "till.sql").read_text()),
        migrations.RunSQL((SQL / "ledger.sql").read_text()),
        migrations.RunSQL("SELECT generation_partitions(2)"),
    ]
