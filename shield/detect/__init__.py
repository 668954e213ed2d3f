"""Detection: rules count what sources do and raise alerts.

event -> (match) -> counter (window) -> alert; ``engine`` runs every rule over every event.
"""
