"""What each operation does, a module a resource."""
