"""Triggers that refuse to change or delete a row of the tables that are only ever added to.

They stand in the database, so that they hold for every program that opens it, not for this one alone. They are no lock
against the owner of the database, who can drop them; that such a hand was there is what the journal shows.

A row may go where `erased` names its table and its entry. Such a line is itself only ever added, with an entry of the
journal (`serving.store.erasure`); one without is found by `serving.store.verification`. The journal itself, and the
lines about what was erased, never go.
"""

from __future__ import annotations

from sqlalchemy import Connection, Table, UniqueConstraint, text

from serving.store.tables import APPEND_ONLY, ERASABLE, ERASED

_FUNCTIONS = (
    """
CREATE OR REPLACE FUNCTION povrisk_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$
""",
    """
CREATE OR REPLACE FUNCTION povrisk_erased_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM erased WHERE what = TG_TABLE_NAME AND entry = OLD.journal_seq) THEN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN OLD;
END $$
""",
)
_MADE_SQLITE = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
_MADE_POSTGRESQL = """
SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgenabled = 'A' AND pg_table_is_visible(tgrelid)
"""


def missing(connection: Connection) -> list[str]:
    """The names of the triggers that are not there, do not fire, or are not the ones we make."""
    is_file = connection.dialect.name == "sqlite"
    found = connection.execute(text(_MADE_SQLITE if is_file else _MADE_POSTGRESQL))
    there: dict[str, str] = {row[0]: row[1] for row in found}
    wanted = {name: made for table in APPEND_ONLY for name, made in _triggers(table, is_file).items()}
    return [name for name, made in wanted.items() if not _is_same(there.get(name), made, is_file)]


def protect(connection: Connection) -> bool:
    """Put the triggers on every table of `APPEND_ONLY`, where they are not there yet; whether any was missing."""
    is_file, absent = connection.dialect.name == "sqlite", set(missing(connection))
    if absent and not is_file:
        for function in _FUNCTIONS:
            connection.exec_driver_sql(function.replace("%", "%%"))
    for table in APPEND_ONLY:
        for name, made in _triggers(table, is_file).items():
            if name not in absent:
                continue
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}" + ("" if is_file else f" ON {table.name}"))
            connection.exec_driver_sql(made)
            if not is_file:
                # Also for a session that has switched triggers off for itself (`session_replication_role`).
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ENABLE ALWAYS TRIGGER {name}")
    return bool(absent)


def _is_same(there: str | None, made: str, is_file: bool) -> bool:
    """SQLite keeps the words; PostgreSQL tells its own, of which verbs, level and function count."""
    if there is None or is_file:
        return there == made
    verbs = ("UPDATE", "DELETE", "TRUNCATE", "EACH ROW", "povrisk_append_only", "povrisk_erased_only", "WHEN")
    return all((verb in there) == (verb in made) for verb in verbs)


def _triggers(table: Table, is_file: bool) -> dict[str, str]:
    return _sqlite(table) if is_file else _postgresql(table)


def _name(table: Table) -> str:
    return f"{table.name}_append_only"


def _sqlite(table: Table) -> dict[str, str]:
    """`INSERT OR REPLACE` deletes what is in its way, and the trigger on deletion then keeps silent unless the program
    has set `recursive_triggers`: so an insertion that meets a row of the same key is refused itself."""
    keys = [["rowid"], *_keys(table)]
    same = (" AND ".join(f"{column} = NEW.{column}" for column in key) for key in keys)
    met = " OR ".join(f"EXISTS (SELECT 1 FROM {table.name} WHERE {each})" for each in same)  # noqa: S608
    named = f"SELECT 1 FROM {ERASED.name} WHERE what = '{table.name}' AND entry = OLD.journal_seq"  # noqa: S608
    kept = f"WHEN NOT EXISTS ({named}) " if table in ERASABLE else ""
    refusal = f"BEGIN SELECT RAISE(ABORT, '{table.name} is append-only'); END"
    made = {}
    for verb, when in (("UPDATE", ""), ("DELETE", kept), ("INSERT", f"WHEN {met} ")):
        name = f"{_name(table)}_{verb.lower()}"
        made[name] = f"CREATE TRIGGER {name} BEFORE {verb} ON {table.name} {when}{refusal}"
    return made


def _postgresql(table: Table) -> dict[str, str]:
    """A statement that changes or empties a table is refused as a whole; of one that deletes, each row is looked at."""
    name = _name(table)
    refused = f"{name} BEFORE UPDATE OR TRUNCATE ON {table.name} FOR EACH STATEMENT"
    function = "povrisk_erased_only" if table in ERASABLE else "povrisk_append_only"
    return {
        name: f"CREATE TRIGGER {refused} EXECUTE FUNCTION povrisk_append_only()",
        f"{name}_delete": f"CREATE TRIGGER {name}_delete BEFORE DELETE ON {table.name} "
        f"FOR EACH ROW EXECUTE FUNCTION {function}()",
    }


def _keys(table: Table) -> list[list[str]]:
    """The columns of every key that no two rows may share."""
    unique = [c for c in table.constraints if isinstance(c, UniqueConstraint)]
    return [[c.name for c in table.primary_key], *([c.name for c in each.columns] for each in unique)]
