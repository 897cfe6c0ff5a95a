"""A compressed body, unpacked while it arrives: whole, or it counts as broken off.

urllib3 takes the end of a gzip stream that was cut for its end. A host was asked not to compress; few do all the same.
"""

import zlib
from collections.abc import Iterable, Iterator

PACKED = {"gzip", "x-gzip", "deflate"}
# Not to be unpacked here. Any other word in the header (utf-8, aws-chunked, none) is no compression: hosts write it there.
FOREIGN = {"br", "zstd", "compress", "x-compress", "dcb", "dcz"}
PIECE = 256 * 1024

_GZIP = 16 + zlib.MAX_WBITS


class Undecodable(Exception):
    """The body is not packed in the way that its header names, or its end is missing."""


def encodings(said: str | None) -> list[str]:
    """The compressions that a Content-Encoding header names, the first one applied first."""
    words = [word.strip().lower() for word in (said or "").split(",")]
    return [word for word in words if word in PACKED or word in FOREIGN]


def unpacked(pieces: Iterable[bytes], names: list[str]) -> Iterator[bytes]:
    """Raises Undecodable."""
    for name in reversed(names):
        if name in FOREIGN:
            raise Undecodable
        pieces = _inflated(pieces, gzip=name != "deflate")
    yield from pieces


def _inflated(pieces: Iterable[bytes], *, gzip: bool) -> Iterator[bytes]:
    """In pieces of a bounded size, whatever a piece unpacks to. A gzip stream may have several members."""
    inflate = None
    try:
        for piece in pieces:
            while piece:
                if inflate is None or inflate.eof:
                    if inflate and not (gzip and piece.lstrip(b"\0")):
                        break  # padding behind the end
                    inflate = zlib.decompressobj(_GZIP if gzip else _deflate_bits(piece))
                while not inflate.eof:
                    data = inflate.decompress(piece, PIECE)
                    piece = inflate.unconsumed_tail
                    if data:
                        yield data
                    elif not piece:
                        break
                piece = inflate.unused_data if inflate.eof else b""
    except zlib.error as error:
        raise Undecodable from error
    if inflate and not inflate.eof:
        raise Undecodable


def _deflate_bits(start: bytes) -> int:
    """Most send zlib's form, as the standard says, some the bare one."""
    is_zlib = start[0] & 0x8F == 0x08 and int.from_bytes(start[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
