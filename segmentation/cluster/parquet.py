"""The report of a job as a Parquet file: a row for each picture. It appears when the job ends."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    {
        "source": pa.string(),
        "name": pa.string(),
        "skipped": pa.bool_(),
        "error": pa.string(),
        "files": pa.list_(pa.string()),
        "warnings": pa.list_(pa.string()),
        "width": pa.int32(),
        "height": pa.int32(),
        "model": pa.string(),
        "provider": pa.string(),
        "provider_note": pa.string(),
        "network_mb": pa.int32(),
        "seconds": pa.map_(pa.string(), pa.float32()),
    }
)
_ROWS = 10_000  # in memory until they are written


class ParquetReport:
    """A context manager, which writes the file."""

    def __init__(self, file: Path) -> None:
        """Nothing is written before the first rows are full.

        Args:
            file: The report; one that is there is replaced.
        """
        self._file, self._partial = file, file.with_name(f".{file.name}.part")
        self._rows: list[dict[str, Any]] = []
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> "ParquetReport":
        return self

    def add(self, entry: dict[str, Any]) -> None:
        """Add one picture: its line of JSON.

        Raises:
            OSError: It cannot be written.
        """
        self._rows.append(entry | {"seconds": list(entry["seconds"].items())})
        if len(self._rows) >= _ROWS:
            self._write()

    def _write(self) -> None:
        if self._writer is None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._partial, SCHEMA, compression="zstd")
        self._writer.write_table(pa.Table.from_pylist(self._rows, SCHEMA))
        self._rows.clear()

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None or self._writer is not None or self._rows:  # what was done before an end is told as well
                self._write()
                assert self._writer is not None
                self._writer.close()
                self._partial.replace(self._file)
        finally:
            self._partial.unlink(missing_ok=True)
