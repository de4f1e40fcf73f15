"""yamux 1.0.0: many streams with flow control over one connection, as a state machine without I/O.

Theory of operation. A frame is a header of 12 bytes (version 0, type, flags, stream id, length, big endian) and, for
data, `length` bytes. A stream is opened by SYN, acknowledged by ACK, half closed by FIN, killed by RST; the initiator
of the connection opens odd ids, the responder even ones. Each side may send as many bytes on a stream as the other
granted: 256 KiB at first, then what window updates add. Pings and go-away belong to the session, stream 0.

Rules:

1. `send` takes what the window and the queue allow and says how much that was. If it took less than offered, then
   either `send_window` is 0, and a `SendWindowOpened` will tell when to go on, or the queue is full, and the caller
   goes on after `data_to_send`.
2. The application says by `acknowledge` what it has consumed; when that is half the window, it is granted again. If
   that took less than `ROUND_TRIPS_A_GRANT` round trips, the window is what holds the other side up, and doubles: so
   it comes to fit the bandwidth-delay product. A reader that is slow keeps the window that it has. Growth is reserved
   in a budget first; a window does not grow where that says no, nor over its limit.
3. Data events carry what has come, in pieces if need be: no frame is waited for, and none is buffered.
4. Writes on one stream in a row become one frame, as far as it holds them and nobody asked for the bytes in between.
5. A stream is forgotten when both sides closed it or one reset it, and then costs nothing. Frames that cross with
   that are dropped: the data among them against an allowance, which each of our resets raises by what the other
   side may still have sent in good faith.
6. Everything that grows has a limit in `YamuxLimits`, and the remote hitting one is refused or an error.

SYN and ACK travel as window updates, FIN and RST as empty data frames: the spelling that every implementation takes.
An incoming stream is acknowledged when the application first does something with it (the ACK backlog of the libp2p
text): `accept` alone, or any other call on it.

`session` is one side of a session, `frames` the header and what is queued to be sent, `flow_control` a stream's
windows, `limits` the bounds, and `events` what the application is told.

Source: hashicorp/yamux, spec.md; libp2p specifications, "yamux". That windows grow by the round trip is done by the
implementations for Go and Rust, too, and needs nothing of the other side.
"""
