"""
A Thrift server and its client: `lab.py serve PORT binary framed`, and `lab.py call PORT binary framed order:7 ...`.

The server and the first client are thriftpy2's; `apache` in place of `call` is the client of Apache's own library.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from pathlib import Path
from typing import Any


def _module(name: str) -> Any:
    """
    Return a module that has no types, or wrong ones.
    """
    return importlib.import_module(name)


thriftpy2 = _module("thriftpy2")
apache_binary, apache_compact = _module("thrift.protocol.TBinaryProtocol"), _module("thrift.protocol.TCompactProtocol")
apache_transport, apache_socket = _module("thrift.transport.TTransport"), _module("thrift.transport.TSocket")
protocols, transports, rpc = (_module(f"thriftpy2.{name}") for name in ("protocol", "transport", "rpc"))
TException = thriftpy2.thrift.TException
CALL, STRING, STRUCT = 1, 11, 12

IDL = thriftpy2.load(str(Path(__file__).parent / "shop.thrift"), module_name="shop_thrift")
PROTOCOLS = {"binary": protocols.TBinaryProtocolFactory, "compact": protocols.TCompactProtocolFactory}
TRANSPORTS = {"framed": transports.TFramedTransportFactory, "buffered": transports.TBufferedTransportFactory}
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "order": ("4111111111111111", 7),
    "ping": (),
    "find": ("s3cr3t-key",),
    "broken": ("s3cr3t-note alice@example.org",),
    "slow": (1500,),
    "note": ("s3cr3t-note alice@example.org",),
    "absent": ("s3cr3t-key",),
}


class Shop:
    """
    What the server does.
    """

    def order(self, card: str, amount: int) -> str:
        """
        Answer with what was asked.
        """
        return f"made {amount} for {card}"

    def ping(self) -> None:
        """
        Answer with nothing.
        """

    def find(self, key: str) -> str:
        """
        Answer with the exception that the interface declares.
        """
        raise IDL.Missing(what=key)

    def broken(self, note: str) -> str:
        """
        Fail without a declared exception.
        """
        raise ValueError(note)

    def slow(self, milliseconds: int) -> str:
        """
        Answer late.
        """
        time.sleep(milliseconds / 1000)
        return "late"

    def note(self, text: str) -> None:
        """
        Answer never.
        """


class Quiet(thriftpy2.thrift.TProcessor):  # type: ignore[misc, name-defined]  # its base has no type here
    """
    Answers an undeclared failure as Apache's library does, instead of closing the connection.
    """

    def process(self, iprot: Any, oprot: Any) -> Any:
        """
        Take one call.
        """
        api, seqid, result, call = self.process_in(iprot)
        if isinstance(result, TException):
            return self.send_exception(oprot, api, result, seqid)
        try:
            result.success = call()
        except IDL.Missing as error:
            result.missing = error
        except ValueError as error:
            failure = thriftpy2.thrift.TApplicationException(6, str(error))
            return self.send_exception(oprot, api, failure, seqid)
        return None if result.oneway else self.send_result(oprot, api, result, seqid)


def serve(port: int, encoding: str, transport: str, *multiplexed: str) -> None:
    """
    Serve for ever.
    """
    processor: Any = Quiet(IDL.Shop, Shop())
    if multiplexed:
        processor, one = thriftpy2.thrift.TMultiplexedProcessor(), processor
        processor.register_processor("Shop", one)
    server = _module("thriftpy2.server").TThreadedServer(
        processor,
        transports.TServerSocket("127.0.0.1", port),
        iprot_factory=PROTOCOLS[encoding](),
        itrans_factory=TRANSPORTS[transport](),
    )
    server.serve()


def call(port: int, encoding: str, transport: str, *words: str) -> None:
    """
    Call what the words say, as often as they say, over one connection.
    """
    factory = PROTOCOLS[encoding]()
    if "multiplexed" in words:
        factory = protocols.TMultiplexedProtocolFactory(factory, "Shop")
    client = rpc.make_client(
        IDL.Wider,
        "127.0.0.1",
        port,
        proto_factory=factory,
        trans_factory=TRANSPORTS[transport](),
        timeout=10000,
    )
    for word in words:
        name, _, count = word.partition(":")
        for _ in range(int(count or 0)):
            with contextlib.suppress(TException):
                getattr(client, name)(*ARGUMENTS[name])
    client.close()


def apache(port: int, encoding: str, transport: str, *words: str) -> None:
    """
    Call `order` with Apache's library, whose generated code is written out here.
    """
    wrap = {"framed": apache_transport.TFramedTransport, "buffered": apache_transport.TBufferedTransport}[transport]
    kind = {"binary": apache_binary.TBinaryProtocol, "compact": apache_compact.TCompactProtocol}[encoding]
    connection = wrap(apache_socket.TSocket("127.0.0.1", port))
    connection.open()
    protocol = kind(connection)
    for number in range(sum(int(word.partition(":")[2]) for word in words)):
        protocol.writeMessageBegin("order", CALL, number)
        protocol.writeStructBegin("order_args")
        protocol.writeFieldBegin("card", STRING, 1)
        protocol.writeString(ARGUMENTS["order"][0])
        protocol.writeFieldEnd()
        protocol.writeFieldStop()
        protocol.writeStructEnd()
        protocol.writeMessageEnd()
        connection.flush()
        protocol.readMessageBegin()
        protocol.skip(STRUCT)
        protocol.readMessageEnd()
    connection.close()


if __name__ == "__main__":
    {"serve": serve, "call": call, "apache": apache}[sys.argv[1]](int(sys.argv[2]), *sys.argv[3:])
