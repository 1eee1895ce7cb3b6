"""The REST API: behaviors, envelopes, resources, health, OpenAPI."""
