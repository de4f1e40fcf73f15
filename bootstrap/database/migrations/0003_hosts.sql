-- The place of the tables of hosts.
SELECT 1;
