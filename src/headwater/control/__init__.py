"""The control plane: REST API, lifecycle, repository, authentication."""
