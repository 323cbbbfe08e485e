"""Lightspeed Retail X-Series, by its dated REST API: loyalty points only (docs/how-to/lightspeed.md)."""
