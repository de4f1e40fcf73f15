"""The connection that docs/wire.md shows in bytes: two peers with fixed keys, from the first byte to a ping."""

from peernet.core import ping
from peernet.core.connection import Connection, NoiseIdentity
from peernet.core.identify import Identify, encode_identify
from peernet.core.identity import Keypair
from peernet.core.multistream import Dialer
from peernet.core.suite import MixedSuite
from peernet.core.wire import frame
from peernet.core.yamux.session import Yamux
from peernet.net.addresses import binary_address

SUITE = MixedSuite()
DIALLER = Keypair.from_seed(b"\x01" * 32, SUITE)
LISTENER = Keypair.from_seed(b"\x04" * 32, SUITE)
SWARM_KEY = b"\x07" * 32


def dialler(swarm_key: bytes | None = None) -> Connection:
    identity = NoiseIdentity.of(DIALLER, b"\x02" * 32, SUITE)
    return Connection(SUITE, identity, initiator=True, ephemeral_secret=b"\x03" * 32, swarm_key=swarm_key)


def connection_examples() -> dict[str, bytes]:
    """What is shown, by its name on the page."""
    identity = NoiseIdentity.of(LISTENER, b"\x05" * 32, SUITE)
    one, two = dialler(), Connection(SUITE, identity, initiator=False, ephemeral_secret=b"\x06" * 32)
    first = one.data_to_send()
    two.receive(first)
    second = two.data_to_send()
    one.receive(second)
    third = one.data_to_send()
    two.receive(third)
    assert one.handshake_hash == two.handshake_hash

    frames = Yamux(initiator=True)
    stream = frames.open_stream()
    syn = frames.data_to_send()
    frames.send(stream, Dialer([ping.PROTOCOL]).data_to_send() + bytes(range(ping.PING_SIZE)))
    data = frames.data_to_send()
    stream = one.yamux.open_stream()
    one.yamux.send(stream, Dialer([ping.PROTOCOL]).data_to_send() + bytes(range(ping.PING_SIZE)))
    sealed = one.data_to_send()
    frames.close(stream)
    fin = frames.data_to_send()
    frames.reset(stream)
    rst = frames.data_to_send()
    frames.ping(9)
    asked = frames.data_to_send()
    frames.go_away()
    gone = frames.data_to_send()

    said = Identify(
        LISTENER.peer_id,
        protocol_version="/peernet/1",
        agent_version="peernet/0.1.0",
        listen_addresses=(binary_address("/ip4/203.0.113.7/tcp/4101"),),
        observed_address=binary_address("/ip4/198.51.100.9"),
        protocols=(ping.PROTOCOL,),
    )
    return {
        "who dials: header, /noise, Noise message 1": first,
        "the same in the private swarm of 07 * 32": dialler(SWARM_KEY).data_to_send(),
        "who answers: header, /noise, Noise message 2": second,
        "its payload in the clear": identity.payload(early_muxer=True),
        "who dials: Noise message 3": third,
        "that handshake's hash": one.handshake_hash,
        "yamux: SYN of stream 1": syn,
        "yamux: header, /ipfs/ping/1.0.0, and the ping 00..1f": data,
        "both, as who dials sends them": sealed,
        "yamux: FIN of stream 1": fin,
        "yamux: RST of stream 1": rst,
        "yamux: ping 9": asked,
        "yamux: go away, normal": gone,
        "identify of who answers, framed": frame(encode_identify(said)),
    }
