"""What was learned and compared, as files that a person opens."""
