from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("billing", "0022_labels")]

    operations = [
        migrations.RunSQL((SQL / "posting.sql").read_text()),
        migrations.RunSQL((SQL / "till.sql").read_text()),
    ]
