"""The adapters of the port `node.outside.Transport`: `local` within the site, `https` to other sites."""
