"""Holds and generations name the price row that they used, so a row is never changed or deleted, not even by SQL."""

from django.db import migrations

SQL = """
CREATE FUNCTION refuse_price_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'prices are only ever appended' USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER refuse_price_change BEFORE UPDATE OR DELETE ON providers_price
    FOR EACH ROW EXECUTE FUNCTION refuse_price_change();
"""


class Migration(migrations.Migration):
    dependencies = [("providers", "0002_notify")]

    operations = [migrations.RunSQL(SQL)]
