-- One user's page: everything by its key.
* SELECT * FROM users WHERE id = 7
* SELECT id, name, level FROM users WHERE id = 1001
* SELECT name FROM users WHERE id = 424242
* SELECT COUNT(*) FROM users WHERE id = 7
* SELECT * FROM users WHERE id = 7 LIMIT 1
* SELECT u.* FROM users AS u WHERE u.id = 8
* SELECT `users`.`id`, `users`.`name` FROM `users` WHERE `users`.`id` = 9 LIMIT 1
* SELECT 1 AS one FROM users WHERE users.id = 10 LIMIT 1
* SELECT EXISTS(SELECT 1 FROM users WHERE id = 7)
* SELECT id, COALESCE(name, 'guest') AS shown FROM users WHERE id = 2
* SELECT UPPER(name), CHAR_LENGTH(name) FROM users WHERE id = 3
* SELECT id, DATE_FORMAT(created_at, '%Y-%m') AS month FROM users WHERE id = 7
* SELECT id, balance * 100 FROM users WHERE id = 8
* SELECT id, CASE WHEN level > 100 THEN 'gold' ELSE 'plain' END AS kind FROM users WHERE id = 9
* SELECT YEAR(born), COUNT(*) FROM users WHERE id = 7 GROUP BY YEAR(born)
= SELECT id, amount, status FROM orders WHERE user_id = 7 ORDER BY created_at DESC, id DESC LIMIT 20
= SELECT * FROM orders WHERE user_id = 7 ORDER BY id
= SELECT * FROM orders WHERE user_id = 8 ORDER BY id LIMIT 10 OFFSET 5
= SELECT * FROM orders WHERE user_id = 8 AND status = 'paid' ORDER BY id
= SELECT * FROM orders WHERE user_id = 8 AND status IN ('paid', 'done') ORDER BY id
* SELECT * FROM orders WHERE user_id = 9 AND id = 5
* SELECT COUNT(*) FROM orders WHERE user_id = 9
* SELECT COUNT(*) AS n, SUM(amount) AS total FROM orders WHERE user_id = 10
* SELECT MAX(created_at) FROM orders WHERE user_id = 10
* SELECT AVG(amount), MIN(amount), MAX(amount) FROM orders WHERE user_id = 11
* SELECT status, COUNT(*) FROM orders WHERE user_id = 7 GROUP BY status
* SELECT shop_id, SUM(amount) AS spent FROM orders WHERE user_id = 7 GROUP BY shop_id HAVING spent > 10
= SELECT shop_id, COUNT(*) AS n FROM orders WHERE user_id = 7 GROUP BY shop_id ORDER BY n DESC, shop_id LIMIT 3
* SELECT DISTINCT shop_id FROM orders WHERE user_id = 100
* SELECT o.id, s.name FROM orders o JOIN shops s ON s.id = o.shop_id WHERE o.user_id = 7
* SELECT o.id, s.name, c.name FROM orders o JOIN shops s ON s.id = o.shop_id LEFT JOIN cities c ON c.id = s.city_id WHERE o.user_id = 8
* SELECT u.name, o.id FROM users u JOIN orders o ON o.user_id = u.id WHERE u.id = 7
* SELECT u.name, COUNT(o.id) FROM users u LEFT JOIN orders o ON o.user_id = u.id WHERE u.id = 7 GROUP BY u.id, u.name
= SELECT i.* FROM order_items i JOIN orders o ON o.id = i.order_id AND o.user_id = i.user_id WHERE o.user_id = 7 ORDER BY i.id
* SELECT o.id, SUM(i.quantity * i.price) AS sum FROM orders o JOIN order_items i ON i.order_id = o.id AND i.user_id = o.user_id WHERE o.user_id = 8 GROUP BY o.id
* SELECT * FROM order_items WHERE user_id = 7 AND order_id = 12
* SELECT sku, SUM(quantity) FROM order_items WHERE user_id = 7 GROUP BY sku
* SELECT id FROM orders WHERE user_id = 7 AND created_at >= '2026-02-01' AND created_at < '2026-03-01'
* SELECT id FROM orders WHERE user_id = 7 AND created_at BETWEEN '2026-01-01' AND '2026-02-28'
* SELECT id FROM orders WHERE user_id = 7 AND note LIKE 'a%'
* SELECT id FROM orders WHERE user_id = 7 AND note IS NOT NULL
* SELECT id FROM orders WHERE user_id = 7 AND (status = 'new' OR amount > 50)
* SELECT id FROM orders WHERE user_id = 7 AND id IN (SELECT order_id FROM order_items WHERE user_id = 7)
* SELECT id FROM orders o WHERE user_id = 7 AND EXISTS (SELECT 1 FROM order_items i WHERE i.user_id = o.user_id AND i.order_id = o.id)
* SELECT id FROM orders o WHERE o.user_id = 7 AND NOT EXISTS (SELECT 1 FROM order_items i WHERE i.user_id = o.user_id AND i.order_id = o.id)
* SELECT id, (SELECT COUNT(*) FROM order_items i WHERE i.user_id = o.user_id AND i.order_id = o.id) AS items FROM orders o WHERE o.user_id = 7
* SELECT t.status, t.n FROM (SELECT status, COUNT(*) AS n FROM orders WHERE user_id = 7 GROUP BY status) t WHERE t.n > 1
= SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS place FROM orders WHERE user_id = 7 ORDER BY id
= SELECT id, SUM(amount) OVER (ORDER BY id) AS so_far FROM orders WHERE user_id = 8 ORDER BY id
* WITH mine AS (SELECT * FROM orders WHERE user_id = 7) SELECT COUNT(*), SUM(amount) FROM mine
* SELECT id FROM orders WHERE user_id = 7 UNION ALL SELECT id FROM order_items WHERE user_id = 7
* SELECT GROUP_CONCAT(id ORDER BY id) FROM orders WHERE user_id = 7
* SELECT COUNT(DISTINCT shop_id), COUNT(DISTINCT status) FROM orders WHERE user_id = 8
* SELECT SUM(amount) / COUNT(*) FROM orders WHERE user_id = 7
* SELECT COUNT(*) + 1 FROM orders WHERE user_id = 7
* SELECT id FROM orders WHERE user_id = 7 AND amount = (SELECT MAX(amount) FROM orders WHERE user_id = 7)
* SELECT DATE(created_at) AS day, COUNT(*) FROM orders WHERE user_id = 9 GROUP BY day
* SELECT IF(SUM(amount) > 100, 'good', 'new') FROM orders WHERE user_id = 9
* SELECT IFNULL(SUM(discount), 0) FROM orders WHERE user_id = 100
* SELECT * FROM users WHERE id = '7'
* SELECT * FROM users WHERE id IN (7)
-- Several users at once.
* SELECT * FROM users WHERE id IN (1, 2, 3)
* SELECT id, name FROM users WHERE id IN (7, 8, 9, 424242)
= SELECT id, name FROM users WHERE id IN (7, 8, 9, 10, 11) ORDER BY id
* SELECT * FROM users WHERE id = 7 OR id = 8
* SELECT * FROM orders WHERE user_id IN (7, 9) AND status = 'paid'
= SELECT * FROM orders WHERE user_id IN (7, 8) ORDER BY id LIMIT 10
* SELECT user_id, COUNT(*) FROM orders WHERE user_id IN (1, 2, 3, 7) GROUP BY user_id
* SELECT COUNT(*) FROM orders WHERE user_id IN (1, 2, 3, 7)
* SELECT SUM(amount) FROM orders WHERE user_id IN (1, 2, 3, 7)
* SELECT u.id, u.name, o.id FROM users u JOIN orders o ON o.user_id = u.id WHERE u.id IN (7, 8, 9)
* SELECT o.user_id, i.sku FROM orders o JOIN order_items i ON i.order_id = o.id AND i.user_id = o.user_id WHERE o.user_id IN (7, 8)
* SELECT * FROM users WHERE id BETWEEN 7 AND 9
* SELECT * FROM orders WHERE (user_id, id) IN ((7, 1), (8, 2))
-- Lists over everybody.
* SELECT COUNT(*) FROM users
* SELECT COUNT(*) FROM orders
* SELECT COUNT(*) AS total FROM orders WHERE status = 'new'
= SELECT id, name FROM users ORDER BY id LIMIT 10
= SELECT id, name FROM users ORDER BY id DESC LIMIT 5
= SELECT id, name FROM users ORDER BY id LIMIT 5 OFFSET 5
= SELECT id, name FROM users ORDER BY name, id
= SELECT id, name FROM users ORDER BY name DESC, id LIMIT 7
= SELECT * FROM users ORDER BY created_at DESC, id DESC LIMIT 20
= SELECT * FROM orders ORDER BY created_at DESC, id DESC LIMIT 20
= SELECT * FROM orders ORDER BY id LIMIT 20 OFFSET 20
= SELECT id, amount FROM orders ORDER BY amount DESC, id LIMIT 10
= SELECT id, status FROM orders WHERE status = 'paid' ORDER BY id LIMIT 10
= SELECT id FROM orders WHERE id > 40 ORDER BY id LIMIT 10
= SELECT id, discount FROM orders WHERE discount IS NOT NULL ORDER BY discount, id
= SELECT id, note FROM orders WHERE note IS NULL ORDER BY id LIMIT 5
* SELECT * FROM orders WHERE id = 17
* SELECT * FROM orders WHERE id IN (17, 18, 19)
* SELECT * FROM users WHERE name = 'abc'
* SELECT * FROM users WHERE name LIKE 'a%'
* SELECT id FROM users WHERE city_id = 2
* SELECT id FROM users WHERE born IS NULL
* SELECT id FROM users WHERE level BETWEEN 50 AND 150
* SELECT id FROM orders WHERE created_at >= '2026-02-01'
* SELECT id FROM orders WHERE created_at >= '2026-01-01' AND created_at < '2026-02-01' AND status <> 'done'
* SELECT id FROM orders WHERE amount > 50 AND shop_id = 2
~ SELECT id, user_id FROM orders WHERE status = 'paid' LIMIT 5
~ SELECT id FROM users LIMIT 3
* SELECT * FROM order_items WHERE sku = 'A'
* SELECT * FROM users WHERE level > 200 AND city_id IS NOT NULL
= SELECT id, balance FROM users WHERE balance IS NOT NULL ORDER BY balance DESC, id LIMIT 5
= SELECT id, born FROM users ORDER BY born, id
= SELECT id, score FROM users ORDER BY score DESC, id LIMIT 4
* SELECT id, user_id FROM orders WHERE waited > '01:00:00'
-- Reports.
* SELECT MAX(id) FROM orders
* SELECT MIN(name), MAX(level) FROM users WHERE city_id = 1 AND id > 100
* SELECT SUM(level), AVG(level) FROM users
* SELECT level, COUNT(*) FROM users GROUP BY level HAVING COUNT(*) > 1
* SELECT SUM(amount) FROM orders
* SELECT AVG(amount) FROM orders
* SELECT MIN(amount), MAX(amount) FROM orders
* SELECT COUNT(*), SUM(amount), AVG(amount) FROM orders WHERE status = 'paid'
* SELECT MIN(created_at), MAX(created_at) FROM orders
* SELECT COUNT(*), COUNT(discount), COUNT(note) FROM orders
* SELECT COUNT(DISTINCT user_id) FROM orders
* SELECT COUNT(DISTINCT shop_id) FROM orders
* SELECT shop_id, COUNT(*) FROM orders GROUP BY shop_id
* SELECT shop_id, COUNT(*) AS n, SUM(amount) AS total FROM orders GROUP BY shop_id
= SELECT shop_id, COUNT(*) AS n FROM orders GROUP BY shop_id ORDER BY n DESC, shop_id
= SELECT shop_id, SUM(amount) AS total FROM orders GROUP BY shop_id ORDER BY total DESC, shop_id LIMIT 3
= SELECT shop_id, AVG(amount) AS mean FROM orders GROUP BY shop_id ORDER BY shop_id
= SELECT shop_id, COUNT(*) FROM orders GROUP BY shop_id ORDER BY shop_id DESC
* SELECT shop_id, COUNT(*) AS n FROM orders GROUP BY shop_id HAVING n > 10
* SELECT shop_id, SUM(amount) FROM orders GROUP BY shop_id HAVING SUM(amount) > 100
* SELECT shop_id, MAX(amount), MIN(amount) FROM orders WHERE status = 'done' GROUP BY shop_id
* SELECT shop_id, COUNT(DISTINCT user_id) FROM orders GROUP BY shop_id
* SELECT city_id, COUNT(*) FROM users GROUP BY city_id
= SELECT city_id, COUNT(*) AS n FROM users GROUP BY city_id ORDER BY n DESC, city_id
* SELECT user_id, COUNT(*) FROM orders GROUP BY user_id
* SELECT user_id, SUM(amount) AS total FROM orders GROUP BY user_id HAVING total > 50
= SELECT user_id, COUNT(*) AS n FROM orders GROUP BY user_id ORDER BY n DESC, user_id LIMIT 5
= SELECT user_id, SUM(amount) AS total FROM orders GROUP BY user_id ORDER BY total DESC, user_id LIMIT 5
* SELECT DATE(created_at) AS day, COUNT(*) FROM orders GROUP BY DATE(created_at)
= SELECT DATE(created_at) AS day, SUM(amount) FROM orders GROUP BY day ORDER BY day
* SELECT shop_id, created_at, COUNT(*) FROM orders GROUP BY shop_id, created_at
* SELECT DISTINCT shop_id FROM orders
= SELECT DISTINCT city_id FROM users ORDER BY city_id
* SELECT DISTINCT user_id, shop_id FROM orders
* SELECT o.shop_id, s.rating, COUNT(*) FROM orders o JOIN shops s ON s.id = o.shop_id GROUP BY o.shop_id, s.rating
* SELECT c.id, SUM(o.amount) FROM orders o JOIN shops s ON s.id = o.shop_id JOIN cities c ON c.id = s.city_id GROUP BY c.id
= SELECT s.city_id, COUNT(*) AS n FROM orders o JOIN shops s ON s.id = o.shop_id GROUP BY s.city_id ORDER BY n DESC, s.city_id
* SELECT sku, SUM(quantity) FROM order_items GROUP BY sku
* SELECT SUM(quantity * price) FROM order_items
* SELECT COUNT(*) FROM orders o JOIN order_items i ON i.order_id = o.id AND i.user_id = o.user_id
* SELECT o.id, u.level FROM orders o JOIN users u ON u.id = o.user_id WHERE o.amount > 50
= SELECT o.id, u.level, s.city_id FROM orders o JOIN users u ON u.id = o.user_id JOIN shops s ON s.id = o.shop_id ORDER BY o.id LIMIT 10
* SELECT u.id, COUNT(o.id) FROM users u LEFT JOIN orders o ON o.user_id = u.id GROUP BY u.id
* SELECT u.id FROM users u LEFT JOIN orders o ON o.user_id = u.id WHERE o.id IS NULL
* SELECT u.id FROM users u WHERE EXISTS (SELECT 1 FROM orders o WHERE o.user_id = u.id AND o.amount > 50)
* SELECT u.id FROM users u WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.user_id = u.id)
* SELECT o.id FROM orders o LEFT JOIN shops s ON s.id = o.shop_id WHERE s.rating IS NULL
* SELECT SUM(amount * 2) FROM orders
* SELECT SUM(CASE WHEN status = 'paid' THEN 1 ELSE 0 END) FROM orders
* SELECT SUM(IF(status = 'paid', amount, 0)), COUNT(*) FROM orders
* SELECT COUNT(*) FROM orders WHERE note IS NULL OR discount IS NULL
-- What is everywhere, and what asks nothing of a table.
* SELECT * FROM cities
= SELECT * FROM cities ORDER BY id
* SELECT * FROM shops WHERE id = 3
= SELECT * FROM shops WHERE city_id = 2 ORDER BY id
* SELECT COUNT(*) FROM shops
* SELECT s.name, c.name FROM shops s LEFT JOIN cities c ON c.id = s.city_id
* SELECT city_id, COUNT(*) FROM shops GROUP BY city_id
= SELECT name FROM cities ORDER BY name, id
* SELECT 1
* SELECT 1 + 1 AS two, 'text' AS word
* SELECT DATABASE()
* SELECT @@autocommit
* SHOW TABLES
* SHOW COLUMNS FROM orders
* DESCRIBE users
-- Writes.
! INSERT INTO users (id, name, city_id, created_at) VALUES (5001, 'new', 1, '2026-05-01 10:00:00')
! INSERT INTO orders (id, user_id, shop_id, status, amount, created_at) VALUES (5001, 5001, 1, 'new', 12.50, '2026-05-01 10:00:00')
! INSERT INTO order_items (id, order_id, user_id, sku, quantity, price) VALUES (50010, 5001, 5001, 'A', 1, 12.50)
! INSERT INTO order_items (id, order_id, user_id, sku, quantity, price) VALUES (50011, 5001, 5001, 'B', 2, 1.50), (50012, 5001, 5001, 'C', 1, 0.50)
! INSERT INTO users SET id = 5002, name = 'other', created_at = '2026-05-01 11:00:00'
! UPDATE users SET name = 'renamed' WHERE id = 5001
! UPDATE users SET level = level + 1 WHERE id = 5001
! UPDATE users SET name = 'renamed' WHERE id = 5001
! UPDATE users SET balance = 10 WHERE id = 424242
! UPDATE orders SET status = 'paid' WHERE user_id = 5001 AND id = 5001
! UPDATE orders SET status = 'done', note = 'thanks' WHERE id = 5001 AND user_id = 5001 AND status = 'paid'
! UPDATE orders SET note = NULL WHERE user_id = 5001
! UPDATE orders SET amount = amount - 1 WHERE user_id = 7 ORDER BY id LIMIT 1
! INSERT INTO users (id, name, created_at) VALUES (5001, 'again', '2026-05-01 10:00:00')
! INSERT IGNORE INTO users (id, name, created_at) VALUES (5001, 'again', '2026-05-01 10:00:00')
! INSERT INTO users (id, name, created_at) VALUES (5002, 'x', '2026-05-01 10:00:00') ON DUPLICATE KEY UPDATE name = 'y'
! REPLACE INTO users (id, name, created_at) VALUES (5002, 'z', '2026-05-01 10:00:00')
! INSERT INTO orders SELECT 5003, user_id, shop_id, status, amount, discount, note, waited, big, created_at FROM orders WHERE user_id = 5001 AND id = 5001 ON DUPLICATE KEY UPDATE amount = VALUES(amount)
! DELETE FROM order_items WHERE user_id = 5001 AND order_id = 5001 AND sku = 'C'
! DELETE FROM order_items WHERE user_id = 5001
! DELETE FROM orders WHERE id = 5001 AND user_id = 5001
! DELETE FROM users WHERE id IN (5002)
! DELETE FROM users WHERE id = 424242
! UPDATE cities SET name = 'Genève' WHERE id = 2
! INSERT INTO cities (id, name) VALUES (9, 'Basel')
! DELETE FROM cities WHERE id = 9
