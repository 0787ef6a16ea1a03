"""The service's refusals, word for word where the words are known."""

from __future__ import annotations

import pytest

from water_gee.emulator import errors, limits


@pytest.mark.parametrize(
    ("error", "code", "status", "message"),
    [
        (
            errors.load_failed("Image.load", "Image", "a/b"),
            400,
            "INVALID_ARGUMENT",
            "Image.load: Image asset 'a/b' not found "
            "(does not exist or caller does not have access).",
        ),
        (
            errors.asset_missing("projects/p/assets/x"),
            404,
            "NOT_FOUND",
            "Asset 'projects/p/assets/x' does not exist or doesn't allow this operation.",
        ),
        (
            errors.export_too_large(598674825, limits.DEFAULT_MAX_PIXELS),
            400,
            "INVALID_ARGUMENT",
            "Export too large: specified 598674825 pixels (max: 100000000). "
            "Specify higher maxPixels value if you intend to export a large area.",
        ),
        (
            errors.answer_too_large(55039924, limits.MAX_COMPUTE_BYTES),
            400,
            "INVALID_ARGUMENT",
            "Total request size (55039924 bytes) must be less than or equal to 50331648 bytes.",
        ),
        (
            errors.grid_too_large(159378, 46852, limits.MAX_DOWNLOAD_SIDE),
            400,
            "INVALID_ARGUMENT",
            "Pixel grid dimensions (159378x46852) must be less than or equal to 10000.",
        ),
        (
            errors.unbounded_image(),
            400,
            "INVALID_ARGUMENT",
            "Unable to export unbounded image.",
        ),
        (
            errors.payload_too_large(limits.MAX_REQUEST_BYTES),
            400,
            "INVALID_ARGUMENT",
            "Request payload size exceeds the limit: 10485760 bytes.",
        ),
        (
            errors.too_many_requests(),
            429,
            "RESOURCE_EXHAUSTED",
            "Too Many Requests: Request was rejected because the request rate or concurrency limit "
            "was exceeded.",
        ),
        (errors.internal_error(), 500, "INTERNAL", "An internal error has occurred"),
        (errors.unavailable(), 503, "UNAVAILABLE", "The service is currently unavailable."),
    ],
)
def test_refusals_read_as_the_services_do(error, code, status, message):
    assert errors.body_of(error) == {"error": {"code": code, "message": message, "status": status}}


def test_nothing_that_is_the_callers_fault_is_retried_by_the_client():
    for error in (
        errors.bad_request("x"),
        errors.cannot_overwrite("a"),
        errors.malformed_asset_id("a", "b"),
        errors.operation_missing("o"),
        errors.read_only("LANDSAT"),
        errors.too_many_bands(2000, 1024),
    ):
        assert 400 <= error.code < 429
