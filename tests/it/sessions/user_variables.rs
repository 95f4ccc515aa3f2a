//! User variables go where their session goes, with type and collation.

use crate::support::duet;

both! {
    async fn every_type_travels(server) {
        let proxy = duet(server, "it_duet_types", &[
            "a SET NAMES utf8mb4",
            "b SET NAMES utf8mb4",
            "a SET @i = 5, @d = 1.50, @f = 1e0, @s = 'x', @b = X'00FF', @n = NULL, @u = CAST(5 AS UNSIGNED)",
            "b SET @i = 'other', @s = 7",
            "a SELECT @i, @d, @f, @s, @b, @n, @u",
            "b SELECT @i, @s",
            "a SET @l = _latin1 X'E4' COLLATE latin1_bin, @q = 'it''s \\\\ \"quoted\"', @e = '', @w = CAST(7 AS DECIMAL(5))",
            "b SELECT 1",
            "a SELECT @l, @q, @e, @w, COLLATION(@l), COERCIBILITY(@l), HEX(@l)",
            "a SET @min = -9223372036854775808, @max = 18446744073709551615, @pi = PI(), @tiny = 1e-7/3",
            "b SELECT @min",
            "a SELECT @min, @max, @pi, @tiny, @pi = PI(), @tiny * 3",
            "a SET @day = DATE'2024-02-29', @null_i = CAST(NULL AS SIGNED), @null_s = CAST(NULL AS CHAR)",
            "b SELECT 1",
            "a SELECT @day, @null_i, @null_s, COLLATION(@null_s)",
            "a SET @i = NULL, @s = @s",
            "b SELECT 1",
            "a SELECT @i, @s, COLLATION(@i)",
            "b SELECT @i, COLLATION(@i)",
        ]).await;
        assert_eq!(proxy.metric("dazzle_pins_total", "reason=\"user_variable\""), 0.0);
        assert_eq!(proxy.metric("dazzle_pins_total", "reason=\"state_change\""), 0.0);
    }

    async fn values_that_queries_compute(server) {
        let proxy = duet(server, "it_duet_computed", &[
            "a CREATE TABLE t (a INT UNSIGNED, b DECIMAL(8,3), c VARCHAR(10) COLLATE utf8mb4_bin)",
            "a INSERT INTO t VALUES (1, 1.5, 'one'), (2, 2.5, 'two'), (3, NULL, 'three')",
            "a SELECT a, b, c INTO @a, @b, @c FROM t WHERE a = 2",
            "b SELECT @a, @b, @c",
            "a SELECT @a, @b, @c, COLLATION(@c)",
            "a SELECT @row := 0",
            "b SELECT 1",
            "a SELECT @row := @row + 1 AS n, a FROM t ORDER BY a",
            "b SELECT @row",
            "a SELECT @row",
            "A SELECT @row := @row * 2",
            "b SELECT @row",
            "A SELECT @row, @a + 1",
            "A SET @p = 'prepared'",
            "b SELECT @p",
            "B SELECT @p",
            "A SELECT @p",
            "a BEGIN",
            "a SET @in = 1",
            "a SET @in = @in + 1, @p = NULL",
            "a SELECT @in, @p",
            "a INSERT INTO t (a) VALUES (@in)",
            "a ROLLBACK",
            "b SELECT @in",
            "a SELECT @in, @p",
            "a SET @a = 'changed', sql_mode = 'ANSI_QUOTES', @z = @@sql_mode",
            "b SELECT @@sql_mode = 'ANSI_QUOTES', @z",
            "a SELECT @a, @z, @@sql_mode",
            "a SET @x = 1/0",
            "a SELECT @x",
            "b SELECT 1",
            "a SELECT @x",
        ]).await;
        assert_eq!(proxy.metric("dazzle_pins_total", "reason=\"user_variable\""), 0.0);
        assert_eq!(proxy.metric("dazzle_pins_total", "reason=\"state_change\""), 0.0);
    }

    async fn a_reset_forgets_them(server) {
        let proxy = crate::support::Setup::new(server).pool("size_max: 1, queue_timeout: 3s").start().await;
        let (mut a, mut b) = (proxy.connect().await, proxy.connect().await);
        a.ok("SET @a = 1").await;
        b.ok("SET @b = 2").await;
        a.command(&[dazzle::wire::code::RESET_CONNECTION]).await;
        assert_eq!(a.value("SELECT @a").await, "NULL");
        assert_eq!(b.value("SELECT @b").await, "2");
        assert_eq!(a.value("SELECT @b").await, "NULL");
    }

    async fn what_is_too_large_stays_where_it_is(server) {
        let proxy = crate::support::Setup::new(server).pool("size_max: 2, queue_timeout: 3s").start().await;
        let (mut a, mut b) = (proxy.connect().await, proxy.connect().await);
        a.ok("SET @a = REPEAT('x', 100000)").await;
        b.ok("SET @b = 1").await;
        // It is read back when its client has its reply.
        let pinned = async || proxy.metric("dazzle_pins_total", "reason=\"user_variable\"") == 1.0;
        crate::support::eventually("the long one pins", pinned).await;
        assert_eq!(a.value("SELECT LENGTH(@a)").await, "100000");
        assert_eq!(b.value("SELECT @b").await, "1");
    }
}
