"""SQLAlchemy over PyMySQL and mysqlclient: one program, run direct and through the proxy."""

import datetime
import decimal

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.engine import URL

from battery import CONNECTS, CYCLES, HOST, PASSWORD, PORT, USER, attempt, section, show

SCHEMA = "drivers_sqlalchemy"


class Base(orm.DeclarativeBase):
    pass


class Owner(Base):
    __tablename__ = "owner"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(50), unique=True)
    animals: orm.Mapped[list["Animal"]] = orm.relationship(back_populates="owner", cascade="all, delete-orphan")


class Animal(Base):
    __tablename__ = "animal"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    owner_id: orm.Mapped[int | None] = orm.mapped_column(sa.ForeignKey("owner.id"))
    name: orm.Mapped[str] = orm.mapped_column(sa.String(50))
    weight: orm.Mapped[decimal.Decimal | None] = orm.mapped_column(sa.Numeric(12, 3))
    born: orm.Mapped[datetime.datetime | None] = orm.mapped_column(sa.DateTime)
    notes: orm.Mapped[dict | None] = orm.mapped_column(sa.JSON)
    photo: orm.Mapped[bytes | None] = orm.mapped_column(sa.LargeBinary)
    wild: orm.Mapped[bool | None] = orm.mapped_column(sa.Boolean)
    version: orm.Mapped[int] = orm.mapped_column(default=1)
    owner: orm.Mapped[Owner | None] = orm.relationship(back_populates="animals")
    __mapper_args__ = {"version_id_col": version}


def engine(driver, database=SCHEMA, **options):
    url = URL.create(f"mysql+{driver}", USER, PASSWORD, HOST, PORT, database, {"charset": "utf8mb4"})
    return sa.create_engine(url, **options)


def run(connection, sql, **args):
    result = connection.execute(sa.text(sql), args)
    if result.returns_rows:
        return list(result.keys()), [tuple(row) for row in result]
    return result.rowcount, result.lastrowid


def battery(driver):
    with engine(driver, None, isolation_level="AUTOCOMMIT").connect() as c:
        run(c, f"DROP DATABASE IF EXISTS {SCHEMA}")
        run(c, f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4")

    if driver == "mysqldb":
        section("connect")
        for _ in range(CONNECTS):
            e = engine(driver)
            e.connect().close()
            e.dispose()
        section("types")
    e = engine(driver, pool_pre_ping=True, pool_size=3, max_overflow=2, pool_recycle=3600)
    Base.metadata.create_all(e)
    show("dialect", (e.dialect.server_version_info, e.dialect.is_mariadb, e.dialect.default_schema_name,
                     e.dialect._sql_mode if hasattr(e.dialect, "_sql_mode") else None))
    show("tables", sa.inspect(e).get_table_names())
    for what in ("get_columns", "get_indexes", "get_foreign_keys", "get_pk_constraint", "get_table_options", "get_check_constraints"):
        attempt(what, lambda: getattr(sa.inspect(e), what)("animal"))
    reflected = sa.MetaData()
    reflected.reflect(e)
    show("reflected", [(t.name, [repr(c.type) for c in t.columns]) for t in reflected.sorted_tables])

    if driver == "mysqldb":
        section("transactions")
    with orm.Session(e) as s:
        s.add(Owner(name="zoo ü", animals=[
            Animal(name="zebra 🦓", weight=decimal.Decimal("312.500"), born=datetime.datetime(2020, 2, 29, 1, 2, 3),
                   notes={"a": [1, None, "ü"]}, photo=bytes(range(256)), wild=True),
            *(Animal(name=f"n{n}", weight=n) for n in range(20))]))
        s.flush()
        show("ids", sorted(a.id for a in s.scalars(sa.select(Animal))))
        s.commit()
        zebra = s.scalars(sa.select(Animal).where(Animal.name.like("zebra%"))).one()
        show("zebra", (zebra.weight, zebra.born, zebra.notes, zebra.photo, zebra.wild, zebra.owner.name))
        with s.begin_nested():
            zebra.weight = 1
        nested = s.begin_nested()
        zebra.weight = 2
        s.flush()
        nested.rollback()
        show("savepoint", zebra.weight)
        s.rollback()
        show("rolled back", zebra.weight)
        show("joined", [(o.name, len(o.animals)) for o in s.scalars(sa.select(Owner).options(orm.selectinload(Owner.animals)))])
        zebra.name = "renamed"
        with engine(driver).begin() as other:
            run(other, "UPDATE animal SET version = version + 1 WHERE id = :id", id=zebra.id)
        attempt("stale version", s.commit)
        s.rollback()
        attempt("duplicate", lambda: (s.add(Owner(name="zoo ü")), s.flush()))
        s.rollback()
        show("bulk update", s.execute(sa.update(Animal).where(Animal.id > 5).values(wild=False)).rowcount)
        show("locked", [a.id for a in s.scalars(sa.select(Animal).where(Animal.id < 4).with_for_update(skip_locked=True))])
        s.commit()
    for level in ("READ COMMITTED", "SERIALIZABLE", "AUTOCOMMIT"):
        with e.connect().execution_options(isolation_level=level) as c:
            show(level, (c.get_isolation_level(), run(c, "SELECT COUNT(*) FROM animal"), run(c, "SELECT @@autocommit")))
    with e.connect() as c:
        show("default level", (c.default_isolation_level, c.get_isolation_level(), run(c, "SELECT @@autocommit")))

    if driver == "mysqldb":
        section("results")
    with e.connect() as c:
        show("rows", run(c, "SELECT * FROM animal WHERE id <= :id ORDER BY id", id=3))
        stream = c.execution_options(stream_results=True, yield_per=100).execute(sa.text(
            "WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i+1 FROM n WHERE i < 900) SELECT i FROM n"))
        show("streamed", sum(row.i for row in stream))
        show("insert many", c.execute(sa.insert(Animal), [{"name": f"m{n}"} for n in range(30)]).rowcount)
        show("first id", c.execute(sa.insert(Animal).values(name="one")).inserted_primary_key)
        upsert = sa.dialects.mysql.insert(Owner).values(id=1, name="zoo ü")
        show("upsert", c.execute(upsert.on_duplicate_key_update(name="zoo 2")).rowcount)
        c.rollback()
        show("last", run(c, "SELECT COUNT(*) FROM animal"))
    if driver == "mysqldb":
        section("diagnostics")
    with e.connect() as c:
        for sql in ("SELEC 1", "SELECT * FROM missing", "INSERT INTO animal (id, name, version) VALUES (1, 'x', 1)",
                    "INSERT INTO animal (name, version, owner_id) VALUES ('x', 1, 99999)", "SELECT CAST('12x' AS SIGNED)"):
            attempt(sql, lambda: run(c, sql))
            c.rollback()
        # At once: MariaDB keeps them over a ROLLBACK only as long as nobody else uses the connection.
        show("warnings", (run(c, "SELECT CAST('12x' AS SIGNED)"), run(c, "SHOW WARNINGS")))

    if driver == "mysqldb":
        section("session state")
    with e.connect() as c:
        run(c, "SET @a = 5, SESSION time_zone = '+02:00'")
        show("state", run(c, "SELECT @a, @@time_zone"))
        show("lock", (run(c, "SELECT GET_LOCK('alembic', 1)"), run(c, "SELECT RELEASE_LOCK('alembic')")))
        run(c, "CREATE TEMPORARY TABLE tmp AS SELECT 1 AS a")
        show("temporary", (run(c, "SELECT * FROM tmp"), run(c, "DROP TEMPORARY TABLE tmp")))
    killed = e.connect()
    with e.connect() as c:
        id = run(killed, "SELECT CONNECTION_ID()")[1][0][0]
        attempt("kill", lambda: run(c, f"KILL {id}"))
    attempt("killed", lambda: run(killed, "SELECT 1"))
    show("invalidated", killed.invalidated)
    killed.close()
    attempt("pre ping", lambda: [run(c, "SELECT 1") for c in (e.connect(), e.connect())])
    e.dispose()

    if driver == "mysqldb":
        section("request cycle")
        e = engine(driver, pool_pre_ping=True)
        for n in range(CYCLES):
            with orm.Session(e) as s:
                s.scalars(sa.select(Owner).where(Owner.id == n)).all()
                s.add(Animal(name=f"cycle {n}"))
                s.commit()
                s.scalars(sa.select(Animal).order_by(Animal.id.desc()).limit(1)).one()
        section("end")
    Base.metadata.drop_all(engine(driver))


for driver in ("pymysql", "mysqldb"):
    show("driver", driver)
    battery(driver)
