"""A Lightspeed Retail X-Series account, as far as loyalty points go."""
