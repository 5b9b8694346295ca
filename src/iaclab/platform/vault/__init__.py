"""A vault as it is run in production: three nodes with raft storage, TLS, a Shamir seal and an audit log."""
