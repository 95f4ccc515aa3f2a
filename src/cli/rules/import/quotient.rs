//! Groovy expressions of Zebra and ShardingSphere, as far as they are `value.intdiv(a) % n`.
//!
//! `/` is none of them: Groovy's makes fractions of whole numbers.

/// What an expression computes: the quotient of a column's value, or of its CRC-32, modulo something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quotient {
    /// None if it is a constant 0.
    pub(super) column: Option<String>,
    pub(super) crc32: bool,
    pub(super) divisor: u32,
    pub(super) modulus: u32,
    /// It takes the lowest 32 bits alone, so only an INT has all its values.
    pub(super) narrow: bool,
}

/// Several names from an expression with text around it: `ds_${user_id % 2}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) prefix: String,
    pub(super) quotient: Quotient,
    pub(super) suffix: String,
}

impl Named {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (prefix, rest) = text
            .split_once("${")
            .or_else(|| text.split_once("$->{"))
            .ok_or_else(|| format!("`{text}` is no expression: it has no `${{…}}`"))?;
        let (inner, suffix) = rest.rsplit_once('}').ok_or_else(|| format!("`{text}` has no `}}`"))?;
        let named =
            Self { prefix: prefix.to_owned(), quotient: Quotient::parse(inner)?, suffix: suffix.to_owned() };
        match suffix.contains("${") || inner.contains("${") {
            true => Err(format!("`{text}` has several expressions")),
            false => Ok(named),
        }
    }

    /// The names, by what the expression computes.
    pub(super) fn names(&self) -> Vec<String> {
        (0..self.quotient.modulus).map(|number| format!("{}{number}{}", self.prefix, self.suffix)).collect()
    }
}

impl Quotient {
    pub(super) const ZERO: Self = Self { column: None, crc32: false, divisor: 1, modulus: 1, narrow: false };

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let refused = || format!("`{}` is not understood: only `value.intdiv(a) % n` is", text.trim());
        let mut compact: String = text.split_whitespace().collect();
        // A row without its key has no place in either.
        if let Some((condition, rest)) = compact.split_once("==null?SKIP:")
            && condition.starts_with('#')
        {
            compact = rest.to_owned();
        }
        if compact == "0" {
            return Ok(Self::ZERO);
        }
        let (value, modulus) = outer(&compact).rsplit_once('%').ok_or_else(refused)?;
        let modulus = modulus.parse().ok().filter(|modulus| (1..=65_536).contains(modulus));
        let mut found = Self { modulus: modulus.ok_or_else(refused)?, ..Self::ZERO };
        found.value(value).ok_or_else(refused)?;
        Ok(found)
    }

    /// What stands before the `%`, from its end to its beginning.
    fn value(&mut self, text: &str) -> Option<()> {
        let text = outer(text);
        if let Some(head) = [".longValue()", ".toLong()"].iter().find_map(|call| text.strip_suffix(call)) {
            return self.value(head);
        }
        if let Some(head) = [".intValue()", ".toInteger()"].iter().find_map(|call| text.strip_suffix(call)) {
            // After a division the number may be small enough, or not.
            self.narrow = true;
            return if self.divisor == 1 && !head.contains(".intdiv(") { self.value(head) } else { None };
        }
        if let Some((head, divisor)) = text.strip_suffix(')').and_then(|text| text.rsplit_once(".intdiv(")) {
            let divisor: u32 = divisor.parse().ok().filter(|divisor| *divisor > 0)?;
            self.divisor = self.divisor.checked_mul(divisor)?;
            return self.value(head);
        }
        let column = match text.strip_prefix("crc32(").and_then(|text| text.strip_suffix(')')) {
            Some(column) => {
                self.crc32 = true;
                column
            }
            None => text,
        };
        let column = column.strip_prefix('#').and_then(|column| column.strip_suffix('#')).unwrap_or(column);
        let plain = column.chars().all(|c| c.is_alphanumeric() || c == '_');
        let named = plain && column.starts_with(|c: char| c.is_alphabetic() || c == '_');
        self.column = named.then(|| column.to_owned());
        self.column.as_ref().map(|_| ())
    }
}

/// Without parentheses around the whole.
fn outer(text: &str) -> &str {
    let mut text = text;
    while let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
        let mut depth = 0_i32;
        let closes = inner.chars().any(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth < 0
        });
        if closes {
            break;
        }
        text = inner;
    }
    text
}

/// The placement's algorithm for databases and tables in them, with KEY where the name of the key stands, and the
/// column and its type.
pub(super) fn together(
    database: &Quotient,
    table: &Quotient,
) -> Result<(String, String, &'static str), String> {
    let column = match (&database.column, &table.column) {
        (Some(one), Some(other)) if one != other => {
            return Err(format!("databases are chosen by `{one}` and tables by `{other}`"));
        }
        (Some(column), _) | (None, Some(column)) => column.clone(),
        (None, None) => return Err("no column decides".to_owned()),
    };
    if database.column.is_some() && table.column.is_some() && database.crc32 != table.crc32 {
        return Err("databases and tables are chosen by different functions".to_owned());
    }
    let crc32 = database.crc32 || table.crc32;
    let mut parameters = format!("databases: {}, tables: {}", database.modulus, table.modulus);
    for (name, divisor) in [("databaseDivisor", database.divisor), ("tableDivisor", table.divisor)] {
        if divisor > 1 {
            parameters.push_str(&format!(", {name}: {divisor}"));
        }
    }
    if crc32 {
        parameters.push_str(", of: crc32");
    }
    let key_type = match (crc32, database.narrow || table.narrow) {
        (true, _) => "{type: varchar(64), collation: utf8mb4_bin}",
        (false, true) => "int",
        (false, false) => "bigint",
    };
    let algorithm = format!("legacy: {{function: groovy/modulo, key: KEY, parameters: {{{parameters}}}}}");
    Ok((algorithm, column, key_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_quotient_is_understood_and_nothing_else() {
        let check = |text: &str, column: &str, crc32, (divisor, modulus), narrow| {
            let expected = Quotient { column: Some(column.to_owned()), crc32, divisor, modulus, narrow };
            assert_eq!(Quotient::parse(text), Ok(expected), "{text}");
        };
        check("#uid#%2", "uid", false, (1, 2), false);
        check("(#uid#.intdiv(2))%2", "uid", false, (2, 2), false);
        check("( (#uid#) % 8 )", "uid", false, (1, 8), false);
        check("#colOne#.intValue() % 32", "colOne", false, (1, 32), true);
        check("crc32(#Uid#).intdiv(2)%4", "Uid", true, (2, 4), false);
        check("order_id % 2", "order_id", false, (1, 2), false);
        check("#a#.toLong().intdiv(2).intdiv(3) % 5", "a", false, (6, 5), false);
        assert_eq!(Quotient::parse("#colOne# == null ? SKIP: 0"), Ok(Quotient::ZERO));
        for text in [
            "(#uid#+#tid#)%2",
            "#uid#/2%2",
            "#uid#.substring(0, 2).toLong()%4+2",
            "#uid#%0",
            "#uid#%2+1",
            "#uid#.intdiv(2).intValue()%2",
            "md5(#uid#)%2",
            "-uid%2",
            "uid",
            "",
        ] {
            assert!(Quotient::parse(text).is_err(), "{text}: {:?}", Quotient::parse(text));
        }
    }
}
