"""What is done to one media file. Knows nothing of tables, phases or Ray."""
