"""WooCommerce, by its REST API v3 and its web hooks."""
