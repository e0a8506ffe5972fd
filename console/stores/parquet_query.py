"""One SELECT over the runs of a Parquet store: DuckDB reads the files through Arrow, and reaches nothing else."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs

from console.stores import tables
from console.stores.address import Address
from console.stores.store import Found
from console.stores.tables import RUNS
from generator.errors import StoreError

_MEMORY = "600MB"
_BATCH_ROWS = 10_000


def select(
    address: Address,
    files: pa.fs.FileSystem,
    records: Sequence[Mapping[str, Any]],
    paths: Mapping[str, Sequence[str]],
    text: str,
) -> Found:
    """``records``: of the runs that count; ``paths``: table → their files. Raises StoreError for all but one SELECT."""
    con = duckdb.connect(config={"memory_limit": _MEMORY, "python_enable_replacements": False})
    try:
        con.register("runs", _runs(records))
        for name, table in tables.tables().items():
            # With our schema, so that files of an older openloop have NULL in columns that came since.
            found = pa.dataset.dataset(list(paths[name]), schema=table.schema, filesystem=files, format="parquet")
            con.register(name, found)
        con.execute("SET enable_external_access = false")
        con.execute("SET lock_configuration = true")
        reader = con.sql(_one_select(con, text)).to_arrow_reader(_BATCH_ROWS)
    except (duckdb.Error, pa.ArrowException, OSError) as e:
        con.close()
        raise StoreError(f"store {address.shown}: {address.redacted(str(e).strip())}") from None
    except BaseException:
        con.close()
        raise

    def rows() -> Generator[tuple[Any, ...], None, None]:
        try:
            for batch in reader:
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
        except (duckdb.Error, pa.ArrowException, OSError) as e:
            raise StoreError(f"store {address.shown}: {address.redacted(str(e).strip())}") from None
        finally:
            con.close()

    return Found(reader.schema.names, rows())


def _one_select(con: duckdb.DuckDBPyConnection, text: str) -> str:
    statements = con.extract_statements(text)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise StoreError("one SELECT is wanted, and nothing that writes")
    return statements[0].query


def _runs(records: Sequence[Mapping[str, Any]]) -> pa.Table:
    columns = {}
    for column in RUNS.columns:
        values = [record.get(column.name) for record in records]
        if column.json:
            values = [None if v is None else orjson.dumps(v).decode() for v in values]
        array = pa.array(values, pa.string() if pa.types.is_timestamp(column.type) else column.type)
        columns[column.name] = array.cast(column.type)
    return pa.table(columns, schema=RUNS.schema)
