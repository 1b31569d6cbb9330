"""Where pictures lie that have addresses: Arrow knows S3 and Google's and Microsoft's stores, fsspec the rest."""

from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

from fsspec.core import url_to_fs
from pyarrow import fs

from segmentation.elsewhere import Elsewhere
from segmentation.errors import SegmentationError, SettingsError
from segmentation.picture.file_kind import PICTURE_ENDINGS
from segmentation.picture.load import MAX_BYTES

_ARROWS = frozenset({"s3", "gs", "gcs", "abfs", "abfss", "hdfs", "file"})
_CHUNK = 1 << 20  # bytes


def listed(address: str) -> list[Elsewhere]:
    """The picture at an address; of a folder in a store, all files below it with a picture's ending. A `Listing`.

    Raises:
        SettingsError: There is no such folder, or no library for it is installed.
    """
    is_named = PurePath(address).suffix.lower() in PICTURE_ENDINGS
    if is_named or address.partition("://")[0].lower() not in _ARROWS:  # to ask for each of a million takes hours
        return [Elsewhere(address, PurePath(), None)]
    try:
        store, path = _store(address)
        (named,) = store.get_file_info([path])
        if named.type == fs.FileType.File:
            return [Elsewhere(address, PurePath(), _stat(named))]
        found = store.get_file_info(fs.FileSelector(path, recursive=True))
    except Exception as error:  # of many libraries
        raise SettingsError(f"{address} cannot be listed: {_reason(error)}") from error
    root, base = PurePath(path), address.rstrip("/")
    return [
        Elsewhere(f"{base}/{below.as_posix()}", below.parent, _stat(info))
        for info in sorted(found, key=lambda info: str(info.path))
        if info.type == fs.FileType.File
        and (below := PurePath(info.path).relative_to(root)).suffix.lower() in PICTURE_ENDINGS
        and not any(part.startswith(".") for part in below.parts)
    ]


def download(address: str, file: Path) -> int:
    """Save what is behind an address.

    Args:
        address: The address.
        file: The new file.

    Returns:
        Its modification in nanoseconds since 1970; 0 if unknown.

    Raises:
        SegmentationError: It cannot be downloaded.
    """
    try:
        store, path = _store(address)
        (info,) = store.get_file_info([path])
        with store.open_input_stream(path) as source, file.open("wb") as target:
            size = 0
            while chunk := source.read(_CHUNK):
                size += target.write(chunk)
                if size > MAX_BYTES:
                    raise OSError(f"it has more than {MAX_BYTES >> 20} MB")
    except Exception as error:  # of many libraries
        file.unlink(missing_ok=True)
        raise SegmentationError(f"{address} could not be downloaded ({_reason(error)}).") from error
    return _stat(info)[1]


def _store(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path there."""
    scheme, _, rest = address.partition("://")
    authority, _, below = rest.partition("/")
    if scheme.lower() in _ARROWS:
        store, bucket = _arrows(f"{scheme.lower().replace('gcs', 'gs')}://{authority}/")
        return store, f"{bucket}/{below}".rstrip("/")
    return _others(f"{scheme}://{authority}"), address


@lru_cache(maxsize=64)
def _arrows(root: str) -> tuple[Any, str]:
    store, bucket = fs.FileSystem.from_uri(root)
    return store, str(bucket).rstrip("/")


@lru_cache(maxsize=64)
def _others(root: str) -> Any:
    store, _ = url_to_fs(root)
    return fs.PyFileSystem(fs.FSSpecHandler(store))


def _stat(info: Any) -> tuple[int, int]:
    return info.size or 0, info.mtime_ns or 0


def _reason(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
