"""Numbers to figures: what the report draws as PNG, and the notebooks on the screen."""
