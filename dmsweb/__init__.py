"""The site: settings, urls, asgi, celery app, command line, accounts, API root, pages."""
