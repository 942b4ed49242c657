"""What must reach a person: raising alarms in any process, and telling them by mail, webhook, syslog and on record."""
