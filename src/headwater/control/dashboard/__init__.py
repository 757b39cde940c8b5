"""What the dashboard's page talks to: signing in, the API by cookie, and what is live as it changes."""
