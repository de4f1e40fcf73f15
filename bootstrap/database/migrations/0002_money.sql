-- The place of money's tables.
SELECT 1;
