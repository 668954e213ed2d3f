"""The kernel drops what the blocklist decided.

``feed`` keeps the wanted state and repairs the kernel; ``backend`` is what it needs from a kernel
firewall; ``nftables`` (with ``nft_messages`` and ``nft_netlink``), ``iptables`` (with ipset) and
``dryrun`` are the backends, listed in ``registry``; ``cover`` keeps networks from overlapping,
``settings`` says what can be configured, ``run`` starts the firewall programs.
"""
