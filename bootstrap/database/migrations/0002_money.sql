-- The place of the tables of money.
SELECT 1;
