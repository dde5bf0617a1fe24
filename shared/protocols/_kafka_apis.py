"""
Kafka's requests: their numbers, versions, and what lies where in those that are looked into.

A layout is a line of fields, `name:kind@versions`; `name[...]` is an array of them. A struct ends in tagged fields from
the first flexible version on, which also makes lengths of strings and arrays varints. Only what comes before the last
thing worth knowing is written down: what is behind it is passed over, and masked.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

LAST: Final = 0x7FFF
"""The highest number of a version."""


class Field(msgspec.Struct, frozen=True):
    """
    One field of a layout; an array when it has *fields*.
    """

    name: str
    kind: str
    first: int
    last: int
    fields: tuple[Field, ...] = ()


class Api(msgspec.Struct, frozen=True):
    """
    One kind of request.
    """

    name: str
    last: int
    """The highest version that the layouts are known for."""
    flexible: int
    """The first version with tagged fields."""
    request: tuple[Field, ...] = ()
    response: tuple[Field, ...] = ()
    whole: bool = False
    """Whether the request's layout reaches to the end of the message."""


_TOKEN: Final = re.compile(r"(\w+)(?::(\w+))?(?:@(\d*)(-|\+)?(\d*))?(\[)?|(\])")


def layout(text: str) -> tuple[Field, ...]:
    """
    Return the fields that *text* describes.
    """
    stack: list[tuple[Field | None, list[Field]]] = [(None, [])]
    for token in _TOKEN.finditer(text):
        name, kind, first, sign, last, opens, closes = token.groups()
        if closes:
            array, inside = stack.pop()
            if array is not None:
                stack[-1][1].append(Field(array.name, "array", array.first, array.last, tuple(inside)))
            continue
        until = int(last) if last else int(first) if first and not sign else LAST
        field = Field(name, kind or "array", int(first or 0), until)
        if opens:
            stack.append((field, []))
        else:
            stack[-1][1].append(field)
    return tuple(stack[0][1])


_THROTTLED: Final = "throttle_ms:i32@{} error:i16"
_TOPIC_ERRORS: Final = (
    "throttle_ms:i32@{} topics[topic:name@-{} topic_id:uuid@{}+ partitions[partition:i32 error:i16{}]]"
)

_PRODUCE: Final = (
    "transaction:name@3+ acks:i16 timeout_ms:i32 topics[topic:name@-12 topic_id:uuid@13+ "
    "partitions[partition:i32 records:batch]]",
    "topics[topic:name@-12 topic_id:uuid@13+ partitions[partition:i32 error:i16 base_offset:i64 time:i64@2+ "
    "start_offset:i64@5+ record_errors@8+[index:i32 message:text] message:text@8+]] throttle_ms:i32@1+",
)
_FETCH: Final = (
    "replica:i32@-14 max_wait_ms:i32 min_bytes:i32 max_bytes:i32@3+ isolation:i8@4+ session:i32@7+ "
    "session_epoch:i32@7+ topics[topic:name@-12 topic_id:uuid@13+ partitions[partition:i32 leader_epoch:i32@9+ "
    "offset:i64 fetched_epoch:i32@12+ start_offset:i64@5+ partition_bytes:i32]] "
    "forgotten@7+[topic:name@-12 topic_id:uuid@13+ partitions:i32s] rack:name@11+",
    "throttle_ms:i32@1+ error:i16@7+ session:i32@7+ topics[topic:name@-12 topic_id:uuid@13+ partitions[partition:i32 "
    "error:i16 high_watermark:i64 stable_offset:i64@4+ start_offset:i64@5+ aborted@4+[producer:i64 offset:i64] "
    "read_replica:i32@11+ records:batch]]",
)
_METADATA: Final = (
    "topics[topic_id:uuid@10+ topic:name] create:i8@4+ cluster_operations:i8@8-10 topic_operations:i8@8+",
    "throttle_ms:i32@3+ brokers[node:i32 host:name port:i32 rack:name@1+] cluster:name@2+ controller:i32@1+ "
    "topics[error:i16 topic:name topic_id:uuid@10+ internal:i8@1+ partitions[error:i16 partition:i32 leader:i32 "
    "leader_epoch:i32@7+ replicas:i32s isr:i32s offline:i32s@5+] operations:i32@8+]",
)
_LIST_OFFSETS: Final = (
    "replica:i32 isolation:i8@2+ topics[topic:name partitions[partition:i32 leader_epoch:i32@4+ time:i64 "
    "offsets:i32@-0]] timeout_ms:i32@10+",
    _TOPIC_ERRORS.format("2+", LAST, LAST, " offsets:i64s@-0 time:i64@1+ offset:i64@1+ leader_epoch:i32@4+"),
)
_OFFSET_COMMIT: Final = (
    "group:name generation:i32@1+ member:name@1+ instance:name@7+ retention_ms:i64@2-4 topics[topic:name@-9 "
    "topic_id:uuid@10+ partitions[partition:i32 offset:i64 leader_epoch:i32@6+ time:i64@1 metadata:text]]",
    _TOPIC_ERRORS.format("3+", 9, 10, ""),
)
_OFFSET_FETCH: Final = (
    "group:name@-7 topics@-7[topic:name partitions:i32s] groups@8+[group:name member:name@9+ "
    "member_epoch:i32@9+ topics[topic:name@-9 topic_id:uuid@10+ partitions:i32s]] stable:i8@7+",
    "throttle_ms:i32@3+ topics@-7[topic:name partitions[partition:i32 offset:i64 leader_epoch:i32@5-7 metadata:text "
    "error:i16]] error:i16@2-7 groups@8+[group:name topics[topic:name@-9 topic_id:uuid@10+ partitions[partition:i32 "
    "offset:i64 leader_epoch:i32 metadata:text error:i16]] error:i16]",
)
_COORDINATOR: Final = (
    "key:name@-3 key_type:i8@1+ keys:names@4+",
    "throttle_ms:i32@1+ error:i16@-3 message:text@1-3 node:i32@-3 host:name@-3 port:i32@-3 "
    "coordinators@4+[key:name node:i32 host:name port:i32 error:i16 message:text]",
)
_JOIN: Final = (
    "group:name session_ms:i32 rebalance_ms:i32@1+ member:name instance:name@5+ protocol_type:name "
    "protocols[protocol:name metadata:bytes] reason:text@8+",
    "throttle_ms:i32@2+ error:i16 generation:i32 protocol_type:name@7+ protocol:name leader:name",
)
_CREATE: Final = (
    "topics[topic:name partition_count:i32 replication:i16 assignments[partition:i32 brokers:i32s] "
    "configs[key:text value:text]] timeout_ms:i32 validate:i8@1+",
    "throttle_ms:i32@2+ topics[topic:name topic_id:uuid@7+ error:i16 message:text@1+ partition_count:i32@5+ "
    "replication:i16@5+ configs@5+[key:text value:text read_only:i8 source:i8 sensitive:i8]]",
)
_DELETE: Final = (
    "topics@6+[topic:name topic_id:uuid] names:names@-5 timeout_ms:i32",
    "throttle_ms:i32@1+ topics[topic:name topic_id:uuid@6+ error:i16 message:text@5+]",
)
_HEARTBEAT: Final = ("group:name generation:i32 member:name instance:name@3+", _THROTTLED.format("1+"))
_LEAVE: Final = (
    "group:name member:name@-2 members@3+[member:name instance:name reason:text@5+]",
    _THROTTLED.format("1+"),
)
_SYNC: Final = (
    "group:name generation:i32 member:name instance:name@3+ protocol_type:name@5+ protocol:name@5+ "
    "assignments[member:name assignment:bytes]",
    _THROTTLED.format("1+"),
)
_PRODUCER_ID: Final = (
    "transaction:name timeout_ms:i32 producer:i64@3+ epoch:i16@3+",
    _THROTTLED.format("0+") + " producer:i64 epoch:i16",
)
_END: Final = ("transaction:name producer:i64 epoch:i16 committed:i8", _THROTTLED.format("0+"))
_HANDSHAKE: Final = ("mechanism:name", "error:i16 mechanisms:names")
_AUTHENTICATE: Final = ("secret:bytes", "error:i16 message:text secret:bytes session_ms:i64@1+")
_VERSIONS: Final = ("software:name@3+ software_version:name@3+", "error:i16")
_GROUP_HEARTBEAT: Final = ("group:name member:name member_epoch:i32", "throttle_ms:i32 error:i16 message:text")
_DESCRIBE_GROUPS: Final = ("groups:names operations:i8@3+", "throttle_ms:i32@1+")


def _api(name: str, last: int, flexible: int, layouts: tuple[str, str] = ("", ""), *, whole: bool = True) -> Api:
    request, response = (layout(text) for text in layouts)
    return Api(name, last, flexible, request, response, whole and bool(request))


def _bare(names: str) -> dict[int, Api]:
    rows = (row.split(":") for row in names.split())
    return {int(key): _api(name, int(last), int(flexible)) for key, name, last, flexible in rows}


APIS: Final[dict[int, Api]] = {
    0: _api("Produce", 13, 9, _PRODUCE),
    1: _api("Fetch", 18, 12, _FETCH),
    2: _api("ListOffsets", 11, 6, _LIST_OFFSETS),
    3: _api("Metadata", 13, 9, _METADATA),
    8: _api("OffsetCommit", 10, 8, _OFFSET_COMMIT),
    9: _api("OffsetFetch", 10, 6, _OFFSET_FETCH),
    10: _api("FindCoordinator", 6, 3, _COORDINATOR),
    11: _api("JoinGroup", 9, 6, _JOIN),
    12: _api("Heartbeat", 4, 4, _HEARTBEAT),
    13: _api("LeaveGroup", 5, 4, _LEAVE),
    14: _api("SyncGroup", 5, 4, _SYNC),
    15: _api("DescribeGroups", 6, 5, _DESCRIBE_GROUPS),
    16: _api("ListGroups", 5, 3, ("", _THROTTLED.format("1+"))),
    17: _api("SaslHandshake", 1, LAST, _HANDSHAKE),
    18: _api("ApiVersions", 4, 3, _VERSIONS),
    19: _api("CreateTopics", 7, 5, _CREATE),
    20: _api("DeleteTopics", 6, 4, _DELETE),
    22: _api("InitProducerId", 6, 2, _PRODUCER_ID, whole=False),
    25: _api("AddOffsetsToTxn", 4, 3, ("transaction:name producer:i64 epoch:i16 group:name", _THROTTLED.format("0+"))),
    26: _api("EndTxn", 5, 3, _END),
    36: _api("SaslAuthenticate", 2, 2, _AUTHENTICATE),
    68: _api("ConsumerGroupHeartbeat", 1, 0, _GROUP_HEARTBEAT, whole=False),
    **_bare(
        "4:LeaderAndIsr:7:4 5:StopReplica:4:2 6:UpdateMetadata:8:6 7:ControlledShutdown:3:3 21:DeleteRecords:2:2 "
        "23:OffsetForLeaderEpoch:4:4 24:AddPartitionsToTxn:5:3 27:WriteTxnMarkers:2:1 28:TxnOffsetCommit:5:3 "
        "29:DescribeAcls:3:2 30:CreateAcls:3:2 31:DeleteAcls:3:2 32:DescribeConfigs:4:4 33:AlterConfigs:2:2 "
        "34:AlterReplicaLogDirs:2:2 35:DescribeLogDirs:5:2 37:CreatePartitions:3:2 38:CreateDelegationToken:3:2 "
        "39:RenewDelegationToken:2:2 40:ExpireDelegationToken:2:2 41:DescribeDelegationToken:3:2 42:DeleteGroups:2:2 "
        "43:ElectLeaders:2:2 44:IncrementalAlterConfigs:1:1 45:AlterPartitionReassignments:1:0 "
        "46:ListPartitionReassignments:0:0 47:OffsetDelete:0:32767 48:DescribeClientQuotas:1:1 "
        "49:AlterClientQuotas:1:1 "
        "50:DescribeUserScramCredentials:0:0 51:AlterUserScramCredentials:0:0 52:Vote:2:0 53:BeginQuorumEpoch:1:1 "
        "54:EndQuorumEpoch:1:1 55:DescribeQuorum:2:0 56:AlterPartition:3:0 57:UpdateFeatures:2:0 58:Envelope:0:0 "
        "59:FetchSnapshot:1:0 60:DescribeCluster:2:0 61:DescribeProducers:0:0 62:BrokerRegistration:4:0 "
        "63:BrokerHeartbeat:1:0 64:UnregisterBroker:0:0 65:DescribeTransactions:0:0 66:ListTransactions:2:0 "
        "67:AllocateProducerIds:0:0 69:ConsumerGroupDescribe:1:0 70:ControllerRegistration:0:0 "
        "71:GetTelemetrySubscriptions:0:0 72:PushTelemetry:0:0 73:AssignReplicasToDirs:0:0 74:ListConfigResources:1:0 "
        "75:DescribeTopicPartitions:0:0 76:ShareGroupHeartbeat:1:0 77:ShareGroupDescribe:1:0 78:ShareFetch:2:0 "
        "79:ShareAcknowledge:2:0 80:AddRaftVoter:1:0 81:RemoveRaftVoter:0:0 82:UpdateRaftVoter:0:0 "
        "83:InitializeShareGroupState:0:0 84:ReadShareGroupState:0:0 85:WriteShareGroupState:1:0 "
        "86:DeleteShareGroupState:0:0 87:ReadShareGroupStateSummary:1:0 88:StreamsGroupHeartbeat:0:0 "
        "89:StreamsGroupDescribe:0:0 90:DescribeShareGroupOffsets:1:0 91:AlterShareGroupOffsets:0:0 "
        "92:DeleteShareGroupOffsets:0:0"
    ),
}
"""https://kafka.apache.org/protocol#protocol_api_keys"""
