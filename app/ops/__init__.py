"""What operators look at: health, logs, and the check of a configuration."""
