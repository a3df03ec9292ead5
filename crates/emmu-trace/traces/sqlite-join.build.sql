-- The database that the recorded program finds: a shop with 1000 customers and 64000 purchases, whose
-- customers and amounts are scattered by a multiplication, so that a customer's purchases are on as many pages.
PRAGMA page_size = 4096;
CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT, city INTEGER, note TEXT);
CREATE TABLE purchase(id INTEGER PRIMARY KEY, customer INTEGER, day INTEGER, amount INTEGER, note TEXT);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
INSERT INTO customer
  SELECT i, printf('customer %05d', i), i * 7919 % 250, printf('%0200d', i) FROM n;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 63999)
INSERT INTO purchase
  SELECT i, i * 2654435761 % 1000, i % 365, i * 48271 % 9973, printf('%0160d', i) FROM n;
CREATE INDEX purchase_customer ON purchase(customer);
