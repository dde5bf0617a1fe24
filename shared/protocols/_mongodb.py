"""
The words and numbers of MongoDB: commands, the keys that may be shown, and who is at fault for a code.

https://www.mongodb.com/docs/manual/reference/command/
"""

from __future__ import annotations

from typing import Final

COLLECTION_COMMANDS: Final = frozenset(
    b"aggregate analyze collMod collStats compact count create createIndexes createSearchIndexes dataSize delete "
    b"distinct drop dropIndexes find findAndModify findandmodify geoNear geoSearch getMore group insert killCursors "
    b"listIndexes listSearchIndexes mapReduce mapreduce parallelCollectionScan planCacheClear reIndex update "
    b"validate".split()
)
"""Commands whose value, or whose `collection`, names a collection."""
HELLOS: Final = frozenset((b"hello", b"isMaster", b"ismaster"))
FOLLOWING: Final = frozenset(
    b"$db $readPreference $clusterTime lsid txnNumber autocommit startTransaction readConcern writeConcern collection "
    b"maxTimeMS maxAwaitTimeMS topologyVersion helloOk client compression loadBalanced ordered documents updates "
    b"deletes filter query sort projection skip limit batchSize singleBatch cursor pipeline key fields new upsert "
    b"remove update indexes index hint collation let comment mechanism payload options autoAuthorize "
    b"conversationId saslSupportedMechs speculativeAuthenticate nameOnly authorizedDatabases cursors "
    b"bypassDocumentValidation tailable awaitData noCursorTimeout allowPartialResults allowDiskUse".split()
)
"""Keys of commands that may leave the node."""
REPLY_KEYS: Final = frozenset(
    b"ok code codeName errmsg n nModified upserted writeErrors writeConcernError cursor values value lastErrorObject "
    b"electionId opTime $clusterTime operationTime errorLabels connectionId maxBsonObjectSize maxMessageSizeBytes "
    b"maxWriteBatchSize localTime logicalSessionTimeoutMinutes minWireVersion maxWireVersion readOnly "
    b"isWritablePrimary ismaster helloOk topologyVersion setName secondary conversationId done payload err".split()
)
ENTRIES: Final = frozenset((b"0",))
ERROR_KEYS: Final = frozenset((b"index", b"code", b"codeName", b"errmsg"))

CALLER_AT_FAULT: Final = frozenset(
    (2, 9, 11, 13, 14, 15, 16, 17, 18, 20, 22, 26, 27, 28, 31, 36, 40, 43, 48, 52, 53, 54, 56, 57, 59, 61, 66, 67, 68,
     69, 72, 73, 85, 86, 96, 115, 121, 159, 160, 165, 166, 167, 168, 197, 225, 238, 251, 263, 303, 11000, 11001, 12582)
)  # fmt: skip
"""Codes of what the caller should not have asked; every other one is the server's failure."""
PARSER_CODES: Final = range(10003, 60000)
"""Codes of places in the server that refuse an expression, but for a few below 11000 that have another meaning."""
SERVER_CODES: Final = frozenset((10058, 10107, 11600, 11602, 13388, 13435, 13436))
"""Not primary, interrupted, a stale view of the shards."""


def caller_at_fault(code: int) -> bool:
    """
    Return whether a failure of this *code* is the caller's.
    """
    return code in CALLER_AT_FAULT or (code in PARSER_CODES and code not in SERVER_CODES)
