"""Conferences: which node hosts which conference, so that all calls to its number meet there."""
