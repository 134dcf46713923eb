"""``hub policy``: bundles as files, looked at before they hold, put on the log, and what was in force before."""
