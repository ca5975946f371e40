"""What the end-to-end tests share: server processes, a client that shows the wire, upstreams that misbehave."""
