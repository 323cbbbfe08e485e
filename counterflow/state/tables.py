"""The tables of the state database. What each is for stands in docs/reference/state.md.

Bodies are canonical JSON kept as text: their hash is a hash of what is stored.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

metadata = MetaData()
When = DateTime(timezone=True)

# The topics as they were seen: another id under the same name begins another epoch of versions.
topic = Table(
    "topic",
    metadata,
    Column("name", Text, primary_key=True),
    Column("topic_id", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
)

# The offsets handled, kept in the batch's own transaction: after a restore of this database the group rewinds to them.
handled = Table(
    "handled",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
)

# The mirror: what each system has, as it was last read.
record = Table(
    "record",
    metadata,
    Column("system", Text, primary_key=True),
    Column("entity", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("raw", LargeBinary),  # The row as it came; None for one that was deleted before it was ever seen.
    Column("body", Text),  # The canonical record.
    Column("hash", Text, nullable=False),
    Column("version", BigInteger, nullable=False),  # The reading's position; Debezium has none: epoch and offset.
    Column("position", BigInteger, nullable=False),  # Of the source's reading.
    Column("deleted", Boolean, nullable=False),
    Column("email", Text),
    Column("sku", Text),  # A product's SKU, a stock row's item.
    Column("seen_at", When, nullable=False),
    Index("record_email", "system", "entity", "email", postgresql_where=text("email IS NOT NULL")),
    Index("record_sku", "entity", "sku", postgresql_where=text("sku IS NOT NULL")),
)

# One thing known on several sides. A row of system "email" is a customer whose creation is under way.
link = Table(
    "link",
    metadata,
    # "customer", "buyer" (whose order), "order" (its document), "fate", "refund", "ticket" (an order's number in
    # Counterpoint), "release" (of such a number, known or not).
    Column("entity", Text, primary_key=True),
    Column("system", Text, primary_key=True),
    Column("remote_id", Text, primary_key=True),
    Column("our_id", Text, nullable=False),
    Column("how", Text, nullable=False),  # "id", "e-mail", "created", "document", "person".
    Column("made_at", When, nullable=False),
    Index("link_ours", "entity", "our_id"),
)

# What each system shows of a customer, field by field, with the time of each field's last change: JSON.
profile = Table(
    "profile",
    metadata,
    Column("system", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("seen", Text, nullable=False),  # {field: {value, at}}
    Column("pending", Text, nullable=False, server_default="{}"),  # Sent, and not answered yet: {field: [{value, at}]}
    Column("position", BigInteger, nullable=False),  # Of the newest reading, or of a consumer's reading back.
    Column("reading", BigInteger, nullable=False),  # Of the newest reading by its producer.
    Column("body", Text, nullable=False),  # The customer as last seen; it stays when he is gone.
    Column("unflagged_at", When),  # When the e-commerce flag was taken away; None while it is set.
    Column("points_before", Integer),  # Before the last change of the points: what shows a merge.
    Column("points_at", When),  # When the points changed last.
    Column("gone_at", When),
)

# What the systems agree on of one person, field by field, with the time and the side of the change: JSON.
person = Table(
    "person",
    metadata,
    Column("our_id", Text, primary_key=True),
    Column("agreed", Text, nullable=False),  # {field: {value, at, side}}
)

# Accounts that we had a store create, or that were deleted there: none is created, and nobody is mailed, twice.
welcome = Table(
    "welcome",
    metadata,
    Column("store", Text, primary_key=True),
    Column("email", Text, primary_key=True),
    Column("our_id", Text, nullable=False),
    Column("how", Text, nullable=False),  # "created", "deleted".
    Column("at", When, nullable=False),
    Index("welcome_at", "store", "at"),
    Index("welcome_ours", "our_id"),
)

# What each system should have. The difference from what it has is the queue.
wanted = Table(
    "wanted",
    metadata,
    Column("system", Text, primary_key=True),
    Column("task", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("state", Text, nullable=False),  # blocked, ready, sent, done, held, rejected, dropped.
    Column("blocked_by", Text),  # What it waits for: "customer:<our id>".
    Column("changed_at", When, nullable=False),  # When it began to differ.
    Column("sent_version", BigInteger),
    Column("sent_at", When),
    Column("not_before", When),  # It did not work; then it is tried again.
    Column("done_hash", Text),
    Column("done_at", When),
    Column("attempts", Integer, nullable=False, server_default="0"),  # In a row that did not work, whatever was wanted.
    Column("refusal", Text),  # The reason that the target gave last; None where it gave none.
    Column("refusals", Integer, nullable=False, server_default="0"),  # How often in a row it gave that one.
    Column("now", Boolean, nullable=False, server_default="false"),  # Ahead of the queue, even while the gate is shut.
    Column("note", Text),  # Why it stands where it stands.
    Column("priority", BigInteger, nullable=False, server_default="0"),  # The higher, the earlier.
    Index("wanted_open", "state", "system", "changed_at", postgresql_where=text("state IN ('ready', 'sent')")),
    Index("wanted_blocked", "blocked_by", postgresql_where=text("blocked_by IS NOT NULL")),
)

# What web orders hold of an item until the document's commit is seen in Counterpoint's own figures.
reservation = Table(
    "reservation",
    metadata,
    Column("store", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("item_no", Text, primary_key=True),  # "" in the row that notes the document itself.
    Column("quantity", Integer, nullable=False),
    Column("document_position", BigInteger),  # The reading that first showed its document; None before.
    Column("document_location", Text),  # Where the document committed its lines.
    Column("ended", Text),  # Why it ended: "committed", "cancelled"; None while it holds.
    Column("made_at", When, nullable=False),
    Index("reservation_open", "item_no", postgresql_where=text("ended IS NULL")),
)

# What Counterpoint's release tickets let out of web orders, as last looked up.
release = Table(
    "release",
    metadata,
    Column("doc_id", Text, primary_key=True),
    Column("our_id", Text, nullable=False),  # The order: "STORE/ORDER".
    Column("body", Text, nullable=False),  # JSON.
    Column("fate", Text, nullable=False),  # open, posted, gone.
    Column("first_at", When, nullable=False),
    Index("release_ours", "our_id"),
)

# What waits for a person, and what was decided.
review = Table(
    "review",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body", Text, nullable=False),  # What is known, for the person: JSON.
    Column("message", Text, nullable=False),
    Column("waits_for", Text),  # What may settle it without a person: "item:<item no>".
    Column("made_at", When, nullable=False),
    Column("state", Text, nullable=False),  # open, decided, settled.
    Column("decision", Text),
    Column("decided_by", Text),
    Column("decided_at", When),
    Index("review_waits", "waits_for", postgresql_where=text("state = 'open'")),
)

log_entry = Table(
    "log_entry",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("at", When, nullable=False),
    Column("system", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("request", Text),
    Column("response", Text),
    Column("took_s", Text),
    Index("log_entry_at", "at"),
    Index("log_entry_key", "system", "task", "key"),
)

# What a transaction decided to say. Published after its commit, then deleted.
outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("origin", Text, nullable=False),  # The worker that has to publish it.
    Column("topic", Text, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("headers", Text, nullable=False),
)

setting = Table("setting", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))

# A wait that survives a restart.
timer = Table(
    "timer",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("due_at", When, nullable=False),
    Column("body", Text, nullable=False, server_default=""),
    Index("timer_due", "due_at"),
)

# Requests apply once.
request_done = Table("request_done", metadata, Column("id", Text, primary_key=True), Column("at", When, nullable=False))

# Where each producer stands, and how each connection does, as they last said.
cursor = Table(
    "cursor",
    metadata,
    Column("system", Text, primary_key=True),
    Column("entity", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("at", When, nullable=False),
    Column("rows", BigInteger),  # What its last full reading found; None before one has ended.
)
connection = Table(
    "connection",
    metadata,
    Column("system", Text, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("up", Boolean, nullable=False),
    Column("since", When, nullable=False),
    Column("seen_at", When, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
)

# Under which keys each customer can be found by somebody like him; and, as "v:...", the values whose rarity counts.
match_key = Table(
    "match_key",
    metadata,
    Column("value", Text, primary_key=True),
    Column("system", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Index("match_key_holder", "system", "key"),
)

# Two records that may be one person, "system/key" each, the lower first; and what a person said of them.
match_pair = Table(
    "match_pair",
    metadata,
    Column("one", Text, primary_key=True),
    Column("other", Text, primary_key=True),
    Column("percent", Integer, nullable=False),
    Column("evidence", Text, nullable=False),  # [{field, how, weight}]: JSON, without a value of anybody's.
    Column("fingerprint", Text, nullable=False),  # Of what was compared: another one asks again.
    Column("state", Text, nullable=False),  # open, decided.
    Column("decision", Text),  # same, different, new, later.
    Column("decided_by", Text),
    Column("decided_at", When),
    Column("made_at", When, nullable=False),
    Index("match_pair_other", "other"),
)

# A book of points, by its customer's number; or of a gift card. What moves stands in its entries.
ledger_account = Table(
    "ledger_account",
    metadata,
    Column("book", Text, primary_key=True),
    Column("body", Text, nullable=False),  # What is no entry: JSON.
)

# Append-only: an entry's points never change, but what is left of it, or how far it is, does.
ledger_entry = Table(
    "ledger_entry",
    metadata,
    # "web", "pos", "moves"; "accounts"; "early", "early_rows" (read before their turn); "number": whose book a
    # customer's number leads to; "loose": a transaction of an account that nobody has, kept when he is found.
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("book", Text, nullable=False),  # Of "loose": the account.
    Column("place", Integer, nullable=False),  # Its place in the book.
    Column("is_open", Boolean, nullable=False),  # It is not settled yet.
    Column("body", Text, nullable=False),  # JSON.
    Index("ledger_entry_book", "book"),
    Index("ledger_entry_open", "kind", postgresql_where=text("is_open")),
)
