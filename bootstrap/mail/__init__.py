"""Mail: what is to be sent waits in the database, is sent by a mailer, and is then gone."""
