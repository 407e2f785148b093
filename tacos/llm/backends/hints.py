"""Which setting helps, by what a server says when it refuses a request."""

from __future__ import annotations

import re

from yarl import URL

_REASONING = "set llms.<name>.preset=reasoning"
_HINTS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), setting)
    for pattern, setting in (
        (r"max_completion_tokens|max_tokens'? (is|are) not supported", _REASONING),
        (
            r"temperature|top_p",
            f"leave it out with sampling.temperature=null or sampling.top_p=null, or {_REASONING}",
        ),
        (
            r"system.{0,30}(role|message|prompt|instruction)|role.{0,20}system|developer instruction"
            r"|roles must alternate",
            "set llms.<name>.fold_system=true",
        ),
        (
            r"logprobs",
            "ask for fewer with alpaca_eval.top_logprobs, or for none with alpaca_eval.top_logprobs=null",
        ),
        (r"response_format|json_schema|guided|structured output", "set llms.<name>.structured=false"),
        (
            r"only supports? .{0,20}stream|stream.{0,30}(must|required|enable)",
            "set llms.<name>.extra_body={stream: true}",
        ),
        (r"api-?version", "set llms.<name>.query={api-version: ...}"),
        (
            r"context.{0,12}length|context window|maximum.{0,20}length|too (long|many tokens)",
            "lower sampling.max_tokens, or serve the model with a longer context",
        ),
        (
            r"max_tokens.{0,80}(below|at least|minimum|>=)|(below|minimum).{0,80}max_tokens",
            "raise sampling.max_tokens",
        ),
        (
            r"extra (fields|inputs|keys)|(unknown|unsupported|unexpected|unrecognized) "
            r"(field|parameter|argument|request argument|keyword)",
            "leave the parameter out: null under its name in llms.<name>.extra_body",
        ),
    )
)


def parameter_hint(said: str) -> str:
    """The setting that helps against a refused parameter; "" where none is known."""
    return next((setting for pattern, setting in _HINTS if pattern.search(said)), "")


def url_hint(url: str) -> str:
    """For a 404 or 405 at `url`, which is the base URL that was configured."""
    base = url.partition("?")[0].rstrip("/")
    if "/openai/deployments/" in base and "api-version" not in url:
        return "a deployment on Azure needs llms.<name>.query={api-version: ...}"
    if not re.search(r"/(v\d+\w*|openai|api|models|inference|deployments/[^/]+)$", base):
        return f"base URLs mostly end in /v1: is it {base}/v1?"
    return "does `endpoint` name the right server, and does that have the model?"


def location_hint(location: str, url: str) -> str:
    """For a redirect of a call to the endpoint `url`."""
    absolute = str(URL(url).join(URL(location))) if location else ""
    base = absolute.partition("?")[0].removesuffix("/chat/completions")
    return f"it points to {location or 'nowhere'}: redirects are not followed, set llms.<name>.endpoint to {base}"


def certificate_hint(reason: str) -> str:
    """For a TLS connection that did not come about."""
    if "WRONG_VERSION_NUMBER" in reason.upper().replace(" ", "_") or "record layer" in reason.lower():
        return "does the server speak plain http? then write http:// in llms.<name>.endpoint"
    return (
        "name your organisation's certificates in the variable SSL_CERT_FILE (a PEM file), or correct the host "
        "name in llms.<name>.endpoint"
    )
