//! Tables in another shape.

/// A table in another shape, under a name and with columns that people know from elsewhere: a query over it and other
/// tables of its provider. `query` and `check` read it as a table; nothing of it is stored. Where a table of that name is
/// there too, or one that the query reads is not, there is no view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Its name, as SQL writes it.
    pub name: &'static str,
    /// What it holds, one sentence.
    pub description: &'static str,
    /// The query.
    pub sql: &'static str,
}
