"""Rows in and out: functions over an open connection, one module a table. They know SQL and no HTTP."""
