"""Who is nobody in particular (req-C5)? Whoever is, is never matched, linked or written to, by any flow.

1. A number that many people buy under (a walk-in), or that new customers are copied from (a template): the record.
2. An address that only fills a field, that the shop lists as one, or that is the shop's own: the e-mail says nothing,
   while the record may be somebody.
"""

from dataclasses import dataclass

# What clerks type where an address is wanted and there is none: the part before the @, and the part behind it.
PLACEHOLDERS = frozenset(
    "noemail no-email no.email nomail none na n/a nobody noone unknown test asdf abc email mail customer dummy "
    "noreply no-reply donotreply refused declined walkin".split()
)
PLACEHOLDER_DOMAINS = frozenset(
    "none.com noemail.com no.com na.com test.com email.com nomail.com abc.com none.none no.email invalid".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nobody:
    """What a shop says of it."""

    numbers: frozenset[str] = frozenset()  # Of walk-ins and templates at the point of sale.
    emails: frozenset[str] = frozenset()  # Lower case; "@example.com" is every address of a domain.

    def has_email(self, email: str | None) -> bool:
        """Return whether an e-mail address is nobody's."""
        if not email:
            return False
        local, at, domain = email.strip().lower().rpartition("@")
        is_listed = f"{local}{at}{domain}" in self.emails or f"@{domain}" in self.emails
        return is_listed or local in PLACEHOLDERS or domain in PLACEHOLDER_DOMAINS


EVERYBODY_IS_SOMEBODY = Nobody()
