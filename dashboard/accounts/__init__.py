"""Who may see what: people, how they sign in, their sessions and tokens, and the log of who did what."""

from dashboard.accounts.database import AccountsError
from dashboard.accounts.people import Account
from dashboard.accounts.store import Accounts, ByCommand

__all__ = ["Account", "Accounts", "AccountsError", "ByCommand"]
