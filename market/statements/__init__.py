"""A household's month as it is handed out: PDF and CSV, in Korean and English."""
