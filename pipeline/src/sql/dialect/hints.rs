//! What to write instead of what is not there.

use datafusion::sql::sqlparser::ast::BinaryOperator;
use datafusion::sql::sqlparser::tokenizer::Span;

use super::Refusal;

type Told = (String, &'static str);

/// What to write instead of a type; `None` where DataFusion may know it.
pub(super) fn data_type(name: &str) -> Option<&'static str> {
    match name {
        "inet" | "cidr" => Some(
            "addresses and networks are text: `cidr_contains('10.0.0.0/8', x)`, `cidr_overlaps(a, b)`, `masklen(x)`, \
             `host(x)`",
        ),
        "macaddr" | "macaddr8" => Some("compare them as text, in lower case"),
        "regclass" | "oid" => Some("tables and their columns are in `information_schema`"),
        "money" => Some("write `::numeric`"),
        _ => None,
    }
}

/// What to write instead of an operator.
pub(super) fn operator(operator: &BinaryOperator) -> Option<Told> {
    let help = match operator {
        BinaryOperator::AtQuestion | BinaryOperator::AtAt => {
            "JSON paths are not known here: `x->'a'->0->>'b'`, or `jsonb_array_elements(x->'a')` in FROM"
        }
        BinaryOperator::HashMinus => "select the members that you want: `x->>'a'`",
        _ => return None,
    };
    Some((format!("there is no operator `{operator}`"), help))
}

/// What to write instead of a function of PostgreSQL or Steampipe.
pub(super) fn function(name: &str) -> Option<Told> {
    let help = match name {
        "age" => {
            "an interval of months and days cannot be compared with one of days: write \
             `date_diff_days(now(), x) > 90`, or `x < now() - interval '90 days'`"
        }
        "json_each" | "jsonb_each" | "json_each_text" | "jsonb_each_text" => {
            "list the names with `jsonb_object_keys(x) as k` in FROM, and take each member with `x->>k`"
        }
        "jsonb_path_query" | "jsonb_path_exists" | "jsonb_path_query_array" | "jsonb_path_query_first" => {
            "JSON paths are not known here: `x->'a'->0->>'b'`, or `jsonb_array_elements(x->'a')` in FROM"
        }
        "jsonb_build_object" | "json_build_object" => "write `to_json(named_struct('a', x, 'b', y))`",
        "jsonb_build_array" | "json_build_array" => "write `to_json(make_array(x, y))`",
        "jsonb_agg" | "json_agg" => "write `to_json(array_agg(x order by x))`",
        "jsonb_set" | "jsonb_insert" | "jsonb_strip_nulls" => "select the members that you want: `x->>'a'`",
        "jsonb_to_recordset" | "json_to_recordset" | "jsonb_populate_record" => {
            "list the elements with `jsonb_array_elements(x) as e` in FROM, and take members with `e->>'a'`"
        }
        "network" | "netmask" | "broadcast" | "inet_same_family" | "family" => {
            "addresses and networks are text: `cidr_contains`, `cidr_overlaps`, `masklen`, `host`, `ip_is_private`"
        }
        "regexp_matches" => "write `regexp_match(x, 'pattern')`, or `x ~ 'pattern'`",
        "string_to_table" | "regexp_split_to_table" => "write `unnest(string_to_array(x, ','))`",
        _ => return None,
    };
    Some((format!("there is no function `{name}`"), help))
}

/// A function in the place of a value.
pub(super) fn lambda(span: Span) -> Refusal {
    Refusal::new(
        span,
        "`x -> …` is JSON access; functions as values are not known here",
        "list the elements in FROM and compare there: `from T t, unnest(t.list) as x where x …`, or use `array_has`, \
         `array_has_any`, `like_any`",
    )
}

/// What to write instead, for an error that only planning found; `message` is DataFusion's.
pub fn hint(message: &str) -> Option<&'static str> {
    let of_types = message.contains("common argument type") || message.contains("Cannot coerce");
    if of_types && message.contains("Boolean") && message.contains("Utf8") {
        return Some("text is not true or false: write `x = 'true'` of text, `x` or `not x` of a boolean");
    }
    if message.contains("OuterReferenceColumn") || message.contains("correlated") {
        return Some(
            "a subquery that reads the outer row can only compare with `=`: join instead, or list elements in FROM of the \
             outer query",
        );
    }
    None
}
