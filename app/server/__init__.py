"""Sockets, and the server that runs on them."""
