"""What a row holds where bytes should be: anything at all, when pages of a file were mixed up."""

from __future__ import annotations

from domain.errors import StoreError

__all__ = ["blob_of"]


def blob_of(value: object, place: str, what: str) -> bytes:
    """The bytes of a vault's column. Raises StoreError where it holds something else."""
    if isinstance(value, bytes | memoryview):
        return bytes(value)
    raise StoreError(f"{place}: {what} is corrupt; put back the newest copy of the vault")
