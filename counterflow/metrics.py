"""Every metric, declared once: name, unit, labels, and what to do when it is high. Labels have few values."""

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 3600)

# Producers. Standing still while the source changes: look at the producer's log and at `endpoint_up`.
CAPTURED = Counter("counterflow_changes_captured_total", "Changes published", ["source", "entity", "op"])
POLL = Histogram("counterflow_poll_seconds", "One reading of a source", ["source", "entity"], buckets=SECONDS)
RESETS = Counter("counterflow_source_resets_total", "Full readings, forced or first", ["source", "entity"])
# High: somebody sends forged hooks, or the secret in shop.yaml is not the store's.
HOOKS_REJECTED = Counter("counterflow_webhook_rejected_total", "Web hooks refused", ["source", "reason"])
HOOKS = Counter("counterflow_webhooks_total", "Web hooks taken as hints", ["source", "entity"])

# Processors. High delay: too few workers, or the state database is slow.
HANDLED = Counter("counterflow_messages_handled_total", "Messages handled", ["topic"])
BATCH = Histogram("counterflow_batch_seconds", "One batch: read, decide, commit, publish", buckets=SECONDS)
RELEASED = Counter("counterflow_commands_released_total", "Commands sent to a target", ["target", "task"])
WANTED = Gauge("counterflow_wanted_rows", "Wanted rows by state", ["target", "task", "state"])
# The one number shops understand: high means that something waits; the Queue tab says what.
SYNC_LAG = Gauge("counterflow_sync_lag_seconds", "Age of the oldest change not yet applied", ["target", "task"])
REVIEWS = Gauge("counterflow_reviews_open", "What waits for a person", ["kind"])
MASTER = Gauge("counterflow_master_sync_enabled", "1 while Master Sync is on")

# Consumers. High waiting: the target is slow or refuses; see its log and `endpoint_up`.
APPLIED = Counter("counterflow_commands_applied_total", "Commands done, by result", ["target", "task", "result"])
APPLY = Histogram(
    "counterflow_apply_seconds", "One command or batch at its target", ["target", "task"], buckets=SECONDS
)
PAUSED = Gauge("counterflow_target_paused", "1 while a target is paused because it does not answer", ["target"])

# Everywhere.
# Above 0: messages expired, or their topic was deleted, before anybody handled them. Their source is read again by
# itself; why nobody came in time is for a person: docs/runbooks/messages-lost.md.
LOST = Counter("counterflow_messages_lost_total", "Messages that went before they were handled", ["topic"])
DEAD = Counter("counterflow_dead_letters_total", "Messages that will never work", ["topic"])
# Above 0: the log names the key and the size; something in that record is far too long.
LARGE = Counter("counterflow_messages_too_large_total", "Messages too large to be published", ["topic"])
UP = Gauge("counterflow_endpoint_up", "1 while the system answers", ["endpoint"])
HTTP = Histogram("counterflow_http_seconds", "HTTP calls", ["endpoint", "method", "status"], buckets=SECONDS)
THROTTLED = Counter("counterflow_http_throttled_total", "Calls refused for their rate", ["endpoint"])
