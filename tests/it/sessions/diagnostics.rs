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

    async fn commands_tell_of_them_as_the_server_does(server) {
        duet(server, "it_duet_diag_commands", &[
            "a INSERT INTO nowhere VALUES (1)",
            "b SELECT 1",
            "a!1B0000",
            "a!0E",
            "A SELECT * FROM nowhere",
            "b SELECT 1",
            "a!1B0100",
            "a SELECT 1/0",
            "b SELECT 1",
            "a!1B0000",
            "A SELECT * FROM nowhere",
            "A SELECT 1",
            "b SELECT 1",
            "a!1B0000",
            // An error of the proxy's own while something else keeps the connection.
            "a SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
            "a KILL QUERY CONNECTION_ID()",
            "a!0E",
            "a COMMIT",
        ]).await;
    }
}
