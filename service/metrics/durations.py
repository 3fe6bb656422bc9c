"""Days and durations in SQL, as each database spells them."""

from typing import Any

from sqlalchemy import Date, Double
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class UtcDay(FunctionElement[Any]):
    """``UtcDay(moment)``: the calendar day in UTC, as a date."""

    type = Date()
    inherit_cache = True


class SecondsBetween(FunctionElement[float]):
    """``SecondsBetween(earlier, later)``: seconds as a float, to a tenth of a millisecond."""

    type = Double()
    inherit_cache = True


@compiles(UtcDay, "sqlite")
def _day_in_sqlite(element: UtcDay, compiler: SQLCompiler, **kw: Any) -> str:
    (moment,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"date({moment})"


@compiles(UtcDay, "postgresql")
def _day_in_postgresql(element: UtcDay, compiler: SQLCompiler, **kw: Any) -> str:
    (moment,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"CAST({moment} AT TIME ZONE 'UTC' AS date)"


@compiles(SecondsBetween, "sqlite")
def _seconds_in_sqlite(element: SecondsBetween, compiler: SQLCompiler, **kw: Any) -> str:
    earlier, later = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"((julianday({later}) - julianday({earlier})) * 86400.0)"


@compiles(SecondsBetween, "postgresql")
def _seconds_in_postgresql(element: SecondsBetween, compiler: SQLCompiler, **kw: Any) -> str:
    earlier, later = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"CAST(EXTRACT(EPOCH FROM {later} - {earlier}) AS double precision)"
