//! Functions whose value follows from their arguments and the session alone: the same question, the same answer.
//!
//! A list of what is known to be so. What is not on it (the clock, chance, the connection, locks, files, waits,
//! what is stored or loaded under a name) is never kept. Nor is what makes a TIME: where a server needs a date
//! of one, it takes today's.

/// Whether a built-in function of this name (upper case) is such a one.
pub(super) fn is_repeatable(name: &str) -> bool {
    NAMES.binary_search(&name).is_ok()
}

/// Sorted.
#[rustfmt::skip]
const NAMES: &[&str] = &[
    "ABS", "ACOS", "ADDDATE", "ANY_VALUE", "ASCII", "ASIN", "ATAN", "ATAN2", "AVG", "BIN", "BIT_AND",
    "BIT_COUNT", "BIT_LENGTH", "BIT_OR", "BIT_XOR", "CAST", "CEIL", "CEILING", "CHAR", "CHARACTER_LENGTH",
    "CHAR_LENGTH", "COALESCE", "CONCAT", "CONCAT_WS", "CONV", "CONVERT", "COS", "COT", "COUNT", "CRC32",
    "CUME_DIST", "DATE", "DATEDIFF", "DATE_ADD", "DATE_FORMAT", "DATE_SUB", "DAY", "DAYNAME", "DAYOFMONTH",
    "DAYOFWEEK", "DAYOFYEAR", "DEGREES", "DENSE_RANK", "ELT", "EXP", "EXPORT_SET", "EXTRACT", "FIELD",
    "FIND_IN_SET", "FIRST_VALUE", "FLOOR", "FORMAT", "FROM_BASE64", "FROM_DAYS", "GREATEST", "GROUPING",
    "GROUP_CONCAT", "HEX", "HOUR", "IF", "IFNULL", "INET6_ATON", "INET6_NTOA", "INET_ATON", "INET_NTOA",
    "INSTR", "ISNULL", "IS_IPV4", "IS_IPV6", "JSON_ARRAY", "JSON_ARRAYAGG", "JSON_CONTAINS",
    "JSON_CONTAINS_PATH", "JSON_DEPTH", "JSON_EXTRACT", "JSON_KEYS", "JSON_LENGTH", "JSON_OBJECT",
    "JSON_OBJECTAGG", "JSON_OVERLAPS", "JSON_QUOTE", "JSON_SEARCH", "JSON_TYPE", "JSON_UNQUOTE", "JSON_VALID",
    "JSON_VALUE", "LAG", "LAST_DAY", "LAST_VALUE", "LCASE", "LEAD", "LEAST", "LEFT", "LENGTH", "LN", "LOCATE",
    "LOG", "LOG10", "LOG2", "LOWER", "LPAD", "LTRIM", "MAKEDATE", "MAKE_SET", "MAX", "MD5", "MICROSECOND",
    "MID", "MIN", "MINUTE", "MOD", "MONTH", "MONTHNAME", "NTH_VALUE", "NTILE", "NULLIF", "OCT", "OCTET_LENGTH",
    "ORD", "PERCENT_RANK", "PERIOD_ADD", "PERIOD_DIFF", "PI", "POSITION", "POW", "POWER", "QUARTER", "QUOTE",
    "RADIANS", "RANK", "REGEXP_INSTR", "REGEXP_LIKE", "REGEXP_REPLACE", "REGEXP_SUBSTR", "REPEAT", "REPLACE",
    "REVERSE", "RIGHT", "ROUND", "ROW_NUMBER", "RPAD", "RTRIM", "SECOND", "SHA", "SHA1", "SHA2", "SIGN", "SIN",
    "SOUNDEX", "SPACE", "SQRT", "STD", "STDDEV", "STDDEV_POP", "STDDEV_SAMP", "STRCMP", "SUBDATE", "SUBSTR",
    "SUBSTRING", "SUBSTRING_INDEX", "SUM", "TAN", "TIMESTAMPADD", "TIMESTAMPDIFF", "TIME_FORMAT", "TIME_TO_SEC",
    "TO_BASE64", "TO_DAYS", "TRIM", "TRUNCATE", "UCASE", "UNHEX", "UPPER", "VARIANCE", "VAR_POP", "VAR_SAMP",
    "WEEK", "WEEKDAY", "WEEKOFYEAR", "YEAR", "YEARWEEK",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted() {
        assert!(NAMES.is_sorted());
    }

    #[test]
    fn what_asks_the_clock_or_chance_is_not_repeatable() {
        for name in
            ["NOW", "RAND", "UUID", "SYSDATE", "CONNECTION_ID", "USER", "SLEEP", "UNIX_TIMESTAMP", "F"]
        {
            assert!(!is_repeatable(name), "{name}");
        }
        assert!(is_repeatable("COUNT") && is_repeatable("YEARWEEK") && is_repeatable("ABS"));
    }
}
