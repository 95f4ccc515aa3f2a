"""Django over mysqlclient: one program, run direct and through the proxy."""

import datetime
import decimal

import django
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection, models, transaction
from django.db.utils import Error

from battery import CONNECTS, CYCLES, HOST, PASSWORD, PORT, USER, attempt, section, show

SCHEMA = "drivers_django"
login = {"ENGINE": "django.db.backends.mysql", "HOST": HOST, "PORT": PORT, "USER": USER, "PASSWORD": PASSWORD}
settings.configure(
    DATABASES={"default": {**login, "NAME": "", "OPTIONS": {"charset": "utf8mb4"}}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", USE_TZ=True,
    SECRET_KEY="of a test", PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.core.management import call_command  # noqa: E402


# Relations are seen of installed applications only, so the models belong to one of those.
class Owner(models.Model):
    name = models.CharField(max_length=50, unique=True)

    class Meta:
        app_label, db_table = "sessions", "drivers_owner"


class Animal(models.Model):
    owner = models.ForeignKey(Owner, null=True, on_delete=models.CASCADE)
    name = models.CharField(max_length=50, db_index=True)
    weight = models.DecimalField(max_digits=12, decimal_places=3, null=True)
    born = models.DateTimeField(null=True)
    age = models.DurationField(null=True)
    notes = models.JSONField(null=True)
    photo = models.BinaryField(null=True)
    wild = models.BooleanField(null=True)
    token = models.UUIDField(null=True)
    ratio = models.FloatField(null=True)

    class Meta:
        app_label, db_table = "sessions", "drivers_animal"


def raw(sql, args=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, args)
        return cursor.rowcount, cursor.description, cursor.fetchall() if cursor.description else None


raw(f"DROP DATABASE IF EXISTS {SCHEMA}")
raw(f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4")
connection.close()
connection.settings_dict["NAME"] = SCHEMA

section("connect")
for _ in range(CONNECTS):
    connection.connect()
    connection.close()

section("types")
features = connection.features
show("server", (connection.mysql_version, connection.mysql_is_mariadb, sorted(connection.sql_mode)))
show("features", [(name, getattr(features, name)) for name in (
    "has_select_for_update_skip_locked", "supports_transactions", "can_introspect_foreign_keys", "can_clone_databases",
    "has_zoneinfo_database", "supports_json_field", "can_return_columns_from_insert", "ignores_table_name_case", "is_sql_auto_is_null_enabled")])
call_command("migrate", verbosity=0, interactive=False)
with connection.schema_editor() as editor:
    editor.create_model(Owner)
    editor.create_model(Animal)
show("tables", sorted(connection.introspection.table_names()))
with connection.cursor() as cursor:
    show("columns", connection.introspection.get_table_description(cursor, "drivers_animal"))
    show("constraints", sorted(connection.introspection.get_constraints(cursor, "drivers_animal").items(), key=str))
values = dict(weight=decimal.Decimal("312.500"), born=datetime.datetime(2020, 2, 29, 1, 2, 3, 456789, datetime.timezone.utc),
              age=datetime.timedelta(days=3, microseconds=7), notes={"a": [1, None, "ü"]}, photo=bytes(range(256)), wild=True,
              token="12345678123456781234567812345678", ratio=1.5e-300)
owner = Owner.objects.create(name="zoo ü")
zebra = Animal.objects.create(owner=owner, name="zebra 🦓", **values)
show("created", (owner.pk, zebra.pk))
show("values", list(Animal.objects.values()))
show("bulk", [a.pk for a in Animal.objects.bulk_create([Animal(owner=owner, name=f"n{n}", ratio=n) for n in range(20)])])
show("found", list(Animal.objects.filter(notes__a__0=1, born__year=2020, age__gt=datetime.timedelta(1)).values_list("id", "born__hour", "name")))
show("aggregate", Animal.objects.aggregate(models.Sum("ratio"), models.Count("id"), models.Avg("weight")))
show("annotated", list(Owner.objects.annotate(n=models.Count("animal")).values()))
show("related", [a.owner.name for a in Animal.objects.select_related("owner").order_by("id")[:2]])
show("prefetched", [len(o.animal_set.all()) for o in Owner.objects.prefetch_related("animal_set").order_by("id")])
show("updated", (Animal.objects.filter(id__gt=5).update(wild=False), Animal.objects.filter(id__gt=5).update(wild=False)))
show("get_or_create", [created for _, created in (Owner.objects.get_or_create(name="b"), Owner.objects.get_or_create(name="b"))])
show("deleted", Animal.objects.filter(id__gt=18).delete())
show("upsert", len(Owner.objects.bulk_create([Owner(id=1, name="zoo 2")], update_conflicts=True, update_fields=["name"])))
show("iterator", sum(a.pk for a in Animal.objects.iterator(chunk_size=5)))
with connection.schema_editor() as editor:
    field = models.IntegerField(default=3)
    field.set_attributes_from_name("legs")
    editor.add_field(Animal, field)
    editor.remove_field(Animal, field)

section("transactions")
attempt("duplicate", lambda: Owner.objects.create(name="b"))
with transaction.atomic():
    Owner.objects.create(name="kept")
    try:
        with transaction.atomic():
            Owner.objects.create(name="lost")
            Owner.objects.create(name="b")
    except Error as error:
        show("inner", error.args)
    show("locked", [a.pk for a in Animal.objects.select_for_update(skip_locked=True).filter(id__lt=4)])
show("names", sorted(Owner.objects.values_list("name", flat=True)))
try:
    with transaction.atomic():
        Owner.objects.all().delete()
        raise ValueError
except ValueError:
    show("rolled back", Owner.objects.count())
transaction.set_autocommit(False)
Owner.objects.create(name="never")
transaction.rollback()
transaction.set_autocommit(True)
show("autocommit", (transaction.get_autocommit(), Owner.objects.filter(name="never").exists()))
for level in ("serializable", "read uncommitted", None):
    connection.close()
    connection.settings_dict["OPTIONS"]["isolation_level"] = level
    show(f"isolation {level}", raw("SELECT COUNT(*) FROM drivers_owner"))
connection.close()
del connection.settings_dict["OPTIONS"]["isolation_level"]

section("session state")
show("constraints", (connection.disable_constraint_checking(), raw("SELECT @@foreign_key_checks"), connection.enable_constraint_checking(), raw("SELECT @@foreign_key_checks")))
show("time zone", raw("SELECT @@time_zone, @@sql_auto_is_null, @@session.sql_mode"))
show("user variable", (raw("SET @a = %s", ["ü"]), raw("SELECT @a")))
user = User.objects.create_user("someone", "s@example.org", "pass")
session = SessionStore()
session["user"] = user.pk
session.create()
show("session", SessionStore(session.session_key)["user"] == user.pk)

section("diagnostics")
for sql in ("SELEC 1", "SELECT * FROM missing", "INSERT INTO drivers_animal (id, name) VALUES (1, 'x')", "SELECT CAST('12x' AS SIGNED)",
            "INSERT INTO drivers_animal (name, owner_id) VALUES ('x', 99999)"):
    attempt(sql, lambda: raw(sql))
show("warnings", raw("SHOW WARNINGS"))
show("usable", connection.is_usable())
id = raw("SELECT CONNECTION_ID()")[2][0][0]
other = connection.copy()
with other.cursor() as cursor:
    attempt("kill", lambda: cursor.execute(f"KILL {id}"))
other.close()
attempt("killed", lambda: raw("SELECT 1"))
show("usable", connection.is_usable())
close_old_connections()
show("again", raw("SELECT 1"))

section("request cycle")
connection.settings_dict["CONN_HEALTH_CHECKS"] = True
for n in range(CYCLES):
    connection.settings_dict["CONN_MAX_AGE"] = 0 if n % 2 else 600
    request_started.send(sender=None)
    SessionStore(session.session_key)["user"]
    User.objects.get(pk=user.pk)
    list(Animal.objects.filter(owner_id=1)[:10])
    with transaction.atomic():
        Owner.objects.create(name=f"cycle {n}")
    request_finished.send(sender=None)
section("end")
raw(f"DROP DATABASE {SCHEMA}")
