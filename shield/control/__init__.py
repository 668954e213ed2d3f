"""The local control socket: how commands talk to the running daemon.

``commands`` is the table of commands and ``protocol`` their lines (both without I/O), ``server``
is the daemon's side, ``client`` the command line's, ``settings`` where the socket lies.
"""
