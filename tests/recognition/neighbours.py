"""
What other programs really say: protocols that meshlens does not know.

Each family makes one conversation out of dice: what the server says unasked, the request, and the answer.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from tests.recognition import nothings
from tests.recognition.dice import host, number, text, word

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.recognition.dice import Dice, Talk


def smtp(dice: Dice) -> Talk:
    """
    A mail server.
    """
    asked = dice.choice(
        [f"EHLO {host(dice)}", f"HELO {host(dice)}", f"MAIL FROM:<{word(dice)}@{host(dice)}>", "QUIT", "quit", "NOOP"]
    )
    return text(f"220 {host(dice)} ESMTP Postfix"), text(asked), text("250-PIPELINING", "250 SIZE 10240000")


def ftp(dice: Dice) -> Talk:
    """
    A file server.
    """
    asked = dice.choice([f"USER {word(dice)}", "PASV", "LIST", f"RETR {word(dice)}.txt", "STAT", "TYPE I", "quit"])
    return text("220 (vsFTPd 3.0.3)"), text(asked), text(f"{dice.choice([200, 227, 331, 530])} Please go on.")


def imap(dice: Dice) -> Talk:
    """
    A mailbox.
    """
    tag = f"a{number(dice, 999):03}"
    asked = dice.choice(
        [f"{tag} LOGIN {word(dice)} secret", f'{tag} SELECT "INBOX"', f"{tag} FETCH 1:* FLAGS", f"{tag} CAPABILITY"]
    )
    return text("* OK [CAPABILITY IMAP4rev1] Dovecot ready."), text(asked), text("* 3 EXISTS", f"{tag} OK done")


def pop3(dice: Dice) -> Talk:
    """
    A mailbox of the older kind.
    """
    asked = dice.choice([f"USER {word(dice)}", "STAT", "LIST", f"RETR {number(dice, 9)}", "QUIT", "CAPA"])
    return text("+OK POP3 ready"), text(asked), text(f"+OK {number(dice, 9)} {number(dice)}")


def ssh(dice: Dice) -> Talk:
    """
    A remote shell.
    """
    banner = f"SSH-2.0-OpenSSH_{dice.randrange(7, 10)}.{dice.randrange(9)}"
    packet = struct.pack(">IBB", 1000 + number(dice, 400), 6, 20) + dice.randbytes(120)
    return text(banner), text(f"SSH-2.0-Go_{number(dice, 99)}") + packet, packet


def rtsp(dice: Dice) -> Talk:
    """
    A camera.
    """
    asked = (
        f"{dice.choice(['OPTIONS', 'DESCRIBE', 'SETUP', 'PLAY'])} rtsp://{host(dice)}/stream{number(dice, 9)} RTSP/1.0"
    )
    return b"", text(asked, f"CSeq: {number(dice, 99)}", ""), text("RTSP/1.0 200 OK", "CSeq: 1", "")


def sip(dice: Dice) -> Talk:
    """
    A telephone.
    """
    asked = f"{dice.choice(['INVITE', 'REGISTER', 'OPTIONS'])} sip:{word(dice)}@{host(dice)} SIP/2.0"
    return b"", text(asked, f"Via: SIP/2.0/TCP {host(dice)}", ""), text("SIP/2.0 100 Trying", "")


def stomp(dice: Dice) -> Talk:
    """
    A broker of text.
    """
    asked = dice.choice(
        [f"CONNECT\naccept-version:1.2\nhost:{host(dice)}\n\n\0", f"SEND\ndestination:/queue/{word(dice)}\n\nhello\0"]
    )
    return b"", asked.encode(), b"CONNECTED\nversion:1.2\n\n\0"


def vnc(dice: Dice) -> Talk:
    """
    A remote screen.
    """
    return b"RFB 003.008\n", dice.choice([b"RFB 003.008\n", b"RFB 003.003\n"]), b"\1\2"


def bittorrent(dice: Dice) -> Talk:
    """
    A peer.
    """
    hand = b"\x13BitTorrent protocol" + dice.randbytes(8) + dice.randbytes(20)
    return b"", hand + b"-TR3000-" + dice.randbytes(12), hand + dice.randbytes(20)


def irc(dice: Dice) -> Talk:
    """
    A chat.
    """
    asked = dice.choice([f"NICK {word(dice)}", f"JOIN #{word(dice)}", f"PRIVMSG #{word(dice)} :hello", "PING :irc"])
    return b"", text(asked), text(f":{host(dice)} 001 {word(dice)} :Welcome")


def xmpp(dice: Dice) -> Talk:
    """
    A chat in XML.
    """
    stream = f"<?xml version='1.0'?><stream:stream to='{host(dice)}' xmlns='jabber:client' version='1.0'>"
    return b"", stream.encode(), b"<?xml version='1.0'?><stream:stream id='1'><stream:features/>"


def telnet(dice: Dice) -> Talk:
    """
    A terminal.
    """
    will = b"".join(bytes([255, dice.randrange(251, 255), dice.randrange(40)]) for _ in range(4))
    return will, will[:9], b"\r\nlogin: "


def beanstalk(dice: Dice) -> Talk:
    """
    A work queue.
    """
    body = word(dice)
    asked = dice.choice([f"put 0 0 60 {len(body)}\r\n{body}", f"use {word(dice)}", "reserve", f"bury {number(dice)} 1"])
    return b"", text(asked), text(dice.choice([f"INSERTED {number(dice)}", f"USING {word(dice)}", "TIMED_OUT"]))


def gearman(dice: Dice) -> Talk:
    """
    A work queue in binary.
    """
    body = f"{word(dice)}\0{number(dice)}\0data".encode()
    return b"", b"\0REQ" + struct.pack(">II", 7, len(body)) + body, b"\0RES" + struct.pack(">II", 8, 4) + b"H:1:"


def rtmp(dice: Dice) -> Talk:
    """
    A video.
    """
    return b"", b"\3" + struct.pack(">II", number(dice), 0) + dice.randbytes(300), b"\3" + dice.randbytes(300)


def socks(dice: Dice) -> Talk:
    """
    A proxy.
    """
    return (
        b"",
        dice.choice([b"\5\1\0", b"\5\2\0\2", b"\4\1\0\x50\x7f\0\0\1\0"]),
        dice.choice([b"\5\0", b"\0\x5a" + bytes(6)]),
    )


def smb(dice: Dice) -> Talk:
    """
    A shared folder.
    """
    body = b"\xfeSMB\x40\0" + dice.randbytes(60)
    return b"", struct.pack(">I", len(body)) + body, struct.pack(">I", len(body)) + body


def rdp(dice: Dice) -> Talk:
    """
    A remote desktop.
    """
    cookie = f"Cookie: mstshash={word(dice)}\r\n".encode()
    body = bytes([6 + len(cookie), 0xE0, 0, 0, 0, 0, 0]) + cookie
    return b"", struct.pack(">BBH", 3, 0, 4 + len(body)) + body, b"\3\0\0\x13\x0e\xd0\0\0\x12\x34\0\2\x1f\x08\0\2\0\0\0"


def tds(dice: Dice) -> Talk:
    """
    SQL Server.
    """
    body = b"\0\0\x15\0\6\1\0\x1b\0\1\2\0\x1c\0\1\3\0\x1d\0\4\xff" + dice.randbytes(12)
    return (
        b"",
        struct.pack(">BBHHBB", 0x12, 1, 8 + len(body), 0, 0, 0) + body,
        struct.pack(">BBHHBB", 4, 1, 48, 0, 1, 0) + bytes(40),
    )


def tns(dice: Dice) -> Talk:
    """
    Oracle.
    """
    body = f"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME={word(dice)}))(ADDRESS=(HOST={host(dice)})))".encode()
    return (
        b"",
        struct.pack(">HHBBHHH", 58 + len(body), 0, 1, 0, 0, 0x13A, 0x12C) + bytes(46) + body,
        b"\0\x20\0\0\2\0\0\0" + bytes(24),
    )


def rsync(dice: Dice) -> Talk:
    """
    A copy of files.
    """
    return text("@RSYNCD: 31.0"), f"@RSYNCD: 31.0\n{word(dice)}\n".encode(), b"@RSYNCD: OK\n"


def git(dice: Dice) -> Talk:
    """
    A repository.
    """
    body = f"git-upload-pack /{word(dice)}.git\0host={host(dice)}\0"
    return b"", f"{len(body) + 4:04x}{body}".encode(), b"003f" + dice.randbytes(20).hex().encode() + b" HEAD\n"


def x11(dice: Dice) -> Talk:
    """
    A window.
    """
    return (
        b"",
        struct.pack("<BBHHHHH", 0x6C, 0, 11, 0, 18, 16, 0) + b"MIT-MAGIC-COOKIE-1\0\0" + dice.randbytes(16),
        b"\1\0\x0b\0" + bytes(28),
    )


def sunrpc(dice: Dice) -> Talk:
    """
    A network file system.
    """
    call = struct.pack(">IIIIII", number(dice), 0, 2, 100003, 3, dice.randrange(20)) + bytes(24) + dice.randbytes(32)
    answer = struct.pack(">III", 1, 1, 0) + bytes(24)
    return b"", struct.pack(">I", 0x80000000 | len(call)) + call, struct.pack(">I", 0x80000000 | len(answer)) + answer


def modbus(dice: Dice) -> Talk:
    """
    A machine.
    """
    asked = struct.pack(">HHHBBHH", number(dice, 999), 0, 6, 1, 3, number(dice, 999), 10)
    return b"", asked, asked[:4] + struct.pack(">HBBB", 23, 1, 3, 20) + dice.randbytes(20)


def diameter(dice: Dice) -> Talk:
    """
    A telephone network.
    """
    body = dice.randbytes(4 * dice.randrange(10, 40))
    head = struct.pack(">BBHI", 1, 0, 20 + len(body), 0x80000101) + dice.randbytes(12)
    return b"", head + body, b"\1\0\0\x14\0\0\1\1" + head[8:20]


def bitcoin(dice: Dice) -> Talk:
    """
    A ledger.
    """
    body = dice.randbytes(86)
    message = b"\xf9\xbe\xb4\xd9version\0\0\0\0\0" + struct.pack("<I", len(body)) + dice.randbytes(4) + body
    return b"", message, message


def statsd(dice: Dice) -> Talk:
    """
    Metrics.
    """
    lines = "".join(f"{word(dice)}.{word(dice)}:{number(dice)}|{dice.choice('cgs')}\n" for _ in range(4))
    return b"", lines.encode(), b""


def graphite(dice: Dice) -> Talk:
    """
    Metrics in lines.
    """
    return (
        b"",
        "".join(f"{word(dice)}.{word(dice)} {number(dice)} 17{number(dice)}00\n" for _ in range(4)).encode(),
        b"",
    )


def syslog(dice: Dice) -> Talk:
    """
    A log.
    """
    return (
        b"",
        f"<{number(dice, 191)}>1 2026-01-01T00:00:00Z {host(dice)} {word(dice)} - - - it is {word(dice)}\n".encode(),
        b"",
    )


def haproxy(dice: Dice) -> Talk:
    """
    A balancer's console.
    """
    return b"", f"show {dice.choice(['stat', 'info', 'sess'])}\n".encode(), b"# pxname,svname,qcur\nweb,FRONTEND,0\n"


def proxied(dice: Dice) -> Talk:
    """
    What stands before a connection that a balancer passes on.
    """
    plain = f"PROXY TCP4 192.0.2.{number(dice, 255)} 192.0.2.1 {number(dice, 65535)} 443\r\n".encode()
    return b"", dice.choice([plain, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + dice.randbytes(12)]), dice.randbytes(40)


def clamav(dice: Dice) -> Talk:
    """
    A search for viruses.
    """
    return b"", dice.choice([b"zPING\0", b"zINSTREAM\0" + struct.pack(">I", 30) + dice.randbytes(30)]), b"PONG\0"


def shell(dice: Dice) -> Talk:
    """
    A program's own console, whose words are those of a cache.
    """
    asked = dice.choice(
        [
            f"get {word(dice)}\n",
            f"set {word(dice)} {number(dice)}\n",
            f"GET {word(dice)}\n",
            "stats\n",
            "help\r\n",
            "version\n",
        ]
    )
    return b"> ", asked.encode(), f"{word(dice)} is {number(dice)}\n> ".encode()


def looks_like_redis(dice: Dice) -> Talk:
    """
    Text with the signs of another.
    """
    asked = dice.choice(
        [
            f"*{word(dice)}*\n",
            f"${number(dice)}.00\r\n",
            f"+{word(dice)}\r\n",
            f"* {word(dice)}\r\n* {word(dice)}\r\n",
            f"*3\r\n{word(dice)}\r\n",
        ]
    )
    return b"", asked.encode(), f"- {word(dice)}\r\n".encode()


FAMILIES: Final[dict[str, Callable[[Dice], Talk]]] = {
    one.__name__: one
    for one in (
        *(smtp, ftp, imap, pop3, ssh, rtsp, sip, stomp, vnc, bittorrent, irc, xmpp, telnet, beanstalk, gearman, rtmp),
        *(socks, smb, rdp, tds, tns, rsync, git, x11, sunrpc, modbus, diameter, bitcoin, statsd, graphite, syslog),
        *(haproxy, proxied, clamav, shell, looks_like_redis),
        *(nothings.json_lines, nothings.prefixed_protobuf, nothings.prefixed_noise, nothings.message_pack),
        *(nothings.noise, nothings.letters, nothings.small_numbers, nothings.compressed, nothings.body_fragment),
        nothings.table,
    )
}
