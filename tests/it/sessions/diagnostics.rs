//! Diagnostics of the last statement, asked for when its connection has long served somebody else.

use crate::support::duet;

both! {
    async fn they_are_each_one_s_own_after_any_pause(server) {
        duet(server, "it_duet_diag", &[
            "a SELECT 1/0, CAST('x' AS SIGNED), CAST('y' AS SIGNED)",
            // B is served only once the diagnostics of A have been taken along.
            "b SELECT 1",
            "a SHOW WARNINGS",
            "a SHOW WARNINGS LIMIT 1",
            "a SHOW WARNINGS LIMIT 1, 5",
            "a SHOW ERRORS",
            "a SHOW COUNT(*) WARNINGS",
            "a SHOW COUNT(*) ERRORS",
            "b SHOW WARNINGS",
            "a SELECT * FROM nowhere",
            "b SELECT 1",
            "a SHOW ERRORS",
            "a SHOW COUNT(*) ERRORS",
            "a SELECT @@warning_count, @@error_count AS e",
            "b SELECT @@warning_count, @@error_count AS e",
            "a SELECT * FROM nowhere",
            "b SELECT 1",
            "a GET DIAGNOSTICS CONDITION 1 @state = RETURNED_SQLSTATE, @code = MYSQL_ERRNO, @text = MESSAGE_TEXT",
            "a SELECT @state, @code, @text",
            "b SELECT @state",
            "a CREATE TABLE t (a INT PRIMARY KEY)",
            "a INSERT INTO t VALUES (1)",
            "a INSERT INTO t VALUES (1)",
            "b SELECT 1",
            "a GET DIAGNOSTICS @n = NUMBER, @rows = ROW_COUNT",
            "a SELECT @n, @rows",
        ]).await;
    }
}
