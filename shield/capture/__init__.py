"""Capture: from frames on the wire to SIP messages.

``source`` says where frames come from: ``live`` (interfaces) and ``pcap`` (capture files, read
by ``pcapfile``). ``decoder`` turns one frame into the SIP messages it completes: ``link``
finds the IP packet, ``packet`` reads it, ``slow`` asks scapy about everything unusual,
``tunnels`` finds the packet inside, ``fragments`` joins IP fragments (in all ``readings`` that
receivers may have), ``stream`` joins TCP segments (``replay`` looks at bytes that come twice),
``framing`` and ``websocket`` cut messages out of a byte stream, ``content`` tells SIP from
keep-alives. ``bpf`` writes the kernel's filter, ``settings`` holds what an operator may change,
``stats`` what he wants to know.

Nothing here knows what a SIP header field means except Content-Length; nothing loads scapy
before the first frame needs it.
"""
