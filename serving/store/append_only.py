"""Triggers that refuse to change or delete a row of the tables that are only ever added to.

They stand in the database, so that they hold for every program that opens it, not for this one alone. They are no lock
against the owner of the database, who can drop them; that such a hand was there is what the journal shows.
"""

from __future__ import annotations

from sqlalchemy import Connection, Table, UniqueConstraint, text

from serving.store.tables import APPEND_ONLY

_FUNCTION = """
CREATE OR REPLACE FUNCTION povrisk_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$
"""


def missing(connection: Connection) -> list[str]:
    """The names of the triggers that are not there, or do not fire."""
    if connection.dialect.name == "sqlite":
        found = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        wanted = [name for table in APPEND_ONLY for name in _sqlite(table)]
    else:
        found = "SELECT tgname FROM pg_trigger WHERE tgenabled = 'A' AND pg_table_is_visible(tgrelid)"
        wanted = [_name(table) for table in APPEND_ONLY]
    there = set(connection.execute(text(found)).scalars())
    return [name for name in wanted if name not in there]


def protect(connection: Connection) -> bool:
    """Put the triggers on every table of `APPEND_ONLY`, where they are not there yet; whether any was missing."""
    absent = set(missing(connection))
    if connection.dialect.name == "sqlite":
        for table in APPEND_ONLY:
            for name, made in _sqlite(table).items():
                if name in absent:
                    connection.exec_driver_sql(made)
        return bool(absent)
    if absent:
        connection.exec_driver_sql(_FUNCTION.replace("%", "%%"))
    for table in APPEND_ONLY:
        if _name(table) in absent:
            for made in _postgresql(table):
                connection.exec_driver_sql(made)
    return bool(absent)


def _name(table: Table) -> str:
    return f"{table.name}_append_only"


def _sqlite(table: Table) -> dict[str, str]:
    """`INSERT OR REPLACE` deletes what is in its way, and the trigger on deletion then keeps silent unless the program
    has set `recursive_triggers`: so an insertion that meets a row of the same key is refused itself."""
    keys = [["rowid"], *_keys(table)]
    same = (" AND ".join(f"{column} = NEW.{column}" for column in key) for key in keys)
    met = " OR ".join(f"EXISTS (SELECT 1 FROM {table.name} WHERE {each})" for each in same)  # noqa: S608
    refusal = f"BEGIN SELECT RAISE(ABORT, '{table.name} is append-only'); END"
    made = {}
    for verb, when in (("UPDATE", ""), ("DELETE", ""), ("INSERT", f"WHEN {met} ")):
        name = f"{_name(table)}_{verb.lower()}"
        made[name] = f"CREATE TRIGGER {name} BEFORE {verb} ON {table.name} {when}{refusal}"
    return made


def _postgresql(table: Table) -> list[str]:
    """`ALWAYS`: also for a session that has switched triggers off for itself (`session_replication_role`)."""
    return [
        f"DROP TRIGGER IF EXISTS {_name(table)} ON {table.name}",
        f"CREATE TRIGGER {_name(table)} BEFORE UPDATE OR DELETE OR TRUNCATE ON {table.name} "
        "FOR EACH STATEMENT EXECUTE FUNCTION povrisk_append_only()",
        f"ALTER TABLE {table.name} ENABLE ALWAYS TRIGGER {_name(table)}",
    ]


def _keys(table: Table) -> list[list[str]]:
    """The columns of every key that no two rows may share."""
    unique = [c for c in table.constraints if isinstance(c, UniqueConstraint)]
    return [[c.name for c in table.primary_key], *([c.name for c in each.columns] for each in unique)]
