"""shield: passive SIP attack detection, kernel blocking and blocklist sharing."""
