"""The blocklist: alert -> policy -> decision -> cache, with allowlist, journal and formats."""
