"""The service's refusals: HTTP code, status word and text as Earth Engine gives them.

Everything that is the caller's fault is a 4xx, because the client retries 429 and 5xx by itself.
Texts marked «ours» have no known original.
"""

from __future__ import annotations

from typing import Any

from water_gee.errors import ServiceError

HTTP_STATUS = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "INVALID_ARGUMENT",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
"""Google's status word for an HTTP code."""


def refusal(code: int, message: str) -> ServiceError:
    """Return an answer with the usual status word for its code."""
    return ServiceError(code, HTTP_STATUS[code], message)


def bad_request(message: str) -> ServiceError:
    """Return the answer to a request that is the caller's fault."""
    return refusal(400, message)


def load_failed(function: str, kind: str, asset_id: str) -> ServiceError:
    """Return what `Image.load`, `ImageCollection.load` and the like say of an unknown asset."""
    return bad_request(
        f"{function}: {kind} asset '{asset_id}' not found "
        "(does not exist or caller does not have access)."
    )


def wrong_asset_type(function: str, asset_id: str, wanted: str) -> ServiceError:
    """Return the answer to loading a collection as an image, or the other way round."""
    return bad_request(f"{function}: Asset '{asset_id}' is not an {wanted}.")


def asset_missing(name: str) -> ServiceError:
    """Return what the asset methods say of an asset that is not there."""
    return refusal(404, f"Asset '{name}' does not exist or doesn't allow this operation.")


def malformed_asset_id(asset_id: str, reason: str) -> ServiceError:
    """Return the answer to an id that no asset can have (ours)."""
    return bad_request(f"Invalid asset id '{asset_id}': {reason}.")


def cannot_overwrite(asset_id: str) -> ServiceError:
    """Return the answer to writing where an asset already is, without `overwrite`."""
    return bad_request(f"Cannot overwrite asset '{asset_id}': it already exists.")


def read_only(name: str) -> ServiceError:
    """Return the answer to writing into the public catalogue (ours)."""
    return refusal(403, f"Permission denied: '{name}' belongs to the public catalogue.")


def permission_denied(permission: str, name: str) -> ServiceError:
    """Return the answer to touching what belongs to a project of somebody else."""
    return refusal(
        403, f"Permission '{permission}' denied on resource '{name}' (or it may not exist)."
    )


def queue_full(limit: int) -> ServiceError:
    """Return the answer to a task too many; its HTTP code at the service is unverified."""
    return bad_request(
        f"Too many tasks already in the queue ({limit}). Please wait for some of them to complete."
    )


def storage_full(limit: int) -> ServiceError:
    """Return what a task ends with that has no room for its asset (ours)."""
    return bad_request(f"Asset storage quota exceeded: the project may store {limit} bytes.")


def in_collection(asset_id: str) -> ServiceError:
    """Return the answer to setting a policy of an image that has its collection's."""
    return bad_request(f"Parent of the asset '{asset_id}' is a collection; operation not allowed.")


def policy_changed() -> ServiceError:
    """Return the answer to a policy that was read before somebody else changed it."""
    return refusal(
        409,
        "There were concurrent policy changes. Please retry the whole read-modify-write with "
        "exponential backoff.",
    )


def operation_missing(name: str) -> ServiceError:
    """Return the answer to asking for a task that was never started (ours)."""
    return refusal(404, f"Operation '{name}' not found.")


def abandoned() -> ServiceError:
    """Return the answer to a request whose client left before it began; nobody reads it."""
    return refusal(499, "The client has left.")


def payload_too_large(limit: int) -> ServiceError:
    """Return the answer to a request body above the limit."""
    return bad_request(f"Request payload size exceeds the limit: {limit} bytes.")


def too_many_requests() -> ServiceError:
    """Return the answer to a request beyond the rate or the number at once.

    The code is the usage guide's («concurrent interactive requests»), the text what the client
    reports from `earthengine-highvolume.googleapis.com` (seen in published logs), the status that
    of the code in `google/rpc/code.proto`.
    """
    return refusal(
        429,
        "Too Many Requests: Request was rejected because the request rate or concurrency limit "
        "was exceeded.",
    )


def internal_error() -> ServiceError:
    """Return the service's 500, seen at `value:compute` (google/earthengine-api, issue 89)."""
    return refusal(500, "An internal error has occurred")


def unavailable() -> ServiceError:
    """Return the 503 of Google's APIs (seen; googleapis/google-api-php-client, issue 1945)."""
    return refusal(503, "The service is currently unavailable.")


def front_end_page(code: int) -> str:
    """Return what stands before the service says when it has no answer: a page, not JSON.

    Title and sentences are those of the 502 (seen; googleapis/google-api-php-client, issue 2421);
    the 504 is taken to read alike.
    """
    return (
        f"<!DOCTYPE html>\n<html lang=en>\n<title>Error {code} (Server Error)!!1</title>\n"
        f"<p><b>{code}.</b> <ins>That’s an error.</ins>\n<p>The server encountered a temporary "
        "error and could not complete your request.<p>Please try again in 30 seconds.\n</html>\n"
    )


def answer_too_large(size: int, limit: int) -> ServiceError:
    """Return the answer to pixels that take more bytes than one answer may."""
    return bad_request(
        f"Total request size ({size} bytes) must be less than or equal to {limit} bytes."
    )


def grid_too_large(width: int, height: int, limit: int) -> ServiceError:
    """Return the answer to a grid with a side above the limit."""
    return bad_request(
        f"Pixel grid dimensions ({width}x{height}) must be less than or equal to {limit}."
    )


def too_many_bands(count: int, limit: int) -> ServiceError:
    """Return the answer to an image of too many bands (ours)."""
    return bad_request(f"Number of bands ({count}) must be less than or equal to {limit}.")


def unbounded_image() -> ServiceError:
    """Return the answer to asking for all pixels of an image that has no end."""
    return bad_request("Unable to export unbounded image.")


def export_too_large(pixels: int, limit: int) -> ServiceError:
    """Return the answer to an export of more than `maxPixels`."""
    return bad_request(
        f"Export too large: specified {pixels} pixels (max: {limit}). "
        "Specify higher maxPixels value if you intend to export a large area."
    )


def no_such_band(name: str, available: tuple[str, ...]) -> ServiceError:
    """Return the answer to a band id that the image lacks."""
    return bad_request(
        f"Image.select: Band pattern '{name}' did not match any bands. "
        f"Available bands: [{', '.join(available)}]"
    )


def body_of(error: ServiceError) -> dict[str, Any]:
    """Return the JSON body of a refusal."""
    return {"error": {"code": error.code, "message": error.message, "status": error.status}}
