"""Gateway processes keep keys in memory; a change of a key's row tells all of them which one to forget."""

from django.db import migrations

SQL = """
CREATE FUNCTION notify_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('turnpike_key', OLD.hash);
    RETURN NULL;
END
$$;
CREATE TRIGGER notify_key AFTER UPDATE OR DELETE ON accounts_apikey FOR EACH ROW EXECUTE FUNCTION notify_key();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [migrations.RunSQL(SQL)]
