"""What counts as this machine's loopback: where an open listener may be, and for whom it may be asked."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether `host` is `localhost`, in any case, or a loopback address (an IPv6 one without brackets)."""
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
