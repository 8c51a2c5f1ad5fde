"""The hosts that this server goes by, and whether its user sits at the same computer.

A web page can give its own host name the address of the user's computer (DNS rebinding) and then
read whatever a server there sends. The browser still names the page's host in the request, so only
requests for a host in this list are meant for this server.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

import streamlit as st
from streamlit import config

LOOPBACK = ("localhost", "127.0.0.1", "::1")
HOSTS_OPTION = "server.allowedHosts"  # of Streamlit, which itself checks its websocket only
ADDRESS_OPTIONS = ("server.address", "browser.serverAddress")
EVERY_INTERFACE = ("", "0.0.0.0", "::")  # addresses to listen on, not hosts to ask for
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")  # a proxy adds them


def configured_hosts() -> tuple[str, ...]:
    """Return the hosts that this server goes by.

    Returns:
        Lowercase names and addresses: those of the computer itself, the configured address of the
        server, and those of Streamlit's option ``server.allowedHosts``, where ``*.example.org``
        stands for every host below a domain and ``*`` for every host.
    """
    named = [st.get_option(option) or "" for option in ADDRESS_OPTIONS]
    given = [*named, *(st.get_option(HOSTS_OPTION) or ())]
    hosts = (_bare(host) for host in given)
    return tuple(dict.fromkeys((*LOOPBACK, *(h for h in hosts if h not in EVERY_INTERFACE))))


def allow_own_hosts() -> None:
    """Let Streamlit's check of its websocket accept every host that this server goes by."""
    if st.get_option(HOSTS_OPTION):
        config.set_option(HOSTS_OPTION, list(configured_hosts()), "the hosts of the workbench")


def host_of(authority: str) -> str | None:
    """Return the host of an authority, e.g. ``localhost`` of ``localhost:8501``.

    Args:
        authority: Host and, optionally, port; an IPv6 address stands in brackets.

    Returns:
        The host in lowercase and without brackets; None if the authority is not valid.
    """
    try:
        parts = urlsplit(f"//{authority}")
        host, _ = parts.hostname, parts.port  # reading the port checks it
    except ValueError:
        return None
    if not host or parts.netloc != authority or "@" in authority or any(c.isspace() for c in host):
        return None
    return _bare(host)


def is_allowed(host: str | None, hosts: Iterable[str]) -> bool:
    """Tell whether a host is in a list of :func:`configured_hosts`."""
    if host is None:
        return False
    return any(
        known in ("*", host) or (known.startswith("*.") and host.endswith(known[1:]))
        for known in hosts
    )


def is_users_own_machine() -> bool:
    """Tell whether whoever looks at this page sits at the computer that the server runs on.

    Returns:
        True if the server listens to this computer only, is configured to be known by no other
        name, and the page was asked for from this computer and not through a proxy.
    """
    if _bare(st.get_option("server.address") or "") not in LOOPBACK:
        return False
    if set(configured_hosts()) - set(LOOPBACK):
        return False
    headers = st.context.headers
    if any(name in headers for name in FORWARDED):
        return False
    asked = headers.get("host")
    return asked is None or host_of(asked) in LOOPBACK


def _bare(host: str) -> str:
    host = host.strip().lower().removesuffix(".")
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host
