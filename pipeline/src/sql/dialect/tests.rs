use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::{hint, refine};

/// `line:column message`, or the statement as it was rewritten.
fn refined(sql: &str) -> Result<String, String> {
    let mut statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
    match refine(&mut statement) {
        Ok(()) => Ok(statement.to_string()),
        Err(refusals) => {
            assert!(refusals.iter().all(|refusal| !refusal.help.is_empty()), "{sql}");
            let first = &refusals[0];
            Err(format!("{}:{} {}", first.span.start.line, first.span.start.column, first.message))
        }
    }
}

#[test]
fn elements_in_from_are_unnested_beside_the_relation_that_has_them() {
    assert_eq!(
        refined("select a.id, s from t as a, jsonb_array_elements(a.raw) as s").unwrap(),
        "SELECT a.id, s FROM (SELECT *, unnest(json_list(a.raw)) AS s FROM t AS a) AS a"
    );
}

#[test]
fn what_needs_no_rewriting_stays_as_it_is() {
    for sql in
        ["SELECT a, b FROM t WHERE x LIKE 'a%'", "SELECT unnest(l) FROM t", "SELECT * FROM UNNEST(make_array(1)) AS x"]
    {
        assert_eq!(refined(sql).unwrap(), sql);
    }
}

#[test]
fn what_cannot_be_planned_is_refused_at_its_place() {
    for (sql, expected) in [
        ("select x::inet from t", "1:8 there is no type `inet`"),
        ("select 1\nfrom t where cast(x as cidr) = y", "2:19 there is no type `cidr`"),
        ("select 1 from t where (a, b) in (select a, b from u)", "1:24 `(a, b) in (select …)` cannot be planned"),
        ("select 1 from t cross join lateral (select t.a) as x", "1:37 a LATERAL subquery cannot be planned"),
        ("select age(x) from t", "1:8 there is no function `age`"),
        ("select 1 from t where x @? '$.a'", "1:23 there is no operator `@?`"),
        ("select jsonb_path_query(x, '$.a') from t", "1:8 there is no function `jsonb_path_query`"),
        (
            "select 1 from t where jsonb_array_elements(x) = 'a'",
            "1:23 `jsonb_array_elements` makes rows, so it can stand only in FROM or among what is selected",
        ),
        (
            "select 1 from t where exists (select 1 from jsonb_array_elements(t.l) as x where x = 'a')",
            "1:45 the elements of a list of the outer query cannot be listed in a subquery",
        ),
        (
            "select 1 from t where exists (select 1 from unnest(t.l) as x where x = 'a')",
            "1:52 the elements of a list of the outer query cannot be listed in a subquery",
        ),
        (
            "select array_any_match(l, x -> x > 1) from t",
            "1:27 `x -> …` is JSON access; functions as values are not known here",
        ),
        ("select 1 from t, u, jsonb_array_elements(x) as e", "1:21 which relation has `x` is not known here"),
        (
            "select a.* from t a, jsonb_array_elements(a.x) as e",
            "1:8 `a.*` would include the elements that are joined to it",
        ),
        (
            "select 1 from t a, u b, jsonb_array_elements(coalesce(a.x, b.x)) as e",
            "1:25 a list made of columns of two relations cannot be listed",
        ),
        (
            "select 1 from t a left join u b on a.i = b.i, jsonb_array_elements(b.x) as e",
            "1:47 `b` is joined by LEFT JOIN, so its elements cannot be listed behind it",
        ),
        (
            "select 1 from t, jsonb_array_elements(x) with ordinality as e(v, n)",
            "1:18 WITH ORDINALITY cannot be planned",
        ),
        (
            "select 1 from t where x not like any (l)",
            "1:39 `not like any` of a list is true where one pattern does not fit",
        ),
    ] {
        assert_eq!(refined(sql).unwrap_err(), expected, "{sql}");
    }
}

#[test]
fn everything_that_is_refused_is_told_at_once() {
    let mut statement = Parser::parse_sql(&PostgreSqlDialect {}, "select x::inet, age(y) from t").unwrap().remove(0);
    assert_eq!(refine(&mut statement).unwrap_err().len(), 2);
}

#[test]
fn planning_errors_have_hints() {
    let message = "Cannot infer common argument type for comparison operation Boolean = Utf8";
    assert!(hint(message).is_some());
    assert!(hint("something else").is_none());
}
