"""Redirect responder: tells proxies over SIP where a user or a conference is (RFC 3261 section 8.3)."""
