-- What the recorded program does: reads one table whole, joins it to another through an index, stores the
-- result, indexes it, groups it, reads a range of it in order, and joins it to scattered rows once more.
PRAGMA cache_size = -32768;
PRAGMA temp_store = memory;
CREATE TEMP TABLE bill AS
  SELECT c.name, c.city, p.day, p.amount
  FROM customer c CROSS JOIN purchase p ON p.customer = c.id WHERE c.city = 3;
CREATE INDEX bill_amount ON bill(amount);
SELECT city, count(*), sum(amount), max(day) FROM bill GROUP BY city ORDER BY 3;
SELECT name, day, amount FROM bill WHERE amount BETWEEN 5000 AND 5050 ORDER BY amount;
SELECT count(*), sum(p.amount) FROM bill b CROSS JOIN purchase p ON p.id = b.amount * 6;
