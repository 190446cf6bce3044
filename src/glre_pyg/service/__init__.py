"""A web service that finds relations in texts and documents."""
