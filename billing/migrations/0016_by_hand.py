from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0015_hold_cost")]

    operations = [
        migrations.AddIndex(
            "ledgertransaction",
            models.Index(fields=["-id"], name="billing_transaction_by_hand", condition=~models.Q(kind="usage")),
        ),
    ]
