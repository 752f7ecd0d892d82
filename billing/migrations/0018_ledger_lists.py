from django.db import migrations, models

BY_HAND = ~models.Q(kind="usage")


class Migration(migrations.Migration):
    dependencies = [("billing", "0017_totals")]

    operations = [
        migrations.AddIndex(
            "ledgertransaction",
            models.Index(fields=["kind", "-id"], name="billing_transaction_of_kind", condition=BY_HAND),
        ),
        migrations.AddIndex(
            "ledgertransaction",
            models.Index(fields=["organization", "-id"], name="billing_transaction_hand_org", condition=BY_HAND),
        ),
    ]
