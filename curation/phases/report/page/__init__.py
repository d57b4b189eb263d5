"""Numbers and pictures to one HTML page."""
