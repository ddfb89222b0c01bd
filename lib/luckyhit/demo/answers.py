"""Pages as HTTP answers: with a validator, and 304 for who has the page already."""

from __future__ import annotations

from hashlib import blake2b

from fastapi import HTTPException, Request, Response


def page_answer(request: Request, page: bytes | None, missing: str) -> Response:
    """The page with its ETag, or 304 where the request's If-None-Match names it. Raises 404, saying `missing`.

    The validator is of the page that is served: an old page from the cache validates whoever holds an old page.
    """
    product = existing(page, missing)
    etag = f'"{blake2b(product, digest_size=12).hexdigest()}"'
    if _names(request.headers.getlist("if-none-match"), etag):
        return Response(status_code=304, headers={"etag": etag})
    return Response(product, media_type="application/json", headers={"etag": etag})


def existing(content: bytes | None, missing: str) -> bytes:
    """`content`; raises 404, saying `missing`, where there is none."""
    if content is None:
        raise HTTPException(404, missing)
    return content


def _names(values: list[str], etag: str) -> bool:
    """Whether If-None-Match names `etag`, compared weakly (RFC 9110, 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for value in values for tag in value.split(",")]
    return etag in tags or "*" in tags
