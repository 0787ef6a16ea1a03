"""What the service allows, as constants with their source.

The usage guide is https://developers.google.com/earth-engine/guides/usage, the REST reference
https://developers.google.com/earth-engine/reference/rest. «Seen» marks numbers taken from the
service's own error messages.
"""

from __future__ import annotations

MAX_REQUEST_BYTES = 10_485_760
"""Largest request body (usage guide, «payload size»)."""

MAX_COMPUTE_BYTES = 50_331_648
"""Largest answer of computePixels and getPixels, uncompressed: 48 MB (REST reference; seen)."""

MAX_COMPUTE_SIDE = 32_768
"""Longest side of a computePixels grid, pixels (REST reference; seen)."""

MAX_COMPUTE_BANDS = 1_024
"""Most bands of one computePixels answer (REST reference)."""

MAX_DOWNLOAD_BYTES = 33_554_432
"""Largest getDownloadURL answer, uncompressed: 32 MB (API reference; seen)."""

MAX_DOWNLOAD_SIDE = 10_000
"""Longest side of a getDownloadURL grid, pixels (API reference; seen)."""

MAX_CONCURRENT_REQUESTS = 40
"""Requests answered at once (usage guide, «concurrent interactive requests»)."""

INTERACTIVE_SECONDS = 300.0
"""How long one interactive answer may take (usage guide: 5 minutes)."""

DEFAULT_MAX_PIXELS = 100_000_000
"""`maxPixels` of an export that names none (API reference of `Export.image`)."""

MAX_QUEUED_TASKS = 3_000
"""Tasks that may wait (usage guide)."""

TASK_WORKERS = 2
"""Tasks run at once (usage guide, «concurrent batch tasks»)."""

MAX_TABLE_TEXT = 100_000
"""Characters of one string of a table (guide «Importing table data»)."""

MAX_TABLE_COLUMNS = 1_000
"""Properties of one feature of a table (the same guide)."""

MAX_REQUEST_ID = 60
"""Longest `requestId` of an export (REST reference of `ExportImageRequest`)."""

MAX_LIST_PAGE = 1_000
"""Assets or operations on one page where the request names no `pageSize`."""
