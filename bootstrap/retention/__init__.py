"""Retention: how long each class of data is kept, why, and the job that purges what is past it."""
