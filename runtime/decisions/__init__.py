"""What people decide about results: records in gateway.journal, which stands, and what they amount to."""
