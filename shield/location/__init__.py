"""User location: which address-of-record is bound where, learned from registrations that succeeded."""
