from pathlib import Path

from django.db import migrations, models

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("billing", "0014_model_days")]

    operations = [
        migrations.AddField(
            model_name="hold",
            name="cost",
            field=models.BigIntegerField(
                help_text="What providers ask for it so far, as last noted; nano-USD.", null=True
            ),
        ),
        migrations.RunSQL((SQL / "till.sql").read_text()),
    ]
