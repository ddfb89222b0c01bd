"""Which routes are not tried, not even on a stack of our own: they may reach beyond it, or can't be taken back."""

from __future__ import annotations

import re

_GROUPS = {
    "deletes": "delete deletes deleted remove removes removed destroy purge wipe drop truncate clear flush unsubscribe",
    "moves money": "pay pays payment payments charge charges refund refunds checkout invoice invoices payout payouts "
    "withdraw transfer transfers billing purchase subscription subscriptions",
    "sends messages": "mail mails email emails sms notify notification notifications invite invites invitation "
    "invitations webhook webhooks broadcast send",
    "changes credentials or sessions": "login logout signin signout signup password passwords oauth otp impersonate",
    "controls the service": "shutdown restart reload reset reboot migrate deploy admin upload uploads "
    "backup restore execute exec trigger",
}
_REASON = {word: reason for reason, words in _GROUPS.items() for word in words.split()}
_ORDERS = frozenset({"order", "orders"})
"""A POST there places one; a PUT or PATCH may change one of our own."""
_ACTIONS = frozenset(
    [
        "delete",
        "remove",
        "destroy",
        "purge",
        "wipe",
        "truncate",
        "flush",
        "clear",
        "drop",
        "logout",
        "signout",
        "unsubscribe",
        "shutdown",
        "restart",
        "reset",
        "reboot",
        "migrate",
        "trigger",
        "execute",
        "impersonate",
        "send",
    ]
)
"""What a GET must not be asked for either."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def words_of(text: str) -> list[str]:
    """The words of a path, an identifier or a sentence: `sendEmail-now` has send, email, now."""
    return [word.lower() for word in _WORD.findall(text)]


def risk_of(method: str, path: str, name: str = "", summary: str = "") -> str:
    """Why a route is not tried; empty where it may be. `name`: its identifier, such as an operationId; `summary`: its
    sentence and tags, which say nothing about a GET."""
    if method == "DELETE":
        return "it deletes"
    # Names of parameters say what a route is about, not what it does.
    words = words_of(re.sub(r"\{[^}]*\}", " ", path)) + words_of(name)
    if method in ("GET", "HEAD"):
        known = _ACTIONS
    else:
        words += words_of(summary)
        known = frozenset(_REASON)
    for word in words:
        if word in known:
            return f"its name says that it {_REASON.get(word, 'changes something')} ({word})"
        if method == "POST" and word in _ORDERS:
            return f"its name says that it places orders ({word})"
    return ""
