"""Keeping the payload an event came from: inline up to 32 KiB, above that in the blob store."""

from __future__ import annotations

from adapters.contract import INLINE_LIMIT, BlobStore
from schemas.records import Raw


def keep(data: bytes, media_type: str, blobs: BlobStore) -> Raw:
    """The payload as the event carries it. Above ``INLINE_LIMIT`` bytes it is put into ``blobs`` first."""
    if len(data) <= INLINE_LIMIT:
        return Raw(media_type=media_type, inline=data)
    return Raw(media_type=media_type, reference=blobs.put(data))
