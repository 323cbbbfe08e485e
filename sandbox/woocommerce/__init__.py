"""A WooCommerce to try things on. It answers as real ones did (docs/facts/stores-observed.md, W-n)."""
