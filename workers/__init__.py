"""The only room that touches the outside: Celery tasks, executors, probes."""
