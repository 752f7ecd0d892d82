from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0018_ledger_lists")]

    operations = [
        # What an organization was given is summed up from the index, not from its rows.
        migrations.AddIndex(
            "ledgertransaction",
            models.Index(
                fields=["organization", "kind", "-id"],
                name="billing_transaction_of_both",
                condition=~models.Q(kind="usage"),
            ),
        ),
        migrations.RemoveIndex("ledgertransaction", "billing_transaction_hand_org"),
    ]
