"""What is done to one caption: counting, cleaning, judging. None of it knows of tables or of clips."""
