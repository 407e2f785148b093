"""How servers are reached: proxies and certificates, by the environment variables that other programs obey too.

HTTPS_PROXY=http://proxy:3128  NO_PROXY=.internal     a proxy, except for some hosts and this machine itself
SSL_CERT_FILE=/etc/ssl/company.pem                    certificates to trust; else REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from tacos.errors import ConfigError

BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True)
class Route:
    """The proxy to a server, without its user and password, and these as a header's value; None for none."""

    proxy: URL | None = None
    user: str | None = None
    password: str | None = None


def route_to(url: URL) -> Route:
    """By HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in capitals or not; this machine is reached directly.

    Raises: ConfigError for a proxy that speaks anything but HTTP.
    """
    host = url.host or ""
    if _is_here(host) or proxy_bypass(f"{host}:{url.port}"):
        return Route()
    proxies = getproxies()
    name = url.scheme if url.scheme in proxies else "all"
    given = proxies.get(name)
    if not given:
        return Route()
    proxy = URL(given if "://" in given else f"http://{given}")
    if proxy.scheme not in ("http", "https"):
        raise ConfigError(
            f"{name.upper()}_PROXY names a {proxy.scheme} proxy, and only http proxies can be used: name one, or put "
            f"{host} into NO_PROXY"
        )
    return Route(proxy.with_user(None), proxy.user, proxy.password)


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def trusted(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Which certificates are trusted: the file or folder of the first variable in `BUNDLES` that is set, beside the
    system's.

    Raises: ConfigError where that is none.
    """
    context = ssl.create_default_context()
    name = next((name for name in BUNDLES if environ.get(name)), None)
    if name is None:
        return context
    path = Path(environ[name])
    try:
        if path.is_dir():
            context.load_verify_locations(capath=str(path))
        else:
            context.load_verify_locations(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(
            f"{name} names {path}, which holds no certificates ({why}): correct it or unset it"
        ) from None
    return context
