"""
Elasticsearch and OpenSearch over HTTP: which addresses are theirs, and what is asked of which index.

https://www.elastic.co/docs/api/doc/elasticsearch and
https://opentelemetry.io/docs/specs/semconv/database/elasticsearch/

Only addresses that nobody else uses are taken for theirs; where the server says its name, all are.
"""

from __future__ import annotations

import re
from typing import Final

from shared.protocols._collapse import ID, is_id

SYSTEM: Final = "elasticsearch"

OPERATIONS: Final = {
    b"_search": "search",
    b"_msearch": "msearch",
    b"_async_search": "async_search.submit",
    b"_count": "count",
    b"_bulk": "bulk",
    b"_mget": "mget",
    b"_source": "get_source",
    b"_update": "update",
    b"_create": "create",
    b"_delete_by_query": "delete_by_query",
    b"_update_by_query": "update_by_query",
    b"_reindex": "reindex",
    b"_field_caps": "field_caps",
    b"_termvectors": "termvectors",
    b"_mtermvectors": "mtermvectors",
    b"_search_shards": "search_shards",
    b"_knn_search": "knn_search",
    b"_rank_eval": "rank_eval",
    b"_pit": "open_point_in_time",
    b"_refresh": "indices.refresh",
    b"_flush": "indices.flush",
    b"_forcemerge": "indices.forcemerge",
    b"_mapping": "indices.mapping",
    b"_mappings": "indices.mapping",
    b"_settings": "indices.settings",
    b"_alias": "indices.alias",
    b"_aliases": "indices.aliases",
    b"_rollover": "indices.rollover",
    b"_shrink": "indices.shrink",
    b"_split": "indices.split",
    b"_clone": "indices.clone",
    b"_data_stream": "indices.data_stream",
    b"_index_template": "indices.index_template",
    b"_component_template": "cluster.component_template",
    b"_cat": "cat",
    b"_cluster": "cluster",
    b"_ingest": "ingest",
    b"_snapshot": "snapshot",
    b"_ilm": "ilm",
}
"""The first such word of an address says what is asked; `_doc` goes by the method."""
GROUPS: Final = frozenset({b"_cat", b"_cluster", b"_ingest", b"_snapshot", b"_ilm"})
"""Words behind which the next one says more: `cat.indices`."""
OF_AN_INDEX: Final = frozenset(
    {b"_source", b"_create", b"_update", b"_termvectors", b"_rollover", b"_shrink", b"_split", b"_clone", b"_settings"}
)
"""Words that say nothing without an index before them."""
OF_A_DOCUMENT: Final = frozenset({b"_doc", b"_create", b"_update", b"_source", b"_termvectors"})
"""Words behind which comes the id of a document."""
BY_METHOD: Final = {"GET": "get", "HEAD": "exists", "PUT": "index", "POST": "index", "DELETE": "delete"}
OF_THE_INDEX: Final = {
    "GET": "indices.get",
    "HEAD": "indices.exists",
    "PUT": "indices.create",
    "DELETE": "indices.delete",
}

_WORD: Final = re.compile(rb"[a-z][a-z_]{0,31}\Z")
_INDEX: Final = re.compile(rb"[a-z0-9.*][a-z0-9._*,-]{0,79}\Z")


def ids(segments: list[bytes]) -> set[int]:
    """
    Return which of a path's *segments* are ids of documents, whatever they look like.
    """
    return {at + 1 for at in range(1, len(segments) - 1) if segments[at] in OF_A_DOCUMENT and segments[at - 1] != b""}


def described(method: str, path: bytes, says_so: bool) -> dict[str, str | int]:
    """
    Return what *path* asks for, nothing when it may be another's.

    Args:
        says_so: the server said that it is Elasticsearch.
    """
    first, *rest = path[1:].split(b"/")
    index, words = ("", [first, *rest]) if first.startswith(b"_") else (_index(first), rest)
    operation = _operation(method, words, index) if words and (index or first.startswith(b"_")) else ""
    if not operation and says_so:
        operation = OF_THE_INDEX.get(method, "") if index and not words else "info" if not first else ""
    if not operation:
        return {"db.system.name": SYSTEM} if says_so else {}
    found: dict[str, str | int] = {"db.system.name": SYSTEM, "db.operation.name": operation}
    if index and index != ID:
        found["db.collection.name"] = index
    return found


def _index(segment: bytes) -> str:
    """
    Return the index, `{id}` for one that is masked or one of a series (`logs-2024.05.01`), empty for what is none.
    """
    if not segment or (not _INDEX.match(segment) and segment.strip(b"*")):
        return ""
    return ID if is_id(segment) else segment.decode("ascii")


def _operation(method: str, words: list[bytes], index: str) -> str:
    word = words[0]
    if word == b"_doc":
        return BY_METHOD.get(method, "") if index else ""
    found = OPERATIONS.get(word, "") if index or word not in OF_AN_INDEX else ""
    if word == b"_search" and len(words) > 1:
        return "scroll" if words[1] == b"scroll" else "search_template" if words[1] == b"template" else ""
    if word in GROUPS:
        return f"{found}.{words[1].decode('ascii')}" if len(words) > 1 and _WORD.match(words[1]) else found
    return found
