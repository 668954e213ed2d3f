"""SIP: messages, header values, URIs, transactions; sans-IO.

bytes -> message -> (transactions) -> event. ``layer`` holds the scapy view and is imported on demand.
"""
