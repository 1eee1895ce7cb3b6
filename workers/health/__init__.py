"""Health checks of what runs on this node: asking (`ask`), and the thread that asks in time (`runner`)."""
