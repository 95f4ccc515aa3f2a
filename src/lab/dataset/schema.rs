//! The tables of the data set, in words that MariaDB and MySQL share.
//!
//! There are no foreign keys: applications whose tables may be sharded keep references themselves.

pub(super) const CREATE: [&str; 4] = [USERS, SHOPS, ORDERS, ORDER_ITEMS];

const USERS: &str = "CREATE TABLE users (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  name VARCHAR(80) NOT NULL,
  email VARCHAR(120) NOT NULL,
  phone CHAR(13) NULL,
  city_id INT UNSIGNED NOT NULL,
  preferences JSON NOT NULL,
  created_at DATETIME(3) NOT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY email (email),
  KEY city (city_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci";

const SHOPS: &str = "CREATE TABLE shops (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  name VARCHAR(120) NOT NULL,
  city_id INT UNSIGNED NOT NULL,
  cuisine ENUM('pizza','sushi','burger','thai','indian','noodles','bakery') NOT NULL,
  rating DECIMAL(2,1) NULL,
  delivery_fee DECIMAL(6,2) NOT NULL,
  is_open TINYINT(1) NOT NULL DEFAULT 1,
  opens_at TIME NOT NULL,
  PRIMARY KEY (id),
  KEY city_cuisine (city_id, cuisine)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci";

const ORDERS: &str = "CREATE TABLE orders (
  order_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  user_id BIGINT UNSIGNED NOT NULL,
  shop_id BIGINT UNSIGNED NOT NULL,
  city_id INT UNSIGNED NOT NULL,
  status ENUM('placed','accepted','cooking','delivering','delivered','cancelled') NOT NULL DEFAULT 'placed',
  amount DECIMAL(10,2) NOT NULL,
  note TEXT NULL,
  created_at DATETIME(3) NOT NULL,
  delivered_at DATETIME(3) NULL,
  PRIMARY KEY (order_id),
  KEY user_created (user_id, created_at),
  KEY shop_created (shop_id, created_at),
  KEY status (status)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci";

const ORDER_ITEMS: &str = "CREATE TABLE order_items (
  order_id BIGINT UNSIGNED NOT NULL,
  line SMALLINT UNSIGNED NOT NULL,
  dish VARCHAR(120) NOT NULL,
  quantity SMALLINT UNSIGNED NOT NULL,
  price DECIMAL(8,2) NOT NULL,
  options JSON NULL,
  PRIMARY KEY (order_id, line),
  KEY dish (dish)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci";
