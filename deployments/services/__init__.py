"""Use cases that write: submitting, advancing, starting and ending."""
