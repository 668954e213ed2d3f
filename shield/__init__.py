"""shield: passive SIP attack detection, decisions and kernel blocking."""
