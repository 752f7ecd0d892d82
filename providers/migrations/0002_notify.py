"""Gateway processes route by a snapshot of the catalogue; any change of its tables tells all of them to read it again."""

from django.db import migrations

TABLES = ("provider", "credential", "model", "endpoint", "price")
SQL = """
CREATE FUNCTION notify_catalogue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('turnpike_catalogue', '');
    RETURN NULL;
END
$$;
""" + "\n".join(
    f"CREATE TRIGGER notify_catalogue AFTER INSERT OR UPDATE OR DELETE ON providers_{table}"
    " FOR EACH STATEMENT EXECUTE FUNCTION notify_catalogue();"
    for table in TABLES
)


class Migration(migrations.Migration):
    dependencies = [("providers", "0001_initial")]

    operations = [migrations.RunSQL(SQL)]
